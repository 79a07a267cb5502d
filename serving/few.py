"""Candidates from the canonical rows of few members, without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from features.columns import Column
from features.few import few_features, joined
from features.plain import Table
from features.programme import Programme
from serving.decisions import Candidates, eligible_of

_CONTACTS = ("member_id", "channel", "consent", "updated_at")
_UNSUBSCRIBED = {"member_id": "member_id", "channel": "channel", "updated_at": "occurred_at"}


def few_candidates(members: Collection[Mapping[str, Table]], as_of: datetime, programme: Programme) -> Candidates:
    """Build what is known of members by the canonical tables of each; see :func:`serving.decisions.candidates`."""
    instant = np.datetime64(as_of, "us")
    contacts = {name: joined([own["contacts"][name] for own in members]) for name in _CONTACTS}
    updated_at = contacts["updated_at"]
    events = {
        name: joined([own["events"][name] for own in members])
        for name in ("event", "recorded_at", *_UNSUBSCRIBED.values())
    }
    unsubscribed = (events["event"].data == "unsubscribe") & (events["recorded_at"].data < instant)
    features = few_features(members, as_of, programme)
    features.columns = features.columns.astype(object)  # among Arrow's texts a column is found five times slower
    return eligible_of(
        features,
        _frame(contacts, ~updated_at.there | (updated_at.data < instant)),
        _frame({name: events[theirs] for name, theirs in _UNSUBSCRIBED.items()}, unsubscribed),
        as_of,
        programme,
    )


def _frame(columns: Mapping[str, Column], rows: np.ndarray) -> pd.DataFrame:
    kept = np.flatnonzero(rows)
    return pd.DataFrame({name: _values(column.take(kept)) for name, column in columns.items()})


def _values(column: Column) -> pd.api.extensions.ExtensionArray | np.ndarray:
    if column.data.dtype.kind == "U":
        return pd.array(np.where(column.there, column.data.astype(object), np.array(None)), dtype="str")
    return column.data if column.there.all() else pd.Series(column.data).where(column.there).array
