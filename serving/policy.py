"""The cheapest incentive shown to work in a segment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import numpy as np
from scipy.stats import norm

from features.settings_incentives import Guardrails, Incentive
from serving.policy_table import Advantage, Choice, Effect, Estimate, Evidence

Verdict = Literal["effective", "bet", "no_effect", "not_worth_it", "insufficient_evidence", "observational_only"]

NET_CONFIDENCE: Final = 0.9
POWER: Final = 0.8
WORST_VARIANCE: Final = 0.25
"""Largest variance a yes-or-no outcome can have; stands in where nothing has been observed."""
SMALLEST_DIFFERENCE: Final = 1e-6
LARGEST_SAMPLE: Final = 1_000_000_000
"""More members than anybody has: said where the net value seen is next to nothing."""

_REASONS: Final = ("observational_only", "insufficient_evidence", "not_worth_it", "no_effect")


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


def bets_on(effect: Effect, evidence: Evidence, guardrails: Guardrails) -> Effect:
    """Turn an effect that is not settled yet into a bet, where the programme accepts bets and this one should pay.

    It should where the pooled estimates expect more recalls than the floor and a net value above zero. What nobody drew
    lots for is never bet on, unless the programme accepts such evidence.
    """
    trusted = evidence != "observational" or guardrails.accept_observational
    recall, net = effect.pooled_recall, effect.pooled_net
    if guardrails.mode != "best_bet" or effect.verdict != "insufficient_evidence" or not trusted:
        return effect
    if recall is None or net is None or recall.value <= guardrails.recall_floor or net.value <= 0:
        return effect
    chance = float(norm.cdf(net.value / net.se)) if net.se > 0 else 1.0
    expected = f"pooled over segments it is expected to bring {net.value:.2f} per member, above zero with {chance:.0%}"
    return effect.model_copy(update={"verdict": "bet", "why": f"not proven; {expected} ({effect.why})"})


def best_bets(effects: Iterable[Effect], incentives: Iterable[Incentive]) -> list[Effect]:
    """Return the bets among the programme's incentives, the most valuable one expected first; ties break by id."""
    offered = {incentive.id for incentive in incentives}
    bets = [
        (-effect.pooled_net.value, effect.incentive_id, effect)
        for effect in effects
        if effect.verdict == "bet" and effect.pooled_net is not None and effect.incentive_id in offered
    ]
    return [effect for *_, effect in sorted(bets, key=lambda bet: bet[:2])]


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

    Where nothing is effective, the best bet is chosen if there is any (:func:`bets_on`). Otherwise the reason is that
    of the incentive nearest to being effective: one not yet known to fail comes before one that does not pay, and that
    before one that does not work. Where nothing may be offered at all it is `ineligible`.
    """
    incentives = tuple(incentives)
    ranked = effective_by_cost(effects, incentives)
    if ranked:
        chosen = with_upgrade(ranked, advantages, guardrails)
        return Choice(incentive_id=chosen.incentive_id, reason=None, why=_why(chosen, ranked, effects, advantages))
    bets = best_bets(effects, incentives)
    if bets:
        return Choice(
            incentive_id=bets[0].incentive_id, reason=None, why=f"a bet on {bets[0].incentive_id}: {bets[0].why}"
        )
    verdicts = {effect.verdict for effect in effects}
    reason = next((reason for reason in _REASONS if reason in verdicts), "ineligible")
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
