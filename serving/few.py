"""Candidates from the canonical rows of few members, without a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np

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
    return eligible_of(
        few_features(members, as_of, programme),
        _rows(contacts, ~updated_at.there | (updated_at.data < instant)),
        _rows({name: events[theirs] for name, theirs in _UNSUBSCRIBED.items()}, unsubscribed),
        as_of,
        programme,
    )


def _rows(columns: Mapping[str, Column], rows: np.ndarray) -> dict[str, np.ndarray]:
    kept = np.flatnonzero(rows)
    return {name: _values(column.take(kept)) for name, column in columns.items()}


def _values(column: Column) -> np.ndarray:
    """Return values, None or not a time where they are missing."""
    if column.data.dtype.kind == "U":
        return np.where(column.there, column.data.astype(object), np.array(None))
    return np.where(column.there, column.data, np.datetime64("NaT")) if column.data.dtype.kind == "M" else column.data
