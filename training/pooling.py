"""Effects pooled over policy segments and incentives: what to expect where an incentive's own offers tell little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from features.programme import Programme
from serving.policy import bets_on
from serving.policy_table import Effect, Evidence, Pooled
from training.segment_log import SegmentEvidence

SHARED, OF_INCENTIVE, OWN = 0.5, 0.25, 0.75
"""Standard deviations, around nothing, of what effects on recall are made of: a part all share, one of the incentive,
and one of its own in each segment. In units of the programme's detectable effect; documented, not estimated: the logs
bets are made on are too small to tell spreads."""

BORROWED_ORDERS: Final = 10
"""As if every segment had so many orders more that are like those of all segments together."""

SPREADS: Final = 200
"""Spreads of redemption rates that are averaged over."""


def with_pooled(
    effects: Sequence[Effect], segments: Mapping[str, SegmentEvidence], evidence: Evidence, programme: Programme
) -> list[Effect]:
    """Add pooled estimates to effects and, where the programme accepts bets, tell which are worth one.

    Recall is pooled as :func:`expected_recall` says. Net value follows from it: those recalled bring what others of
    their segment bring who order, and as many redeem as the incentive's offers in all segments make likely.
    """
    told = [
        number for number, effect in enumerate(effects) if effect.recall.se > 0 and (effect.effective_control or 0) > 0
    ]
    pooled = dict(zip(told, _pooled([effects[number] for number in told], segments, programme), strict=True))
    return [
        bets_on(effect.model_copy(update=pooled.get(number, {})), evidence, programme.guardrails)
        for number, effect in enumerate(effects)
    ]


def expected_recall(
    values: np.ndarray,
    *,
    treated_variances: np.ndarray,
    control_variances: np.ndarray,
    segments: np.ndarray,
    incentives: np.ndarray,
    detectable: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what effects on recall are expected to be, given all estimates, and how sure that is.

    A Gaussian model: a priori effects lie around nothing, those of one incentive nearer to each other than those of
    different ones; estimates of a segment err together, because they share its control offers. It is the best linear
    prediction for any distribution with these spreads, such as one in which half of the effects are nothing.

    Parameters
    ----------
    values
        Estimated effects.
    treated_variances, control_variances
        Of the estimates' two arms.
    segments, incentives
        Of each estimate.
    detectable
        The effect on recall that the programme cares to find; spreads are in units of it.

    Returns
    -------
    tuple
        Posterior means and standard deviations.
    """
    alone = np.eye(len(values))
    prior = detectable**2 * (SHARED**2 + OF_INCENTIVE**2 * _same(incentives) + OWN**2 * alone)
    errors = treated_variances * alone + _same(segments) * np.sqrt(np.outer(control_variances, control_variances))
    taken = np.linalg.solve(prior + errors, prior).T
    return taken @ values, np.sqrt(np.diag(prior - taken @ prior))


def shrink(values: np.ndarray, errors: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pull estimates towards the mean of their group, the less sure ones further.

    True values are taken to be normal around their group's mean, with one spread for all groups. Neither means nor
    spread are taken as known: both are averaged over, a priori evenly (Gelman et al., Bayesian Data Analysis, 5.4).

    Parameters
    ----------
    values, errors
        Estimates and their standard errors, positive.
    groups
        Of each estimate.

    Returns
    -------
    tuple
        Posterior means and standard deviations.
    """
    belongs = (groups[:, None] == np.unique(groups)).astype(float)
    spreads = np.linspace(0, 2 * (float(np.ptp(values)) or float(errors.max())), SPREADS)
    given = [shrink_given(values, errors, belongs, spread) for spread in spreads]
    likely = np.array([each[2] for each in given])
    weights = np.exp(likely - likely.max())
    weights /= weights.sum()
    means, variances = (np.array([each[number] for each in given]) for number in (0, 1))
    mean = weights @ means
    return mean, np.sqrt(weights @ (variances + (means - mean) ** 2))


def shrink_given(
    values: np.ndarray, errors: np.ndarray, belongs: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return posterior means and variances for a known spread of true values, and its log-likelihood.

    ``belongs`` has one column per group: 1 where an estimate belongs to it.
    """
    precision = 1 / (spread**2 + errors**2)
    total = precision @ belongs
    mean = belongs @ ((precision * values) @ belongs / total)
    likely = (np.log(precision).sum() - np.log(total).sum() - (precision * (values - mean) ** 2).sum()) / 2
    own = spread**2 * precision
    variances = own * errors**2 + (1 - own) ** 2 * (belongs @ (1 / total))
    return own * values + (1 - own) * mean, variances, float(likely)


def _pooled(
    effects: Sequence[Effect], segments: Mapping[str, SegmentEvidence], programme: Programme
) -> list[dict[str, Pooled]]:
    """Pool effects on recall, and with them net value."""
    if not effects:
        return []
    own, incentives = (
        np.array([getattr(effect, name) for effect in effects]) for name in ("policy_segment", "incentive_id")
    )
    orders = _orders(segments)
    rate, worth = (np.array([orders[segment][number] for segment in own]) for number in (0, 1))
    treated, control = (
        np.array([getattr(effect, f"effective_{arm}") for effect in effects]) for arm in ("treated", "control")
    )
    recall, unsure = expected_recall(
        np.array([effect.recall.value for effect in effects]),
        treated_variances=rate * (1 - rate) / treated,
        control_variances=rate * (1 - rate) / control,
        segments=own,
        incentives=incentives,
        detectable=programme.guardrails.detectable_recall,
    )
    cost, cost_unsure = _costs(effects, incentives, programme)
    net, net_unsure = worth * recall - cost, np.hypot(worth * unsure, cost_unsure)
    return [
        {"pooled_recall": Pooled(value=value, se=se), "pooled_net": Pooled(value=net_value, se=net_se)}
        for value, se, net_value, net_se in np.column_stack([recall, unsure, net, net_unsure]).tolist()
    ]


def _orders(segments: Mapping[str, SegmentEvidence]) -> dict[str, tuple[float, float]]:
    """Return per segment the share of offers followed by an order, and what such orders bring."""
    counts = np.array([segment.orders() for segment in segments.values()])
    offers, recalled, margin = counts.sum(axis=0)
    rate = max(recalled, 1) / offers
    borrowed = BORROWED_ORDERS * np.array([1 / rate, 1, margin / max(recalled, 1)])
    return {
        name: (float(ordering / of), float(brought / ordering))
        for name, (of, ordering, brought) in zip(segments, counts + borrowed, strict=True)
    }


def _costs(effects: Sequence[Effect], incentives: np.ndarray, programme: Programme) -> tuple[np.ndarray, np.ndarray]:
    """Return costs per member with redemptions pooled over an incentive's segments, and how sure they are."""
    face_values = {arm.id: arm.face_value for arm in programme.arms}
    face = np.array([face_values[incentive_id] for incentive_id in incentives])
    rates, treated, cost = (
        np.array([getattr(effect, name) for effect in effects])
        for name in ("redemption_rate", "n_treated", "cost_per_member")
    )
    same = _same(incentives)
    usual = (same @ (rates * treated) + 0.5) / (same @ treated + 1)
    pooled, unsure = shrink(rates, np.sqrt(usual * (1 - usual) / treated), incentives)
    return cost + face * (pooled - rates), face * unsure


def _same(names: np.ndarray) -> np.ndarray:
    return np.asarray(names[:, None] == names, dtype=float)
