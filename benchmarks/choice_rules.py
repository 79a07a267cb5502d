"""Choices to compare with: the same rule knowing the truth, and a plain reference on the same log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from offer_logs import COSTS, Truth
from scipy.stats import norm

from features.programme import Programme
from serving.policy import cheapest_effective, effective_by_cost, judge
from serving.policy_table import Effect, Estimate, PolicyTable
from serving.segments import POLICY_SEGMENTS
from training.offer_log import OfferLog


def reference(log: OfferLog, settings: Programme) -> dict[str, str | None]:
    """Choose by differences in means, Bonferroni intervals of recall and the same rule."""
    z = float(norm.isf((1 - settings.guardrails.confidence) / 2 / (len(POLICY_SEGMENTS) * len(COSTS))))
    outcomes = ["recall", "margin", "net", "cost"]
    cells = log.offers.groupby(["policy_segment", "incentive_id"])[outcomes].agg(["mean", "var", "size"])
    choices = {}
    for segment in POLICY_SEGMENTS:
        effects = [_difference(cells, segment, id_, z, settings) for id_ in COSTS if (segment, id_) in cells.index]
        choices[segment] = cheapest_effective(effects, settings.incentives, settings.guardrails).incentive_id
    return choices


def _difference(cells: pd.DataFrame, segment: str, incentive_id: str, z: float, settings: Programme) -> Effect:
    treated, control = (cells.loc[[(segment, arm)]].iloc[0] for arm in (incentive_id, "control"))
    estimates = {}
    for name in ("recall", "margin", "net"):
        value = float(treated[name, "mean"] - control[name, "mean"])
        se = float(np.sqrt(treated[name, "var"] / treated[name, "size"] + control[name, "var"] / control[name, "size"]))
        bounds = {"simultaneous_low": value - z * se, "simultaneous_high": value + z * se}
        estimates[name] = Estimate(value=value, se=se, low=value - 1.96 * se, high=value + 1.96 * se, **bounds)
    sizes = {"n_treated": int(treated["recall", "size"]), "n_control": int(control["recall", "size"])}
    verdict, why = judge(
        **sizes, recall=estimates["recall"], net=estimates["net"], evidence="randomised", guardrails=settings.guardrails
    )
    return Effect(
        policy_segment=segment, incentive_id=incentive_id, **sizes, **estimates, redemption_rate=0.0,
        cost_per_member=float(treated["cost", "mean"]), verdict=verdict, why=why,
    )  # fmt: skip


def oracle(truth: Truth, settings: Programme, *, upgrades: bool) -> list[str | None]:
    """Choose per segment by the same rule, knowing the truth: the cheapest that works or, upgraded, the best."""
    works = (truth.recall > settings.guardrails.recall_floor) & (truth.net >= -settings.guardrails.loss_tolerance)
    merit = np.where(works, truth.net if upgrades else -truth.cost, -np.inf)
    return [
        list(COSTS)[best] if found else None for best, found in zip(merit.argmax(1), np.any(works, axis=1), strict=True)
    ]


def cheapest_of(policy: PolicyTable, settings: Programme) -> dict[str, str | None]:
    """Return per segment the cheapest incentive shown to work, upgrades left aside."""
    cheapest = {}
    for segment in POLICY_SEGMENTS:
        own = [effect for effect in policy.effects if effect.policy_segment == segment]
        ranked = effective_by_cost(own, settings.incentives)
        cheapest[segment] = ranked[0].incentive_id if ranked else None
    return cheapest


def value_of(choices: list[str | None], truth: Truth) -> float:
    """Return the true net value per member of sending what was chosen."""
    sent = [(segment, list(COSTS).index(choice)) for segment, choice in enumerate(choices) if choice is not None]
    return sum(float(truth.shares[segment] * truth.net[segment, arm]) for segment, arm in sent)


def judged(
    truth: Truth, choices: dict[str, str | None], settings: Programme, *, upgrades: bool = False
) -> dict[str, float]:
    """Compare choices with the oracle's: member weight of equal ones, and net value forgone as a share of its."""
    known, made = oracle(truth, settings, upgrades=upgrades), [choices[segment] for segment in POLICY_SEGMENTS]
    equal = sum(share for share, ours, best in zip(truth.shares, made, known, strict=True) if ours == best)
    best = value_of(known, truth)
    return {"equal": equal, "best": best, "forgone": best - value_of(made, truth)}


def recorded(name: str, value: float, goal: str = "", holds: bool | None = None) -> dict[str, Any]:
    """Lay out one line of the results."""
    return {
        "name": name,
        "value": round(float(value), 5),
        "goal": goal,
        "holds": None if holds is None else bool(holds),
    }
