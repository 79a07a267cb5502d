"""What each incentive did in each policy segment, estimated from the offer log against its control offers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Programme
from features.schemas import Tables
from features.settings_incentives import Guardrails
from serving.measure import losers
from serving.policy import cheapest_effective, effective_by_cost, judge, needed_sample
from serving.policy_table import Advantage, Effect, Estimate, Evidence, PolicyTable
from serving.segments import POLICY_SEGMENTS
from training.comparisons import RECALL, Comparison, compare, disagreements, family, tested
from training.contrast import Contrast
from training.multiplicity import interval_z
from training.offer_log import OfferLog, read_offer_log
from training.pooling import with_pooled
from training.prognosis import foresee
from training.propensity import OVERLAP, chance_column, estimate_chances
from training.segment_log import FORESEEN, OUTCOMES, SegmentEvidence, SegmentLog
from training.sensitivity import unseen_strength
from training.trials import read_trials

NET: Final = OUTCOMES.index("net")
WEAKEST_FIRST: Final[tuple[Evidence, ...]] = ("observational", "propensity", "randomised")
FORESEEABLE: Final = 2_000
"""Fewer offers than this are compared as they are: nothing can be learnt of what was foreseeable."""
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
    table = effects_of_logs([read_offer_log(tables, programme, as_of), *read_trials(programme)], programme, as_of)
    if not programme.guardrails.pause_losers:
        return table
    return table.model_copy(update={"paused": losers(tables, programme, as_of)})


def effects_of_log(log: OfferLog, programme: Programme, as_of: datetime) -> PolicyTable:
    """Estimate the effects one offer log with outcomes shows; see :func:`effects_of_logs`."""
    return effects_of_logs([log], programme, as_of)


def effects_of_logs(given: Sequence[OfferLog], programme: Programme, as_of: datetime) -> PolicyTable:
    """Estimate the effects offer logs with outcomes show; what they say of the same effect is combined.

    Treated offers of a segment are compared with its control offers of the same weeks, weighted by one over the
    propensity and adjusted for what was foreseeable (cross-fitted AIPW). Offers of a member count together in standard
    errors. Recall gets intervals for shares, margin and net value those for means. What is said of all comparisons
    tested holds at once: see :mod:`training.multiplicity`.
    """
    guardrails = programme.guardrails
    logs = _comparable(given, guardrails)
    evidence = _evidence(logs)
    segments = by_segment(logs, programme)
    comparisons = compare(segments, programme)
    separations = family(comparisons, evidence, guardrails)
    compared = tested(comparisons, separations, programme)
    reaches = (float(norm.ppf((1 + guardrails.confidence) / 2)), interval_z(len(separations), guardrails.confidence))
    estimated = [_effect(one, reaches, evidence, guardrails) for one in compared]
    effects = with_pooled(estimated, segments, evidence, programme)
    advantages = _advantages(effects, segments, programme, reaches)
    return PolicyTable(
        created_at=datetime.now(UTC).replace(tzinfo=None),
        programme_name=programme.name,
        as_of=as_of,
        evidence=evidence,
        response_days=guardrails.response_days,
        confidence=guardrails.confidence,
        offers=sum(len(log.offers) for log in logs),
        maturing=sum(log.maturing for log in given),
        warnings=(*(warning for log in given for warning in log.warnings), *disagreements(compared)),
        effects=tuple(effects),
        advantages=advantages,
        choices={
            segment: cheapest_effective(
                [effect for effect in effects if effect.policy_segment == segment],
                programme.arms,
                guardrails,
                advantages=[advantage for advantage in advantages if advantage.policy_segment == segment],
            )
            for segment in POLICY_SEGMENTS
        },
    )


def effects_frame(policy: PolicyTable) -> pd.DataFrame:
    """Lay out a policy table with one row per policy segment and incentive, and whether it was chosen."""
    frame = pd.json_normalize([effect.model_dump() for effect in policy.effects], sep="_")
    chosen = [policy.choices[effect.policy_segment].incentive_id == effect.incentive_id for effect in policy.effects]
    return frame.assign(chosen=chosen)


def _comparable(logs: Sequence[OfferLog], guardrails: Guardrails) -> Sequence[OfferLog]:
    """Leave out observational logs where others were randomised, unless the programme accepts them as evidence."""
    by_lot = [log for log in logs if log.evidence in ("randomised", "propensity")]
    return logs if guardrails.accept_observational or not by_lot else by_lot


def _evidence(logs: Sequence[OfferLog]) -> Evidence:
    """Return what all logs together are good for: as much as the weakest that says anything."""
    kinds = {log.evidence for log in logs}
    return next((kind for kind in WEAKEST_FIRST if kind in kinds), "none")


def by_segment(logs: Sequence[OfferLog], programme: Programme) -> dict[str, SegmentEvidence]:
    """Lay out what offer logs tell of every policy segment, ready to be compared."""
    split = [_segment_logs(log, programme) for log in logs]
    return {segment: SegmentEvidence([of_log[segment] for of_log in split]) for segment in POLICY_SEGMENTS}


def _segment_logs(log: OfferLog, programme: Programme) -> dict[str, SegmentLog]:
    """Split the log by segment, with weights and what was foreseeable of each offer."""
    offers = log.offers.assign(weight=1.0 if log.evidence == "observational" else 1 / log.offers["propensity"])
    if log.covariates and len(offers) >= FORESEEABLE:
        offers = _adjustable(offers, log, programme)
    return {segment: SegmentLog(offers[offers["policy_segment"] == segment]) for segment in POLICY_SEGMENTS}


def _adjustable(offers: pd.DataFrame, log: OfferLog, programme: Programme) -> pd.DataFrame:
    """Add what was foreseeable of each offer and, where nobody logged it, how likely each incentive was."""
    placed = offers.assign(
        segment_number=pd.Categorical(offers["policy_segment"], POLICY_SEGMENTS).codes,
        week_number=(offers["week"] - offers["week"].min()).dt.days // 7,
    )
    inputs = [*log.covariates, "segment_number", "week_number"]
    learning = {"seed": programme.training.seed, "threads": programme.training.threads}
    outcomes = [name.removeprefix("foreseen_") for name in FORESEEN]
    foreseen = foresee(placed, inputs, outcomes, **learning)
    adjustable = offers.assign(**dict(zip(FORESEEN, foreseen.T, strict=True)))
    if log.evidence != "observational":
        return adjustable
    chances = estimate_chances(placed, inputs, **learning)
    columns = chances.columns.get_indexer(pd.Index(offers["incentive_id"].map(chance_column)))
    own = chances.to_numpy()[np.arange(len(offers)), columns]
    return adjustable.join(chances).assign(weight=1 / np.maximum(own, OVERLAP))


def _effect(compared: Comparison, reaches: tuple[float, float], evidence: Evidence, guardrails: Guardrails) -> Effect:
    recall, margin, net = _estimates(compared.contrast, reaches)
    if compared.recalls and recall.simultaneous_low <= guardrails.recall_floor:
        just_above = float(np.nextafter(guardrails.recall_floor, np.inf))
        recall = recall.model_copy(update={"simultaneous_low": just_above})
    verdict, why = judge(
        n_treated=compared.n_treated,
        n_control=compared.n_control,
        recall=recall,
        net=net,
        evidence=evidence,
        guardrails=guardrails,
    )
    effect = Effect(
        policy_segment=compared.segment,
        incentive_id=compared.incentive_id,
        n_treated=compared.n_treated,
        n_control=compared.n_control,
        recall=recall,
        margin=margin,
        net=net,
        cost_per_member=compared.cost_per_member,
        cost_se=compared.cost_se,
        redemption_rate=compared.redemption_rate,
        **_trust(compared.contrast, recall),
        verdict=verdict,
        why=why,
    )
    if verdict != "insufficient_evidence":
        return effect
    sample = f"a test needs about {needed_sample(effect, guardrails):,} members per arm"
    return effect.model_copy(update={"why": f"{why}; {sample}"})


def _trust(contrast: Contrast | None, recall: Estimate) -> dict[str, float]:
    """Tell how many equally weighted offers tell as much, and what it would take to explain the effect away."""
    if contrast is None:
        return {}
    treated, control = contrast.effective_sizes
    e_value = unseen_strength(float(contrast.base[RECALL]), low=recall.low, high=recall.high)
    return {"effective_treated": treated, "effective_control": control, "e_value": e_value}


def _estimates(contrast: Contrast | None, reaches: tuple[float, float]) -> list[Estimate]:
    """Estimate the difference in each outcome, with pointwise and simultaneous intervals."""
    if contrast is None:
        return [UNKNOWN] * len(OUTCOMES)
    return [_estimate(contrast, number, reaches) for number in range(len(OUTCOMES))]


def _estimate(contrast: Contrast, outcome: int, reaches: tuple[float, float]) -> Estimate:
    interval = contrast.share_interval if outcome == RECALL else contrast.mean_interval
    (low, high), (simultaneous_low, simultaneous_high) = (interval(outcome, z) for z in reaches)
    return Estimate(
        value=float(contrast.difference[outcome]),
        se=float(contrast.se[outcome]),
        low=low,
        high=high,
        simultaneous_low=simultaneous_low,
        simultaneous_high=simultaneous_high,
    )


def _advantages(
    effects: list[Effect], segments: dict[str, SegmentEvidence], programme: Programme, reaches: tuple[float, float]
) -> tuple[Advantage, ...]:
    """Compare effective incentives of a segment with each other: what the dearer one brings beyond the cheaper."""
    advantages = []
    for name, segment in segments.items():
        ranked = effective_by_cost([one for one in effects if one.policy_segment == name], programme.arms)
        for cheaper, dearer in combinations(ranked, 2):
            contrast = segment.contrast(dearer.incentive_id, cheaper.incentive_id)
            if contrast is not None:
                net = _estimate(contrast, NET, reaches)
                advantages.append(
                    Advantage(policy_segment=name, incentive_id=dearer.incentive_id, over=cheaper.incentive_id, net=net)
                )
    return tuple(advantages)
