"""Metrics of predictions, each written once, over weighted members.

Equal weights give a metric's value, bootstrap counts its uncertainty. An undefined metric (nobody churned, say) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from serving.bundle import Floats

Metric = Callable[[Floats, Floats, Floats], Floats]
"""Actual and predicted per member, and weights of shape (draws, members), to one value per draw."""

SMALLEST_PROBABILITY = 1e-6
_SMALLEST_VALUE = 0.01


def point_value(metric: Metric, actual: ArrayLike, predicted: ArrayLike) -> float:
    """Return a metric's value with every member counted once."""
    outcome, score = paired(actual, predicted)
    return float(metric(outcome, score, np.ones((1, len(outcome))))[0])


def log_loss(actual: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean negative log likelihood of 0/1 outcomes; probabilities are kept off 0 and 1 by a millionth."""
    chance = np.clip(predicted, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
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


def paired(actual: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Return both columns as numbers; refuse those that do not pair or are not finite."""
    outcome, score = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if outcome.shape != score.shape or outcome.ndim != 1:
        raise ValueError(f"actual and predicted differ in shape: {outcome.shape} and {score.shape}")
    if not (np.isfinite(outcome).all() and np.isfinite(score).all()):
        raise ValueError("actual and predicted must be finite")
    return outcome, score


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
