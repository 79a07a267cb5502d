"""How sure a difference between two models is, by drawing the same members for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from serving.bundle import Floats
from training.metrics import Metric, paired, point_value

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
    outcome, one = paired(actual, first)
    _, other = paired(actual, second)
    differences = [
        metric(outcome, other, weights) - metric(outcome, one, weights)
        for weights in _bootstrap_weights(len(outcome), draws, seed)
    ]
    return Difference(
        first=point_value(metric, outcome, one),
        second=point_value(metric, outcome, other),
        interval=central_interval(np.concatenate(differences), confidence),
    )


def _bootstrap_weights(members: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each member is drawn, in blocks of draws that fit in memory."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // max(members, 1))
    for start in range(0, draws, block):
        drawn = rng.integers(0, members, (min(block, draws - start), members))
        yield np.apply_along_axis(partial(np.bincount, minlength=members), 1, drawn).astype(np.float64)


def central_interval(values: Floats, confidence: float) -> Interval:
    """Return the central interval of the draws in which the metric was defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Interval(np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
