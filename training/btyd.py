"""Buy-till-you-die models by maximum likelihood: when members order (MBG/NBD, BG/NBD) and how much (Gamma-Gamma).

Both searches run over logarithms of the parameters with the analytic gradient. A weak penalty, the distance from a
centre taken from the data, decides what the data leave open: a handful of members, nobody repeating or everybody
spending the same still give finite, sensible parameters. Its weight does not grow with the number of members, so it
fades as evidence comes in.

References
----------
Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model.
Batislam, Denizel and Filiztekin (2007), Empirical Validation and Comparison of Models for Customer Base Analysis.
Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from serving.bundle import BetaGeometric, GammaGamma

Floats = NDArray[np.float64]
LogLikelihood = Callable[[Floats], tuple[float, Floats]]

PENALTY = 0.1
_FAR = np.log(1e4)
_MEAN_SPEND_FACTOR = np.log(2.0)
_SHORTEST_AGE = 1e-9
_SMALLEST_SPEND = 1e-6
"""Values have six decimals: means below are none, only rounded otherwise."""
"""Below any clock's tick, whatever the unit: nobody has been observed."""


def fit_beta_geometric(
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    leaves_after_first: bool = True,
    penalty: float = PENALTY,
) -> BetaGeometric:
    """Fit MBG/NBD or BG/NBD to members' order histories.

    Parameters
    ----------
    frequency
        Repeat orders: orders after the first.
    recency
        Time from the first order to the last; 0 for members with one order.
    age
        Time from the first order to now. The parameters are in its unit.
    leaves_after_first
        Whether members may leave after their first order already, as MBG/NBD has it; BG/NBD lets them leave after
        repeat orders only.
    penalty
        Weight of the squared distance of the log parameters from their centre; 0 is plain maximum likelihood.
    """
    histories = _histories(frequency, recency, age)
    total_orders = float(histories.weight @ histories.frequency)
    total_age = float(histories.weight @ histories.age)
    time_per_order = total_age / (total_orders + 0.5) if total_age > _SHORTEST_AGE else 1.0
    logs = _maximise(
        lambda logs: _beta_geometric(logs, histories, int(leaves_after_first)),
        centre=np.log([1.0, time_per_order, 1.0, 3.0]),
        reach=np.full(4, _FAR),
        penalty=penalty,
        members=histories.weight.sum(),
    )
    r, alpha, a, b = np.exp(logs).tolist()
    return BetaGeometric(r=r, alpha=alpha, a=a, b=b, leaves_after_first=leaves_after_first)


def beta_geometric_log_likelihood(
    parameters: BetaGeometric, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> float:
    """Return the log likelihood of the histories under an MBG/NBD or BG/NBD model."""
    logs = np.log([parameters.r, parameters.alpha, parameters.a, parameters.b])
    return _beta_geometric(logs, _histories(frequency, recency, age), int(parameters.leaves_after_first))[0]


def fit_gamma_gamma(frequency: ArrayLike, mean_value: ArrayLike, *, penalty: float = PENALTY) -> GammaGamma:
    """Fit the Gamma-Gamma model to members' mean spend.

    The search runs over p, q - 1 and the mean spend ``p v / (q - 1)`` of the population. That mean exists by
    construction and stays within a factor of two of the observed one, however heavy the tail.

    Parameters
    ----------
    frequency
        Orders each mean is taken over. Members without any are left out.
    mean_value
        Mean value of those orders. Means that are not positive are outside the model and left out.
    penalty
        As for `fit_beta_geometric`.
    """
    spends = _spends(frequency, mean_value)
    observed_mean = float(np.average(spends.mean_value, weights=spends.weight)) if len(spends.weight) else 1.0
    p, q_less_one, mean = np.exp(
        _maximise(
            lambda logs: _gamma_gamma(logs, spends),
            centre=np.log([2.0, 2.0, observed_mean]),
            reach=np.array([_FAR, _FAR, _MEAN_SPEND_FACTOR]),
            penalty=penalty,
            members=spends.weight.sum(),
        )
    ).tolist()
    return GammaGamma(p=p, q=1.0 + q_less_one, v=mean * q_less_one / p)


def _maximise(
    log_likelihood: LogLikelihood, *, centre: Floats, reach: Floats, penalty: float, members: float
) -> Floats:
    """Return the log parameters, within reach of the centre, with the best penalised log likelihood."""
    scale = max(members, 1.0)

    def loss(logs: Floats) -> tuple[float, Floats]:
        value, gradient = log_likelihood(logs)
        offset = logs - centre
        return (penalty * float(offset @ offset) - value) / scale, (2 * penalty * offset - gradient) / scale

    bounds = list(zip(centre - reach, centre + reach, strict=True))
    options = {"ftol": 1e-13, "gtol": 1e-8, "maxiter": 1000}
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64)


class _Histories(NamedTuple):
    """Distinct histories, how many members share each, and the same count by number of repeat orders."""

    frequency: Floats
    recency: Floats
    age: Floats
    weight: Floats
    orders: Floats
    orders_weight: Floats


class _Spends(NamedTuple):
    """Distinct pairs of order count and mean value, and how many members share each."""

    frequency: Floats
    mean_value: Floats
    weight: Floats


def _histories(frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> _Histories:
    rows, weight = _distinct(frequency, recency, age)
    orders, which = np.unique(rows[:, 0], return_inverse=True)
    orders_weight = np.bincount(which, weights=weight, minlength=len(orders)).astype(np.float64)
    return _Histories(rows[:, 0], rows[:, 1], np.maximum(rows[:, 1], rows[:, 2]), weight, orders, orders_weight)


def _spends(frequency: ArrayLike, mean_value: ArrayLike) -> _Spends:
    rows, weight = _distinct(frequency, mean_value)
    usable = (rows > 0).all(axis=1) & (rows[:, 1] >= _SMALLEST_SPEND)
    return _Spends(rows[usable, 0], rows[usable, 1], weight[usable])


def _distinct(*columns: ArrayLike) -> tuple[Floats, Floats]:
    """Return the distinct finite rows of the columns and how often each occurs."""
    rows = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    distinct, counts = np.unique(rows[np.isfinite(rows).all(axis=1)], axis=0, return_counts=True)
    return distinct, counts.astype(np.float64)


def _beta_geometric(logs: Floats, histories: _Histories, first: int) -> tuple[float, Floats]:
    """Return the log likelihood and its gradient, both in the log parameters.

    A member is still alive, or left right after the last order: equation 6 of the BG/NBD paper, as a sum over orders,
    where the gamma functions are, and one over histories. ``first`` is 1 where they may leave after the first order.
    """
    r, alpha, a, b = np.exp(logs)
    frequency, recency, age, weight, orders, orders_weight = histories
    chances, chances_by_orders = frequency + first, orders + first
    members = weight.sum()
    log_age, log_recency = np.log(alpha + age), np.log(alpha + recency)
    last_draw = b + np.maximum(chances, 1.0) - 1.0
    alive = -(r + frequency) * log_age
    dropped = np.where(chances > 0, np.log(a / last_draw) - (r + frequency) * log_recency, -np.inf)
    either = np.logaddexp(alive, dropped)
    value = (
        orders_weight @ (gammaln(r + orders) + gammaln(b + chances_by_orders) - gammaln(a + b + chances_by_orders))
        + members * (gammaln(a + b) - gammaln(r) - gammaln(b) + r * logs[1])
        + weight @ either
    )

    alive_weight = weight * np.exp(alive - either)
    dropped_weight = weight * np.exp(dropped - either)
    per_order = orders_weight @ (digamma(a + b) - digamma(a + b + chances_by_orders))
    by_r = (
        orders_weight @ (digamma(r + orders) - digamma(r))
        + members * logs[1]
        - alive_weight @ log_age
        - dropped_weight @ log_recency
    )
    by_alpha = members * r / alpha - (r + frequency) @ (
        alive_weight / (alpha + age) + dropped_weight / (alpha + recency)
    )
    by_a = per_order + dropped_weight.sum() / a
    stayed = orders_weight @ (digamma(b + chances_by_orders) - digamma(b))
    by_b = per_order + stayed - dropped_weight @ (1.0 / last_draw)
    return float(value), np.array([r * by_r, alpha * by_alpha, a * by_a, b * by_b])


def _gamma_gamma(logs: Floats, spends: _Spends) -> tuple[float, Floats]:
    """Return the Gamma-Gamma log likelihood and its gradient in the logs of p, q - 1 and the mean spend."""
    p, q_less_one, mean = np.exp(logs)
    q, v = 1.0 + q_less_one, mean * q_less_one / p
    frequency, mean_value, weight = spends
    members = weight.sum()
    shape = p * frequency
    total = v + frequency * mean_value
    log_total = np.log(total)
    log_share = np.log(frequency * mean_value) - log_total
    value = weight @ (
        gammaln(shape + q) - gammaln(shape) - np.log(mean_value) + shape * log_share - q * log_total
    ) + members * (q * np.log(v) - gammaln(q))

    by_p = (weight * frequency) @ (digamma(shape + q) - digamma(shape) + log_share)
    by_q = weight @ (digamma(shape + q) - log_total) + members * (np.log(v) - digamma(q))
    v_by_v = members * q - weight @ ((shape + q) * v / total)
    return float(value), np.array([p * by_p - v_by_v, q_less_one * by_q + v_by_v, v_by_v])
