"""Effects pooled over policy segments: what to expect of an incentive where its own offers tell little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.settings_incentives import Guardrails
from serving.policy import bets_on
from serving.policy_table import Effect, Estimate, Evidence, Pooled

SPREADS: Final = 200
"""Spreads of true effects that are averaged over."""


def with_pooled(effects: Sequence[Effect], evidence: Evidence, guardrails: Guardrails) -> list[Effect]:
    """Add pooled estimates to effects and, where the programme accepts bets, tell which are worth one."""
    recall, net = ([getattr(effect, name) for effect in effects] for name in ("recall", "net"))
    incentives = np.array([effect.incentive_id for effect in effects])
    pooled = zip(effects, _pooled(recall, incentives), _pooled(net, incentives), strict=True)
    return [
        bets_on(effect.model_copy(update={"pooled_recall": of_recall, "pooled_net": of_net}), evidence, guardrails)
        for effect, of_recall, of_net in pooled
    ]


def shrink(values: np.ndarray, errors: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pull estimates towards the mean of their group, the less sure ones further.

    True effects are taken to be normal around their group's mean, with one spread for all groups. Neither means nor
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
    """Return posterior means and variances for a known spread of true effects, and its log-likelihood.

    ``belongs`` has one column per group: 1 where an estimate belongs to it.
    """
    precision = 1 / (spread**2 + errors**2)
    total = precision @ belongs
    mean = belongs @ ((precision * values) @ belongs / total)
    likely = (np.log(precision).sum() - np.log(total).sum() - (precision * (values - mean) ** 2).sum()) / 2
    own = spread**2 * precision
    variances = own * errors**2 + (1 - own) ** 2 * (belongs @ (1 / total))
    return own * values + (1 - own) * mean, variances, float(likely)


def _pooled(estimates: Sequence[Estimate], incentives: np.ndarray) -> list[Pooled | None]:
    values, errors = (np.array([getattr(one, name) for one in estimates], dtype=float) for name in ("value", "se"))
    told = np.flatnonzero(np.isfinite(values) & (errors > 0))
    pooled: list[Pooled | None] = [None] * len(estimates)
    if len(told):
        means, deviations = shrink(values[told], errors[told], incentives[told])
        for place, mean, deviation in zip(told, means, deviations, strict=True):
            pooled[place] = Pooled(value=float(mean), se=float(deviation))
    return pooled
