"""What each incentive did in each policy segment, estimated from the offer log against its control offers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Guardrails, Programme
from features.schemas import Tables
from serving.bundle import Effect, Estimate, Evidence, PolicyTable
from serving.incentives import offered_in
from serving.policy import cheapest_effective, judge, needed_sample
from serving.segments import POLICY_SEGMENTS
from training.contrast import Arm, Contrast
from training.offer_log import OfferLog, read_offer_log

OUTCOMES: Final = ("recall", "margin", "net")
SMALLEST_ARM: Final = 2
UNKNOWN: Final = Estimate(
    value=np.nan, se=np.nan, low=np.nan, high=np.nan, simultaneous_low=np.nan, simultaneous_high=np.nan
)


def estimate_effects(tables: Tables, programme: Programme, as_of: datetime) -> PolicyTable:
    """Estimate incentive effects from offers known, and orders made, before ``as_of``.

    Parameters
    ----------
    tables
        Canonical tables.
    programme
        Incentives and guardrails.
    as_of
        Naive UTC instant. Offers whose response window is open then are counted as maturing and left out.

    Returns
    -------
    PolicyTable
        One effect per policy segment and incentive that may be offered there, estimable or not, and one choice per
        segment.
    """
    return effects_of_log(read_offer_log(tables, programme, as_of), programme, as_of)


def effects_of_log(log: OfferLog, programme: Programme, as_of: datetime) -> PolicyTable:
    """Estimate the effects an offer log with outcomes shows.

    Treated offers of a segment are compared with its control offers of the same weeks, weighted by one over the
    propensity. Offers of a member count together in standard errors. Simultaneous intervals are Sidak's over all
    comparisons that have enough offers. Recall gets score intervals, margin and net value normal ones.
    """
    guardrails = programme.guardrails
    pairs = _pairs(log, programme)
    enough = [
        len(treated) >= guardrails.min_treated and len(control) >= guardrails.min_control
        for treated, control in pairs.values()
    ]
    simultaneous = guardrails.confidence ** (1 / max(sum(enough), 1))
    levels = tuple(float(norm.ppf((1 + level) / 2)) for level in (guardrails.confidence, simultaneous))
    effects = {
        segment: [
            _effect(segment, incentive.id, *pairs[segment, incentive.id], levels, log.evidence, guardrails)
            for incentive in programme.incentives
            if (segment, incentive.id) in pairs
        ]
        for segment in POLICY_SEGMENTS
    }
    return PolicyTable(
        created_at=datetime.now(UTC).replace(tzinfo=None),
        as_of=as_of,
        evidence=log.evidence,
        response_days=guardrails.response_days,
        confidence=guardrails.confidence,
        offers=len(log.offers),
        maturing=log.maturing,
        warnings=log.warnings,
        effects=tuple(effect for of_segment in effects.values() for effect in of_segment),
        choices={
            segment: cheapest_effective(of_segment, programme.incentives, guardrails)
            for segment, of_segment in effects.items()
        },
    )


def effects_frame(policy: PolicyTable) -> pd.DataFrame:
    """Lay out a policy table with one row per policy segment and incentive, and whether it was chosen."""
    frame = pd.json_normalize([effect.model_dump() for effect in policy.effects], sep="_")
    chosen = [policy.choices[effect.policy_segment].incentive_id == effect.incentive_id for effect in policy.effects]
    return frame.assign(chosen=chosen)


def _pairs(log: OfferLog, programme: Programme) -> dict[tuple[str, str], tuple[pd.DataFrame, pd.DataFrame]]:
    """Return treated and control offers per segment and incentive that may be offered there."""
    weight = 1.0 if log.evidence == "observational" else 1 / log.offers["propensity"]
    arms = dict(list(log.offers.assign(weight=weight).groupby(["policy_segment", "incentive_id"])))
    nobody = log.offers[:0]
    return {
        (segment, incentive.id): _same_weeks(
            arms.get((segment, incentive.id), nobody), arms.get((segment, programme.guardrails.control_id), nobody)
        )
        for segment in POLICY_SEGMENTS
        for incentive in programme.incentives
        if offered_in(incentive, segment)
    }


def _same_weeks(treated: pd.DataFrame, control: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out weeks in which only one of the two was assigned: the season would pass for an effect."""
    return treated[treated["week"].isin(control["week"])], control[control["week"].isin(treated["week"])]


def _effect(
    segment: str,
    incentive_id: str,
    treated: pd.DataFrame,
    control: pd.DataFrame,
    levels: tuple[float, ...],
    evidence: Evidence,
    guardrails: Guardrails,
) -> Effect:
    recall, margin, net = _estimates(treated, control, levels)
    verdict, why = judge(
        n_treated=len(treated), n_control=len(control), recall=recall, net=net, evidence=evidence, guardrails=guardrails
    )
    effect = Effect(
        policy_segment=segment,
        incentive_id=incentive_id,
        n_treated=len(treated),
        n_control=len(control),
        recall=recall,
        margin=margin,
        net=net,
        cost_per_member=_mean(treated, "cost"),
        redemption_rate=_mean(treated, "redeemed"),
        verdict=verdict,
        why=why,
    )
    if verdict != "insufficient_evidence":
        return effect
    sample = f"a test needs about {needed_sample(effect, guardrails):,} members per arm"
    return effect.model_copy(update={"why": f"{why}; {sample}"})


def _estimates(treated: pd.DataFrame, control: pd.DataFrame, levels: tuple[float, ...]) -> list[Estimate]:
    """Estimate the difference in each outcome, with pointwise and simultaneous intervals."""
    if min(len(treated), len(control)) < SMALLEST_ARM:
        return [UNKNOWN] * len(OUTCOMES)
    members = pd.factorize(pd.concat([treated["member_id"], control["member_id"]]))[0]
    contrast = Contrast(_arm(treated, members[: len(treated)]), _arm(control, members[len(treated) :]))
    estimates = []
    for number, outcome in enumerate(OUTCOMES):
        interval = contrast.share_interval if outcome == "recall" else contrast.normal_interval
        (low, high), (simultaneous_low, simultaneous_high) = (interval(number, z) for z in levels)
        estimates.append(
            Estimate(
                value=float(contrast.difference[number]),
                se=float(contrast.se[number]),
                low=low,
                high=high,
                simultaneous_low=simultaneous_low,
                simultaneous_high=simultaneous_high,
            )
        )
    return estimates


def _arm(offers: pd.DataFrame, members: np.ndarray) -> Arm:
    return Arm(offers[list(OUTCOMES)].to_numpy(np.float64), offers["weight"].to_numpy(np.float64), members)


def _mean(offers: pd.DataFrame, column: str) -> float:
    return float(np.average(offers[column], weights=offers["weight"])) if len(offers) else np.nan
