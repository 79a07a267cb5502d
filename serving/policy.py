"""The cheapest incentive shown to work in a segment, and what may keep a member from getting it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Guardrails, Incentive, Programme
from serving.assignment import assign
from serving.bundle import Advantage, Choice, Effect, Estimate, Evidence, PolicyTable
from serving.consent import consenting
from serving.incentives import eligible_incentives

Verdict = Literal["effective", "no_effect", "not_worth_it", "insufficient_evidence", "observational_only"]

NET_CONFIDENCE: Final = 0.9
POWER: Final = 0.8
WORST_VARIANCE: Final = 0.25
"""Largest variance a yes-or-no outcome can have; stands in where nothing has been observed."""
SMALLEST_DIFFERENCE: Final = 1e-6
LARGEST_SAMPLE: Final = 1_000_000_000
"""More members than anybody has: said where the net value seen is next to nothing."""

_REASONS: Final = ("observational_only", "insufficient_evidence", "not_worth_it", "no_effect")
_COLUMNS: Final = {
    "recommended_incentive": "str",
    "expected_cost": "float64",
    "expected_recall": "float64",
    "expected_recall_low": "float64",
    "expected_recall_high": "float64",
    "evidence": "str",
    "no_offer_reason": "str",
}


def judge(
    *, n_treated: int, n_control: int, recall: Estimate, net: Estimate, evidence: Evidence, guardrails: Guardrails
) -> tuple[Verdict, str]:
    """Say what an incentive was shown to do in a segment.

    Parameters
    ----------
    n_treated, n_control
        Offers measured.
    recall
        Added share of members who order again; its simultaneous interval decides.
    net
        Added value after cost, per member treated; its one-sided 90 % lower bound decides.
    evidence
        What the offer log is good for.
    guardrails
        The programme's limits.

    Returns
    -------
    tuple
        The verdict and a sentence why. An interval too wide to tell is `insufficient_evidence`, not `no_effect`.
    """
    if evidence == "observational" and n_treated and not guardrails.accept_observational:
        return "observational_only", "who got it was neither randomised nor logged with propensities"
    if n_treated < guardrails.min_treated or n_control < guardrails.min_control:
        return "insufficient_evidence", (
            f"{n_treated} treated and {n_control} control offers; "
            f"needed are at least {guardrails.min_treated} and {guardrails.min_control}"
        )
    bounds = f"{100 * recall.simultaneous_low:+.1f} to {100 * recall.simultaneous_high:+.1f} percentage points"
    if recall.simultaneous_low > guardrails.recall_floor:
        return _judge_net(net, guardrails.loss_tolerance)
    if recall.simultaneous_high < guardrails.recall_floor + guardrails.detectable_recall:
        return "no_effect", f"the effect on recall lies within {bounds}, short of what would count"
    return "insufficient_evidence", f"the effect on recall lies within {bounds}: too wide to tell"


def _judge_net(net: Estimate, loss_tolerance: float) -> tuple[Verdict, str]:
    low = _least(net)
    amounts = f"net value per member is {net.value:.2f}, with 90 % confidence at least {low:.2f}"
    if low >= -loss_tolerance:
        return "effective", f"recalls, and {amounts}"
    if net.value < -loss_tolerance:
        return "not_worth_it", f"recalls, but {amounts}"
    return "insufficient_evidence", f"recalls and may pay, but {amounts}"


def needed_sample(effect: Effect, guardrails: Guardrails) -> int:
    """Members per arm with whom a test would settle the question with 80 % power.

    The question is whether recall rises by the programme's detectable effect or, where it was shown to rise, whether
    the net value seen so far holds.
    """
    few = effect.n_treated < guardrails.min_treated or effect.n_control < guardrails.min_control
    if few or not effect.recall.simultaneous_low > guardrails.recall_floor:
        z, variance = _simultaneous_z(effect.recall, guardrails), _variance_per_member(effect, effect.recall)
        difference = guardrails.detectable_recall
    else:
        z, variance = float(norm.ppf(NET_CONFIDENCE)), _variance_per_member(effect, effect.net)
        difference = effect.net.value + guardrails.loss_tolerance
    sample = 2 * variance * ((z + norm.ppf(POWER)) / max(difference, SMALLEST_DIFFERENCE)) ** 2
    return max(int(np.ceil(min(sample, LARGEST_SAMPLE))), guardrails.min_treated, guardrails.min_control)


def _variance_per_member(effect: Effect, estimate: Estimate) -> float:
    if not estimate.se > 0 or not min(effect.n_treated, effect.n_control):
        return WORST_VARIANCE
    return estimate.se**2 / (1 / effect.n_treated + 1 / effect.n_control)


def _simultaneous_z(estimate: Estimate, guardrails: Guardrails) -> float:
    if not estimate.se > 0:
        return float(norm.ppf((1 + guardrails.confidence) / 2))
    return (estimate.simultaneous_high - estimate.simultaneous_low) / (2 * estimate.se)


def effective_by_cost(effects: Iterable[Effect], incentives: Iterable[Incentive]) -> list[Effect]:
    """Return the effective ones among the programme's incentives, cheapest first; ties break by id."""
    offered = {incentive.id for incentive in incentives}
    effective = [effect for effect in effects if effect.verdict == "effective" and effect.incentive_id in offered]
    return sorted(effective, key=lambda effect: (effect.cost_per_member, effect.incentive_id))


def with_upgrade(ranked: Sequence[Effect], advantages: Iterable[Advantage], guardrails: Guardrails) -> Effect:
    """Choose the cheapest of effective incentives, or the dearer one whose net value surely beats it.

    Parameters
    ----------
    ranked
        Effective incentives of one segment, cheapest first; at least one.
    advantages
        Direct contrasts within that segment.
    guardrails
        Of which ``upgrade_margin`` must lie below an upgrade's lower bound.
    """
    cheapest = ranked[0]
    dearer = {effect.incentive_id: effect for effect in ranked[1:]}
    upgrades = [
        advantage
        for advantage in advantages
        if advantage.over == cheapest.incentive_id
        and advantage.incentive_id in dearer
        and _least(advantage.net, among=len(dearer)) > guardrails.upgrade_margin
    ]
    if not upgrades:
        return cheapest
    return dearer[max(upgrades, key=lambda upgrade: (upgrade.net.value, upgrade.incentive_id)).incentive_id]


def _least(net: Estimate, *, among: int = 1) -> float:
    """Return the lower bound that so many net values keep at once with 90 % confidence."""
    return float(net.value - norm.isf((1 - NET_CONFIDENCE) / among) * net.se)


def cheapest_effective(
    effects: Sequence[Effect],
    incentives: Iterable[Incentive],
    guardrails: Guardrails,
    *,
    advantages: Sequence[Advantage] = (),
) -> Choice:
    """Choose among nothing, the lowest-cost effective incentive of one policy segment and upgrades of it.

    Where nothing is effective, the reason is that of the incentive nearest to being so: one not yet known to fail
    comes before one that does not pay, and that before one that does not work.
    """
    ranked = effective_by_cost(effects, incentives)
    if ranked:
        chosen = with_upgrade(ranked, advantages, guardrails)
        return Choice(incentive_id=chosen.incentive_id, reason=None, why=_why(chosen, ranked, effects, advantages))
    verdicts = {effect.verdict for effect in effects}
    reason = next((reason for reason in _REASONS if reason in verdicts), "insufficient_evidence")
    nearest = sorted((effect for effect in effects if effect.verdict == reason), key=lambda effect: effect.incentive_id)
    why = "; ".join(f"{effect.incentive_id}: {effect.why}" for effect in nearest) or "nothing may be offered here"
    open_questions = nearest if reason == "insufficient_evidence" else []
    needed = min((needed_sample(effect, guardrails) for effect in open_questions), default=None)
    return Choice(incentive_id=None, reason=reason, why=why, needed_sample=needed)


def _why(chosen: Effect, ranked: Sequence[Effect], effects: Iterable[Effect], advantages: Iterable[Advantage]) -> str:
    """Say why nothing cheaper and, for an upgrade, what it is worth beyond the cheapest that works."""
    passed_over = [
        f"not {effect.incentive_id}: {effect.why}"
        for effect in sorted(effects, key=lambda effect: effect.incentive_id)
        if effect.verdict != "effective" and not effect.cost_per_member >= chosen.cost_per_member
    ]
    if chosen is ranked[0]:
        return "; ".join([f"{chosen.incentive_id} is the cheapest that works", *passed_over])
    (net,) = (
        advantage.net
        for advantage in advantages
        if (advantage.incentive_id, advantage.over) == (chosen.incentive_id, ranked[0].incentive_id)
    )
    gain = (
        f"compared directly with {ranked[0].incentive_id}, the cheapest that works, {chosen.incentive_id} brings "
        f"{net.value:.2f} more per member after cost, surely {_least(net, among=len(ranked) - 1):.2f}"
    )
    return "; ".join([gain, *passed_over])


def decide(
    members: pd.DataFrame,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: pd.DataFrame | None,
    unsubscribed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Recommend and assign an incentive, or nothing and why, to every member.

    Parameters
    ----------
    members
        Features, scores and segments, one row per member: ``member_id``, ``tier``, ``state``, ``persona``,
        ``policy_segment``, ``order_count``, ``value_per_year``, ``value_if_active``, ``last_assignment_days`` and
        ``messages_per_week_28d``.
    policy
        Effects per policy segment; ``None`` if they were never estimated.
    programme
        Incentives and guardrails.
    as_of
        Instant of the decision, naive UTC.
    contacts, unsubscribed
        As in :func:`serving.consent.consenting`.

    Returns
    -------
    pandas.DataFrame
        In the index of ``members``: ``member_id``, ``recommended_incentive``, ``expected_cost``, ``expected_recall``
        with ``expected_recall_low`` and ``expected_recall_high`` (the simultaneous bounds, which decided),
        ``evidence``, ``no_offer_reason`` (the first that applies) and the columns of
        :func:`serving.assignment.assign`.
    """
    eligible = eligible_incentives(members, programme.incentives)
    consented = consenting(members["member_id"], programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    segments = members["policy_segment"]
    parts = [_nothing(members.index[segments.isna()], reason="not_lapsed", evidence="none")]
    for segment in sorted(segments.dropna().unique()):
        rows = np.asarray(segments == segment)
        parts.append(_recommend_in(segment, members[rows], policy, programme, eligible[rows], consented[rows]))
    advice = pd.concat(parts).reindex(index=members.index, columns=list(_COLUMNS)).astype(_COLUMNS)
    advice.insert(0, "member_id", members["member_id"])
    rules = programme.guardrails
    today = programme.local_date(as_of)
    return advice.join(assign(advice, as_of=today, holdout_share=rules.holdout_share, seed=rules.seed))


def _recommend_in(
    segment: str,
    members: pd.DataFrame,
    policy: PolicyTable | None,
    programme: Programme,
    eligible: pd.DataFrame,
    consented: pd.DataFrame,
) -> pd.DataFrame:
    if policy is None or segment not in policy.choices:
        return _nothing(members.index, reason="insufficient_evidence", evidence="none")
    effects = [effect for effect in policy.effects if effect.policy_segment == segment]
    ranked = effective_by_cost(effects, programme.incentives)
    if not ranked:
        reason = policy.choices[segment].reason or "insufficient_evidence"
        return _nothing(members.index, reason=reason, evidence=policy.evidence)
    ids = [effect.incentive_id for effect in ranked]
    may_get = eligible[ids].to_numpy(dtype=bool)
    may_be_sent = may_get & consented[ids].to_numpy(dtype=bool)
    advantages = [advantage for advantage in policy.advantages if advantage.policy_segment == segment]
    guardrails = programme.guardrails
    cap = guardrails.cost_share * annual_value(members, programme).to_numpy()
    is_worth_it = may_be_sent & (np.array([effect.cost_per_member for effect in ranked]) <= cap[:, None])
    best = _best(ranked, is_worth_it, advantages, guardrails)
    offers = _offers(ranked).iloc[best].set_index(members.index)
    bites = {
        "ineligible": ~may_get.any(axis=1),
        "consent": ~may_be_sent.any(axis=1),
        "cooldown": members["last_assignment_days"] < guardrails.cooldown_days,
        "message_cap": members["messages_per_week_28d"] >= guardrails.messages_per_week,
        "cost_cap": ~is_worth_it.any(axis=1),
    }
    first = pd.Series(np.select(list(bites.values()), list(bites), ""), index=members.index, dtype="str")
    free = first == ""
    advice: pd.DataFrame = offers.where(free)
    return advice.assign(evidence=policy.evidence, no_offer_reason=first.mask(free))


def _best(
    ranked: Sequence[Effect], possible: np.ndarray, advantages: Sequence[Advantage], guardrails: Guardrails
) -> np.ndarray:
    """Choose for each member among what is possible; return places in ``ranked``, the first for want of any."""
    kinds, kind = np.unique(possible, axis=0, return_inverse=True)
    chosen = np.zeros(len(kinds), dtype=int)
    for number, allowed in enumerate(kinds):
        places = np.flatnonzero(allowed)
        if len(places):
            choice = with_upgrade([ranked[int(place)] for place in places], advantages, guardrails)
            chosen[number] = ranked.index(choice)
    return chosen[kind]


def _offers(effects: Iterable[Effect]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recommended_incentive": effect.incentive_id,
            "expected_cost": effect.cost_per_member,
            "expected_recall": effect.recall.value,
            "expected_recall_low": effect.recall.simultaneous_low,
            "expected_recall_high": effect.recall.simultaneous_high,
        }
        for effect in effects
    )


def annual_value(members: pd.DataFrame, programme: Programme) -> pd.Series:
    """Historic value per year, and twelve months of the value if active."""
    return members["value_per_year"].fillna(0) + members["value_if_active"] * 365 / programme.horizons.value_days


def _nothing(index: pd.Index, *, reason: str, evidence: Evidence) -> pd.DataFrame:
    return pd.DataFrame({"evidence": evidence, "no_offer_reason": reason}, index=index)
