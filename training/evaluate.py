"""How good the predictions were: metrics, tables and paired comparisons, as pure functions of two columns.

Every metric that is compared between models is written once, over weighted members: equal weights give its value,
bootstrap counts its uncertainty. An undefined metric (nobody churned, say) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kstest, norm, rankdata

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats], Floats]
"""Actual and predicted per member, and weights of shape (draws, members), to one value per draw."""

_SMALLEST_PROBABILITY = 1e-6
_SMALLEST_VALUE = 0.01
_BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A range that holds the quantity with the stated confidence."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How a metric differs between two models on the same members: second less first, with its interval."""

    first: float
    second: float
    interval: Interval

    @property
    def value(self) -> float:
        """Second less first."""
        return self.second - self.first


def churn_metrics(churned: ArrayLike, probability: ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Judge churn probabilities by ranking, by loss and by calibration beside the band of a perfect model."""
    actual, predicted = _paired(churned, probability)
    band = ece_band(predicted, seed=seed)
    return {
        "members": float(len(actual)),
        "churn_share": _mean(actual),
        "auc": _once(auc, actual, predicted),
        "average_precision": _once(average_precision, actual, predicted),
        "log_loss": _once(log_loss, actual, predicted),
        "brier": _once(squared_error, actual, predicted),
        "ece": expected_calibration_error(actual, predicted),
        "ece_band_low": band.low,
        "ece_band_high": band.high,
    }


def value_metrics(value: ArrayLike, expected_value: ArrayLike) -> dict[str, float]:
    """Judge expected values by error, by ranking and by level."""
    actual, predicted = _paired(value, expected_value)
    return {
        "members": float(len(actual)),
        "actual_total": float(actual.sum()),
        "predicted_total": float(predicted.sum()),
        "total_bias": _once(total_bias, actual, predicted),
        "rmse": _once(root_mean_squared_error, actual, predicted),
        "mae": _mean(np.abs(predicted - actual)),
        "tweedie_deviance": _once(tweedie_deviance, actual, predicted),
        "spearman": _spearman(actual, predicted),
        "normalised_gini": _once(normalised_gini, actual, predicted),
    }


def point_value(metric: Metric, actual: ArrayLike, predicted: ArrayLike) -> float:
    """Return a metric's value with every member counted once."""
    return _once(metric, *_paired(actual, predicted))


def interval_coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of actual values that lie in their intervals, ends included."""
    value, start = _paired(actual, low)
    return _mean((start <= value) & (value <= np.asarray(high, dtype=np.float64)))


def uniformity_distance(rank: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance from uniform of ranks in predictive distributions."""
    values = np.asarray(rank, dtype=np.float64)
    return float(kstest(values, "uniform").statistic) if len(values) else np.nan


def log_loss(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean negative log likelihood of 0/1 outcomes; probabilities are kept off 0 and 1 by a millionth."""
    chance = np.clip(predicted, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return _weighted_mean(-(actual * np.log(chance) + (1 - actual) * np.log1p(-chance)), weights)


def squared_error(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean squared difference; of probabilities, the Brier score."""
    return _weighted_mean((predicted - actual) ** 2, weights)


def root_mean_squared_error(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Root of the mean squared difference."""
    return np.sqrt(squared_error(actual, predicted, weights))


def tweedie_deviance(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean Tweedie deviance of power 1.5; negative actual values count as 0, predictions as at least a hundredth."""
    value, mean = np.maximum(actual, 0.0), np.maximum(predicted, _SMALLEST_VALUE)
    return _weighted_mean(4 * (np.sqrt(value) - np.sqrt(mean)) ** 2 / np.sqrt(mean), weights)


def total_bias(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Predicted total over actual total, less 1."""
    return _ratio(weights @ predicted, weights @ actual) - 1


def normalised_gini(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """How well the prediction orders the actual values: 1 as they do themselves, 0 not at all, ties at their mean."""
    return _ratio(_concentration(actual, predicted, weights), _concentration(actual, actual, weights))


def auc(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve of 0/1 outcomes: the normalised Gini on the scale where chance is a half."""
    return (1 + normalised_gini(actual, predicted, weights)) / 2


def average_precision(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Precision at each distinct prediction, from the highest down, averaged over the positives it adds."""
    members, positives = _by_distinct_value(-predicted, weights, weights * actual)
    precision = _ratio(positives.cumsum(axis=1), members.cumsum(axis=1))
    return _ratio(np.nansum(positives * precision, axis=1), positives.sum(axis=1))


def expected_calibration_error(churned: ArrayLike, probability: ArrayLike, *, bins: int = 10) -> float:
    """Mean absolute gap between predicted and observed share over bins with about equally many members."""
    table = reliability_table(churned, probability, bins=bins)
    gaps = (table["predicted_share"] - table["observed_share"]).abs()
    return float((gaps * table["members"]).sum() / table["members"].sum()) if len(table) else np.nan


def ece_band(
    probability: ArrayLike, *, bins: int = 10, draws: int = 400, confidence: float = 0.9, seed: int = 0
) -> Interval:
    """Return where the calibration error of a perfectly calibrated model would lie, by drawing outcomes from it."""
    predicted = np.asarray(probability, dtype=np.float64)
    if not len(predicted):
        return Interval(np.nan, np.nan)
    bin_of, count = _quantile_bins(predicted, bins)
    expected = np.bincount(bin_of, weights=predicted, minlength=count)
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(bin_of, weights=rng.random(len(predicted)) < predicted, minlength=count) for _ in range(draws))
    errors = [np.abs(positives - expected).sum() / len(predicted) for positives in drawn]
    return _interval(np.array(errors), confidence)


def reliability_table(churned: ArrayLike, probability: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed churn share by bins of the prediction, with the 95 % (Wilson) interval.

    Bins are cut at quantiles of the prediction; equal predictions share a bin.
    """
    actual, predicted = _paired(churned, probability)
    bin_of, count = _quantile_bins(predicted, bins)
    members = np.bincount(bin_of, minlength=count)
    observed = np.bincount(bin_of, weights=actual, minlength=count) / members
    low, high = _wilson(observed, members)
    return pd.DataFrame(
        {
            "members": members,
            "predicted_share": np.bincount(bin_of, weights=predicted, minlength=count) / members,
            "observed_share": observed,
            "observed_low": low,
            "observed_high": high,
        }
    )


def decile_table(actual: ArrayLike, predicted: ArrayLike, *, groups: int = 10) -> pd.DataFrame:
    """Return predicted and actual by equally large groups of members, highest prediction first.

    ``lift`` is the group's mean over everybody's, ``cumulative_share`` the share of the actual total reached so far.
    """
    outcome, score = _paired(actual, predicted)
    table = (
        pd.DataFrame({"actual": outcome, "predicted": score})
        .iloc[_highest_first(score)]
        .groupby(np.arange(len(score)) * groups // max(len(score), 1) + 1)
        .agg(
            members=("actual", "size"),
            predicted_mean=("predicted", "mean"),
            actual_mean=("actual", "mean"),
            predicted_total=("predicted", "sum"),
            actual_total=("actual", "sum"),
        )
    )
    total = outcome.sum() or np.nan
    table["lift"] = table["actual_mean"] * len(outcome) / total
    table["cumulative_share"] = table["actual_total"].cumsum() / total
    return table.rename_axis("decile" if groups == 10 else "group").reset_index()


def gain_curve(actual: ArrayLike, predicted: ArrayLike, *, points: int = 101) -> pd.DataFrame:
    """Return which share of the actual total the members with the highest predictions hold, and at best could."""
    outcome, score = _paired(actual, predicted)
    shares = np.linspace(0, 1, points)
    reached = np.round(shares * len(outcome)).astype(int)
    total = outcome.sum() or np.nan

    def captured(order: NDArray[np.intp]) -> Floats:
        return np.asarray(np.concatenate([[0.0], outcome[order].cumsum()])[reached] / total)

    return pd.DataFrame(
        {
            "members_share": shares,
            "captured_share": captured(_highest_first(score)),
            "best_share": captured(_highest_first(outcome)),
        }
    )


def paired_bootstrap(
    metric: Metric,
    actual: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    draws: int = 400,
    confidence: float = 0.9,
    seed: int = 0,
) -> Difference:
    """Compare two predictions of the same outcomes under one metric, drawing the same members for both."""
    outcome, one = _paired(actual, first)
    _, other = _paired(actual, second)
    differences = [
        metric(outcome, other, weights) - metric(outcome, one, weights)
        for weights in _bootstrap_weights(len(outcome), draws, seed)
    ]
    return Difference(
        first=_once(metric, outcome, one),
        second=_once(metric, outcome, other),
        interval=_interval(np.concatenate(differences), confidence),
    )


def _bootstrap_weights(members: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each member is drawn, in blocks of draws that fit in memory."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // max(members, 1))
    for start in range(0, draws, block):
        drawn = rng.integers(0, members, (min(block, draws - start), members))
        yield np.apply_along_axis(partial(np.bincount, minlength=members), 1, drawn).astype(np.float64)


def _interval(values: Floats, confidence: float) -> Interval:
    """Return the central interval of the draws in which the metric was defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Interval(np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _paired(actual: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    outcome, score = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if outcome.shape != score.shape or outcome.ndim != 1:
        raise ValueError(f"actual and predicted differ in shape: {outcome.shape} and {score.shape}")
    if not (np.isfinite(outcome).all() and np.isfinite(score).all()):
        raise ValueError("actual and predicted must be finite")
    return outcome, score


def _once(metric: Metric, actual: Floats, predicted: Floats) -> float:
    """Return a metric's value with every member counted once."""
    return float(metric(actual, predicted, np.ones((1, len(actual))))[0])


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _weighted_mean(values: Floats, weights: Floats) -> Floats:
    return _ratio(weights @ values, weights.sum(axis=1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide, with NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator != 0)


def _concentration(actual: Floats, by: Floats, weights: Floats) -> Floats:
    """Return the covariance of the actual values with their members' rank in another column."""
    members, totals = _by_distinct_value(by, weights, weights * actual)
    rank = members.cumsum(axis=1) - members / 2
    everybody = members.sum(axis=1)
    return np.asarray((totals * rank).sum(axis=1) - totals.sum(axis=1) * everybody / 2)


def _by_distinct_value(values: Floats, *columns: Floats) -> list[Floats]:
    """Sum the columns (draws x members) over members with the same value, in rising order of value."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    return [np.add.reduceat(column[:, order], starts, axis=1) if len(starts) else column for column in columns]


def _spearman(actual: Floats, predicted: Floats) -> float:
    """Return the rank correlation; 0 where either column is constant and so ranks nobody."""
    ranks = [rankdata(column) - (len(column) + 1) / 2 for column in (actual, predicted)]
    spread = np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1] / spread) if spread > 0 else 0.0


def _highest_first(values: Floats) -> NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _quantile_bins(values: Floats, bins: int) -> tuple[NDArray[np.intp], int]:
    """Return each value's bin, and how many bins there are; none is empty."""
    if not len(values):
        return np.zeros(0, dtype=np.intp), 0
    inner = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    kept, bin_of = np.unique(np.searchsorted(inner, values, side="left"), return_inverse=True)
    return bin_of, len(kept)


def _wilson(share: Floats, members: NDArray[np.intp], confidence: float = 0.95) -> tuple[Floats, Floats]:
    z = norm.ppf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * members)) / (1 + z**2 / members)
    half = z / (1 + z**2 / members) * np.sqrt(share * (1 - share) / members + z**2 / (4 * members**2))
    return centre - half, centre + half
