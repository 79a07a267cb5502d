"""How values spread around the value if active, learnt where the models had not looked: a split-conformal step."""

from __future__ import annotations

from typing import Final

import numpy as np

from serving.bundle import Floats, ValueSpread

BANDS: Final = 4
FEWEST_IN_BAND: Final = 100
SHARES: Final = np.linspace(0, 1, 41)


def fit_spread(order_probability: Floats, value_if_active: Floats, value: Floats) -> ValueSpread:
    """Learn the ratios of actual values to the value if active from members who ordered.

    Bands of the order probability hold equally many of them. In each the mean ratio is 1: levels are not learnt here.
    Values below 0 count as 0. Where nobody brought any value, values are taken to spread evenly from 0 to twice what
    was expected.
    """
    ratio = value.clip(min=0) / value_if_active
    bands = max(1, min(BANDS, len(ratio) // FEWEST_IN_BAND))
    inner = np.unique(np.quantile(order_probability, np.arange(1, bands) / bands)) if bands > 1 else np.empty(0)
    inner = inner[(inner > 0) & (inner <= order_probability.max(initial=0))]
    band = np.searchsorted(inner, order_probability, side="right")
    ratios = tuple(_ratios(ratio[band == number]) for number in range(len(inner) + 1))
    return ValueSpread(probability_from=(0.0, *inner.tolist()), ratios=ratios)


def _ratios(ratio: Floats) -> tuple[float, ...]:
    if not ratio.sum() > 0:
        return tuple((2 * SHARES).tolist())
    return tuple(np.quantile(ratio / ratio.mean(), SHARES).tolist())
