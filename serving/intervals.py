"""How sure the value is: a predictive distribution per member, and an interval for the total of many. Pure.

A member's value is 0 with the probability of no order; otherwise it is the value if active times a ratio whose
distribution was seen out of time, by bands of the probability to order. The total of many members is uncertain for
another reason: all of them may be wrong together, when the coming window is unlike those seen before.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.stats import norm

from serving.bundle import Floats, ValueSpread

MEMBER_CONFIDENCE: Final = 0.8
TOTAL_CONFIDENCE: Final = 0.9


class Total(NamedTuple):
    """The value to expect of many members together, and the interval that holds it at `TOTAL_CONFIDENCE`."""

    value: float
    low: float
    high: float


def value_interval(order_probability: Floats, value_if_active: Floats, spread: ValueSpread) -> tuple[Floats, Floats]:
    """Return the ends of each member's interval.

    Where no order is likelier than what an end leaves out, the interval starts at 0 and leaves out only high values.
    """
    end = (1 - MEMBER_CONFIDENCE) / 2
    from_zero = 1 - order_probability >= end
    low = value_quantile(np.full_like(order_probability, end), order_probability, value_if_active, spread)
    high = value_quantile(np.where(from_zero, MEMBER_CONFIDENCE, 1 - end), order_probability, value_if_active, spread)
    return np.where(from_zero, 0.0, low), high


def value_quantile(share: Floats, order_probability: Floats, value_if_active: Floats, spread: ValueSpread) -> Floats:
    """Return the value that each member stays below with the given probability."""
    with np.errstate(divide="ignore", invalid="ignore"):
        among_active = np.clip((share - (1 - order_probability)) / order_probability, 0, 1)
    ratio = np.zeros_like(share)
    for band, ratios in spread.of_members(order_probability):
        ratio[band] = np.interp(among_active[band], spread.shares, ratios)
    return np.where(share <= 1 - order_probability, 0.0, value_if_active * ratio)


def value_rank(
    value: Floats, order_probability: Floats, value_if_active: Floats, spread: ValueSpread, *, seed: int = 0
) -> Floats:
    """Return where in its predictive distribution each value lies; right ones are uniform between 0 and 1.

    What is not above 0 lies anywhere in the probability of no value, by chance.
    """
    rank = np.zeros_like(value)
    for band, ratios in spread.of_members(order_probability):
        rank[band] = np.interp(value[band] / value_if_active[band], ratios, spread.shares)
    none = 1 - order_probability
    anywhere = np.random.default_rng(seed).random(len(value)) * none
    return np.where(value > 0, none + order_probability * rank, anywhere)


def total_interval(
    order_probability: Floats, value_if_active: Floats, spread: ValueSpread, *, level_margin: float
) -> Total:
    """Return the total to expect of some members, with the bundle's margin for the level and their own chance added."""
    mean = order_probability * value_if_active
    square = np.zeros_like(mean)
    for band, ratios in spread.of_members(order_probability):
        square[band] = order_probability[band] * value_if_active[band] ** 2 * np.mean(np.square(ratios))
    total = float(mean.sum())
    if total <= 0:
        return Total(total, total, total)
    chance = norm.ppf((1 + TOTAL_CONFIDENCE) / 2) * np.sqrt(np.maximum(square - mean**2, 0).sum()) / total
    margin = float(np.exp(np.hypot(level_margin, chance)))
    return Total(total, total / margin, total * margin)
