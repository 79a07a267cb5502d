"""How deep an incentive must be: those that differ in face value alone, and the cheapest depth that still works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from features.programme import Programme
from features.settings_incentives import Incentive
from serving.policy_table import Effect, PolicyTable
from training.contrast import SMALLEST_SE

Rung = tuple[str, str]
"""A policy segment and an arm."""


@dataclass(frozen=True)
class Depth:
    """One face value of a ladder in one policy segment.

    ``recall`` is its own estimate, ``recall_monotone`` the one that agrees with deeper ones recalling no fewer.
    """

    policy_segment: str
    ladder: str
    incentive_id: str
    face_value: float
    cost_per_member: float
    recall: float
    recall_monotone: float
    verdict: str
    chosen: bool


def chains(rungs: Sequence[Rung], programme: Programme) -> list[list[int]]:
    """Put comparisons in the order they are tested: those of a ladder deepest first, all others each alone.

    Channels of a ladder are ladders of their own. Returned are places in ``rungs``.
    """
    arms = {arm.id: arm for arm in programme.arms}
    found: dict[tuple[str, ...], list[int]] = {}
    for number, (segment, arm) in enumerate(rungs):
        found.setdefault((segment, *_ladder(arms[arm])), []).append(number)
    return [sorted(chain, key=lambda number: -arms[rungs[number][1]].face_value) for chain in found.values()]


def dose_responses(policy: PolicyTable, programme: Programme) -> list[Depth]:
    """Tell what every depth of every ladder does in every policy segment, the shallowest first."""
    arms = {arm.id: arm for arm in programme.arms}
    known = [one for one in policy.effects if one.incentive_id in arms and np.isfinite(one.recall.value)]
    rows: list[Depth] = []
    for chain in chains([(one.policy_segment, one.incentive_id) for one in known], programme):
        effects = [known[number] for number in reversed(chain)]
        ladder = arms[effects[0].incentive_id].ladder
        if ladder is not None:
            rows += _depths(ladder, effects, arms, policy)
    return rows


def _depths(ladder: str, effects: Sequence[Effect], arms: dict[str, Incentive], policy: PolicyTable) -> list[Depth]:
    values = [arms[effect.incentive_id].face_value for effect in effects]
    recalls = np.array([effect.recall.value for effect in effects])
    precision = 1 / np.maximum([effect.recall.se for effect in effects], SMALLEST_SE) ** 2
    monotone = IsotonicRegression().fit(values, recalls, precision).predict(values)
    return [
        Depth(
            policy_segment=effect.policy_segment,
            ladder=ladder,
            incentive_id=effect.incentive_id,
            face_value=value,
            cost_per_member=effect.cost_per_member,
            recall=effect.recall.value,
            recall_monotone=float(fitted),
            verdict=effect.verdict,
            chosen=policy.choices[effect.policy_segment].incentive_id == effect.incentive_id,
        )
        for effect, value, fitted in zip(effects, values, monotone, strict=True)
    ]


def _ladder(arm: Incentive) -> tuple[str, ...]:
    return (arm.id,) if arm.ladder is None else ("ladder", arm.ladder, arm.channel)
