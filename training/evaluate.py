"""How good the predictions were: the metrics of churn and of value, and tables, as pure functions of two columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kstest, rankdata

from serving.bundle import Floats
from training.metrics import (
    auc,
    average_precision,
    log_loss,
    normalised_gini,
    paired,
    point_value,
    root_mean_squared_error,
    squared_error,
    total_bias,
    tweedie_deviance,
)
from training.reliability import at_level, ece_band, expected_calibration_error


def churn_metrics(churned: ArrayLike, probability: ArrayLike, *, seed: int = 0) -> dict[str, float]:
    """Judge churn probabilities by ranking, by loss and by calibration beside the band of a perfect model."""
    actual, predicted = paired(churned, probability)
    band = ece_band(predicted, seed=seed)
    return {
        "members": float(len(actual)),
        "churn_share": _mean(actual),
        "auc": point_value(auc, actual, predicted),
        "average_precision": point_value(average_precision, actual, predicted),
        "log_loss": point_value(log_loss, actual, predicted),
        "brier": point_value(squared_error, actual, predicted),
        "ece": expected_calibration_error(actual, predicted),
        "ece_band_low": band.low,
        "ece_band_high": band.high,
        "ece_at_level": expected_calibration_error(actual, at_level(predicted, _mean(actual))),
    }


def value_metrics(value: ArrayLike, expected_value: ArrayLike) -> dict[str, float]:
    """Judge expected values by error, by ranking and by level."""
    actual, predicted = paired(value, expected_value)
    return {
        "members": float(len(actual)),
        "actual_total": float(actual.sum()),
        "predicted_total": float(predicted.sum()),
        "total_bias": point_value(total_bias, actual, predicted),
        "rmse": point_value(root_mean_squared_error, actual, predicted),
        "mae": _mean(np.abs(predicted - actual)),
        "tweedie_deviance": point_value(tweedie_deviance, actual, predicted),
        "spearman": _spearman(actual, predicted),
        "normalised_gini": point_value(normalised_gini, actual, predicted),
    }


def interval_coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of actual values that lie in their intervals, ends included."""
    value, start = paired(actual, low)
    return _mean((start <= value) & (value <= np.asarray(high, dtype=np.float64)))


def uniformity_distance(rank: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance from uniform of ranks in predictive distributions."""
    values = np.asarray(rank, dtype=np.float64)
    return float(kstest(values, "uniform").statistic) if len(values) else np.nan


def decile_table(actual: ArrayLike, predicted: ArrayLike, *, groups: int = 10) -> pd.DataFrame:
    """Return predicted and actual by equally large groups of members, highest prediction first.

    ``lift`` is the group's mean over everybody's, ``cumulative_share`` the share of the actual total reached so far.
    """
    outcome, score = paired(actual, predicted)
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
    outcome, score = paired(actual, predicted)
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


def _spearman(actual: Floats, predicted: Floats) -> float:
    """Return the rank correlation; 0 where either column is constant and so ranks nobody."""
    ranks = [rankdata(column) - (len(column) + 1) / 2 for column in (actual, predicted)]
    spread = np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1] / spread) if spread > 0 else 0.0


def _highest_first(values: Floats) -> NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else np.nan
