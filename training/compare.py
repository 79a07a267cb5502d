"""Ours against the best peer, metric by metric, on the same members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import pandas as pd

from training.bootstrap import Interval, paired_bootstrap
from training.metrics import (
    Metric,
    auc,
    log_loss,
    normalised_gini,
    point_value,
    root_mean_squared_error,
    squared_error,
    tweedie_deviance,
)

Verdict = Literal["better", "not worse", "worse"]


class Judged(NamedTuple):
    """A metric, the columns it compares, and which way is worse."""

    metric: Metric
    actual: str
    predicted: str
    rising_is_worse: bool


JUDGED: Final[Mapping[str, Judged]] = {
    "auc": Judged(auc, "churned", "churn_probability", rising_is_worse=False),
    "log_loss": Judged(log_loss, "churned", "churn_probability", rising_is_worse=True),
    "brier": Judged(squared_error, "churned", "churn_probability", rising_is_worse=True),
    "gini": Judged(normalised_gini, "value", "expected_value", rising_is_worse=False),
    "rmse": Judged(root_mean_squared_error, "value", "expected_value", rising_is_worse=True),
    "tweedie_deviance": Judged(tweedie_deviance, "value", "expected_value", rising_is_worse=True),
}


@dataclass(frozen=True)
class Standing:
    """How ours stands against the best peer in one metric.

    Attributes
    ----------
    metric
        Name in `JUDGED`.
    best_peer
        The peer with the best value.
    ours, peer
        Both values.
    difference
        Paired bootstrap interval of ours less the peer's.
    verdict
        What the interval says.
    """

    metric: str
    best_peer: str
    ours: float
    peer: float
    difference: Interval
    verdict: Verdict


def standing(
    metric: str,
    happened: pd.DataFrame,
    ours: pd.DataFrame,
    peers: Mapping[str, pd.DataFrame],
    *,
    confidence: float = 0.95,
) -> Standing:
    """Compare ours with the peer that is best in a metric.

    Parameters
    ----------
    metric
        Name in `JUDGED`.
    happened
        ``churned`` and ``value``, row by row.
    ours, peers
        ``churn_probability`` and ``expected_value`` in the same rows.
    confidence
        Of the interval; a verdict other than "not worse" needs it to leave out 0.
    """
    judged = JUDGED[metric]
    actual = happened[judged.actual]
    values = {name: point_value(judged.metric, actual, each[judged.predicted]) for name, each in peers.items()}
    best = (min if judged.rising_is_worse else max)(values, key=lambda name: values[name])
    found = paired_bootstrap(
        judged.metric, actual, peers[best][judged.predicted], ours[judged.predicted], confidence=confidence
    )
    return Standing(
        metric=metric,
        best_peer=best,
        ours=found.second,
        peer=found.first,
        difference=found.interval,
        verdict=_verdict(found.interval, rising_is_worse=judged.rising_is_worse),
    )


def _verdict(difference: Interval, *, rising_is_worse: bool) -> Verdict:
    low, high = (difference.low, difference.high) if rising_is_worse else (-difference.high, -difference.low)
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not worse"
