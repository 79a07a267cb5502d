"""Every incentive against control in every policy segment, and which are shown to recall, all tested at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.programme import Programme
from features.settings_incentives import Guardrails
from serving.incentives import offered_in
from serving.policy_table import Evidence
from training.contrast import Contrast
from training.depth import chains
from training.multiplicity import step_down
from training.segment_log import OUTCOMES, SegmentEvidence

RECALL: Final = OUTCOMES.index("recall")
APART_Z: Final = 5.0
"""Adjusted and plain estimates estimate the same; beyond so many standard errors of their difference, a warning."""
NEGLIGIBLE: Final = 1e-6


@dataclass(frozen=True)
class Comparison:
    """An incentive against control in one policy segment.

    ``separation`` is how many standard errors the detectable effect is, as far as sizes and the segment's recall alone
    tell; ``even_separation`` the same, had the segment's offers gone to all arms alike; ``plain`` is the contrast
    without adjustment, where there is any; ``recalls`` tells whether the step-down test puts the effect on recall above
    the floor.
    """

    segment: str
    incentive_id: str
    n_treated: int
    n_control: int
    cost_per_member: float
    cost_se: float
    redemption_rate: float
    separation: float
    even_separation: float
    contrast: Contrast | None
    plain: Contrast | None
    recalls: bool = False

    def is_large(self, guardrails: Guardrails) -> bool:
        """Whether there are offers enough to be any evidence."""
        return self.n_treated >= guardrails.min_treated and self.n_control >= guardrails.min_control


def compare(segments: dict[str, SegmentEvidence], programme: Programme) -> list[Comparison]:
    """Compare every incentive with control in every policy segment where it may be offered."""
    return [
        _comparison(name, segment, arm, len(arms), programme.guardrails)
        for name, segment in segments.items()
        for arms in [[arm.id for arm in programme.arms if offered_in(arm, name)]]
        for arm in arms
    ]


def _comparison(name: str, segment: SegmentEvidence, arm: str, arms: int, guardrails: Guardrails) -> Comparison:
    control, variance = guardrails.control_id, segment.recall_variance()
    n_treated, n_control = segment.sizes(arm, control)
    cost, cost_se, redeemed = segment.spending(arm, control)
    evenly = segment.orders()[0] / (1 + arms)
    return Comparison(
        segment=name,
        incentive_id=arm,
        n_treated=n_treated,
        n_control=n_control,
        cost_per_member=cost,
        cost_se=cost_se,
        redemption_rate=redeemed,
        separation=_separation(guardrails.detectable_recall, variance, n_treated, n_control),
        even_separation=_separation(guardrails.detectable_recall, variance, evenly, evenly),
        contrast=segment.contrast(arm, control),
        plain=segment.contrast(arm, control, adjusted=False) if segment.adjusts else None,
    )


def _separation(effect: float, variance: float, n_treated: float, n_control: float) -> float:
    error = np.sqrt(variance * (1 / max(n_treated, 1) + 1 / max(n_control, 1)))
    return float(effect / error) if error > 0 else 0.0


def family(compared: Sequence[Comparison], evidence: Evidence, guardrails: Guardrails) -> dict[int, float]:
    """Say which comparisons are tested, and how large each one's separation is, without a look at any result.

    Drawn by lot, those with enough offers are. Where odds may have followed results, so do sizes: what was lucky at
    first is sent more often, and has enough offers. Then all that were tried are tested, those of a segment alike.
    """
    if evidence == "randomised":
        return {number: one.separation for number, one in enumerate(compared) if one.is_large(guardrails)}
    return {number: one.even_separation for number, one in enumerate(compared) if one.contrast is not None}


def tested(compared: Sequence[Comparison], separations: dict[int, float], programme: Programme) -> list[Comparison]:
    """Test the effects on recall of a family of comparisons in steps; too few offers show nothing.

    Parameters
    ----------
    compared
        All comparisons.
    separations
        Of those in the family, by their place: see :func:`family`.
    programme
        Its guardrails and ladders.
    """
    guardrails = programme.guardrails
    members = [(number, compared[number]) for number in separations]

    def is_above_floor(member: int, z: float) -> bool:
        one = members[member][1]
        if one.contrast is None or not one.is_large(guardrails):
            return False
        return one.contrast.share_interval(RECALL, z)[0] > guardrails.recall_floor

    rungs = [(one.segment, one.incentive_id) for _, one in members]
    found = step_down(
        np.array(list(separations.values())), is_above_floor, guardrails.confidence, chains(rungs, programme)
    )
    recalling = {number for (number, _), is_found in zip(members, found, strict=True) if is_found}
    return [replace(one, recalls=number in recalling) for number, one in enumerate(compared)]


def disagreements(compared: Sequence[Comparison]) -> list[str]:
    """Tell where adjusted and plain estimates of recall differ beyond chance: covariates or propensities are wrong."""
    apart = [
        f"{one.segment}, {one.incentive_id}"
        for one in compared
        if one.contrast and one.plain and _differ(one.contrast, one.plain)
    ]
    if not apart:
        return []
    return [
        f"in {len(apart)} of {len(compared)} comparisons adjusted and plain estimates differ beyond chance, as in "
        f"{apart[0]}: the logged propensities do not fit who was treated"
    ]


def _differ(adjusted: Contrast, plain: Contrast) -> bool:
    moves = adjusted.influence[:, RECALL] - plain.influence[:, RECALL]
    gap = abs(adjusted.difference[RECALL] - plain.difference[RECALL])
    return bool(gap > APART_Z * np.sqrt((moves**2).sum()) + NEGLIGIBLE)
