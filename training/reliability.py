"""Calibration: predicted beside observed shares, and how far apart a perfect model's would be by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from serving.bundle import Floats
from training.bootstrap import Interval, central_interval
from training.metrics import SMALLEST_PROBABILITY, paired


def expected_calibration_error(churned: ArrayLike, probability: ArrayLike, *, bins: int = 10) -> float:
    """Mean absolute gap between predicted and observed share over bins with about equally many members."""
    table = reliability_table(churned, probability, bins=bins)
    gaps = (table["predicted_share"] - table["observed_share"]).abs()
    return float((gaps * table["members"]).sum() / table["members"].sum()) if len(table) else np.nan


def at_level(probability: ArrayLike, share: float) -> Floats:
    """Shift all log-odds alike until the mean probability is a share: what is wrong then is wrong in shape."""
    predicted = np.asarray(probability, dtype=np.float64)
    if not len(predicted):
        return predicted
    log_odds = logit(predicted.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    reachable = np.clip(share, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    shift = brentq(lambda by: float(expit(log_odds + by).mean()) - reachable, -100, 100)
    return np.asarray(expit(log_odds + shift))


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
    return central_interval(np.array(errors), confidence)


def reliability_table(churned: ArrayLike, probability: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed churn share by bins of the prediction, with the 95 % (Wilson) interval.

    Bins are cut at quantiles of the prediction; equal predictions share a bin.
    """
    actual, predicted = paired(churned, probability)
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
