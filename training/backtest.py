"""A back-test: train on what was known at a past date, score the members then eligible, compare with what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.programme import Programme
from features.sources import Loaded
from serving.bundle import ModelBundle
from serving.scoring import score
from training.evaluate import churn_metrics, decile_table, value_metrics
from training.fit import train
from training.labels import labels, refuse_immature
from training.peers import PEERS
from training.snapshots import build_snapshots, observe

OURS = "winback"


@dataclass(frozen=True)
class BacktestResult:
    """What a back-test found.

    Attributes
    ----------
    as_of
        The date it pretends to be.
    bundle
        The model trained on what was known then.
    learnt_from
        The as_ofs of its training snapshots.
    members
        One row per eligible member: ``member_id``, ours and what happened.
    churn, value
        Metrics, one row per model, ours first.
    churn_deciles, value_deciles
        Predicted beside actual for ours, by tenths of the members.
    """

    as_of: datetime
    bundle: ModelBundle
    learnt_from: tuple[datetime, ...]
    members: pd.DataFrame
    churn: pd.DataFrame
    value: pd.DataFrame
    churn_deciles: pd.DataFrame
    value_deciles: pd.DataFrame


def backtest(loaded: Loaded, as_of: datetime, programme: Programme) -> BacktestResult:
    """Back-test the models and their peers at a past date.

    Raises
    ------
    RefusedError
        If what happened after the date is not known yet, or there was nothing to learn from before it.
    """
    refuse_immature(as_of, loaded.data_until, programme)
    snapshots = build_snapshots(loaded.tables, as_of, programme)
    now = observe(loaded.tables, as_of, programme)
    bundle = train(snapshots, now, programme)
    scores = score(now.features, bundle)
    happened = labels(loaded.tables, as_of, programme, now.features["member_id"])
    predictions = {OURS: scores} | {name: peer(snapshots, now) for name, peer in PEERS.items()}
    return BacktestResult(
        as_of=as_of,
        bundle=bundle,
        learnt_from=tuple(each.as_of for each in snapshots),
        members=scores.merge(happened, on="member_id", validate="1:1"),
        churn=_compare(
            {name: churn_metrics(happened["churned"], each["churn_probability"]) for name, each in predictions.items()}
        ),
        value=_compare(
            {name: value_metrics(happened["value"], each["expected_value"]) for name, each in predictions.items()}
        ),
        churn_deciles=decile_table(happened["churned"], scores["churn_probability"]),
        value_deciles=decile_table(happened["value"], scores["expected_value"]),
    )


def _compare(metrics: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([{"model": name, **each} for name, each in metrics.items()])
