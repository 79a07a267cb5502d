"""A back-test: train on what was known at a past date, score the members then eligible, compare with what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.programme import Programme
from features.sources import Loaded
from serving.bundle import ModelBundle
from serving.history import history_levels
from serving.scoring import score
from training.evaluate import churn_metrics, decile_table, value_metrics
from training.fit import Training, train
from training.guard import refuse_leaks
from training.labels import labels, refuse_immature
from training.peers import PEERS, Peer
from training.snapshots import Population, Snapshot, build_snapshots, observe
from training.spec import Growth

OURS = "winback"


@dataclass(frozen=True)
class Rehearsal:
    """A model trained as if at a past date, and the members it could have scored then.

    Attributes
    ----------
    snapshots
        What it learnt from.
    now
        The members then eligible.
    training
        What was trained on them.
    happened
        Their labels, row by row.
    """

    snapshots: list[Snapshot]
    now: Population
    training: Training
    happened: pd.DataFrame


@dataclass(frozen=True)
class BacktestResult:
    """What a back-test found.

    Attributes
    ----------
    as_of
        The date it pretends to be.
    training
        What was trained on what was known then.
    learnt_from
        The as_ofs of its training snapshots.
    members
        One row per eligible member: our scores, the history level and what happened.
    predictions
        What each model expected of them, ours first, row by row: ``churn_probability`` and ``expected_value``.
    churn, value
        Metrics, one row per model, ours first.
    churn_deciles, value_deciles
        Predicted beside actual for ours, by tenths of the members.
    """

    as_of: datetime
    training: Training
    learnt_from: tuple[datetime, ...]
    members: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    churn: pd.DataFrame
    value: pd.DataFrame
    churn_deciles: pd.DataFrame
    value_deciles: pd.DataFrame

    @property
    def bundle(self) -> ModelBundle:
        """The model trained on what was known then."""
        return self.training.bundle


def rehearse(loaded: Loaded, as_of: datetime, programme: Programme, *, growth: Growth | None = None) -> Rehearsal:
    """Train on what was known at a past date, and look up what happened to the members then eligible.

    Raises
    ------
    RefusedError
        If what happened after the date is not known yet, there was nothing to learn from before it, or it leaked.
    """
    refuse_immature(as_of, loaded.data_until, programme)
    snapshots = build_snapshots(loaded.tables, as_of, programme)
    now = observe(loaded.tables, as_of, programme)
    refuse_leaks(snapshots, now, programme)
    return Rehearsal(
        snapshots=snapshots,
        now=now,
        training=train(snapshots, now, programme, growth=growth),
        happened=labels(loaded.tables, as_of, programme, now.features["member_id"]),
    )


def backtest(
    loaded: Loaded, as_of: datetime, programme: Programme, *, peers: Mapping[str, Peer] = PEERS
) -> BacktestResult:
    """Back-test the models and their peers at a past date; see :func:`rehearse` for when it refuses."""
    rehearsal = rehearse(loaded, as_of, programme)
    snapshots, now, happened = rehearsal.snapshots, rehearsal.now, rehearsal.happened
    scores = score(now.features, rehearsal.training.bundle)
    members = scores.assign(history_level=history_levels(now.features)).merge(happened, on="member_id", validate="1:1")
    typical = [each.evened() for each in snapshots]
    predictions = {OURS: scores} | {name: peer(typical, now) for name, peer in peers.items()}
    churn = {name: churn_metrics(happened["churned"], each["churn_probability"]) for name, each in predictions.items()}
    value = {name: value_metrics(happened["value"], each["expected_value"]) for name, each in predictions.items()}
    return BacktestResult(
        as_of=as_of,
        training=rehearsal.training,
        learnt_from=tuple(each.as_of for each in snapshots),
        members=members,
        predictions=predictions,
        churn=_by_model(churn),
        value=_by_model(value),
        churn_deciles=decile_table(happened["churned"], scores["churn_probability"]),
        value_deciles=decile_table(happened["value"], scores["expected_value"]),
    )


def _by_model(metrics: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame([{"model": name, **each} for name, each in metrics.items()])
