"""Intervals that hold at every look at once, however often one looks. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

TIGHTEST_AT: Final = 5_000
"""Units at which the interval is as narrow as it gets beside one for a single look."""


def anytime_reach(scores: np.ndarray, *, confidence: float) -> float:
    """Return how far the mean of the scores so far may be off, at this look and all others together.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), with its parameter set
    by their formula for `TIGHTEST_AT` units. Like every interval from a central limit theorem it needs enough units to
    start from.

    Parameters
    ----------
    scores
        One per unit, in any order; each has the expectation in question given the units before it.
    confidence
        With which the mean of the expectations is within the interval at all looks.
    """
    error, units = 1 - confidence, len(scores)
    if units < 2:
        return float("inf")
    surprise = -2 * np.log(error)
    rate = units * (surprise + np.log1p(surprise)) / TIGHTEST_AT
    looks = 2 * (rate + 1) / rate * np.log(np.sqrt(rate + 1) / error)
    return float(np.std(scores, ddof=1) * np.sqrt(looks / units))
