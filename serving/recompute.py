"""Members known as of any moment, by the history published last and what came in since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any, Final

import pandas as pd

from features.errors import InputError
from features.plain import plain_tables
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import tables_from_frames
from serving.contracts import ItemError
from serving.few import few_candidates
from serving.known import Known, from_candidates, from_tables
from serving.ledger import Ledger
from serving.ledger_frames import ledger_frames
from serving.published_history import PublishedHistory

_REPORTED_LATER: Final = ("redeemed_at", "cost_amount")
_NO_HISTORY: Final = "no history is published where the service runs: run `winback score` there, or copy var/history"
_UNKNOWN: Final = ItemError(code="unknown_member", message="not in the programme's table of members")

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Recomputer:
    """Brings members up to date; rows the weekly job would set aside are set aside here."""

    programme: Programme
    history: PublishedHistory
    ledger: Ledger

    def known(self, member_ids: Collection[str], as_of: datetime) -> Known:
        """Return what is known of the members before a naive UTC instant."""
        published = self.history.frames(member_ids)
        if published is None:
            return Known(errors=_failed(member_ids, _NO_HISTORY))
        frames = _united(published, ledger_frames(self.ledger, self.programme, member_ids))
        own, unknown = set(member_ids), Known()
        if self.programme.data.members is not None:
            own &= set(published["members"]["member_id"])
            unknown = Known(errors=dict.fromkeys(set(member_ids) - own, _UNKNOWN))
        now, rows = datetime.now(UTC).replace(tzinfo=None), _by_member(frames)
        tables = {member_id: plain_tables(rows.get(member_id, {}), self.programme, now) for member_id in sorted(own)}
        plain = {member_id: of_member for member_id, of_member in tables.items() if of_member is not None}
        known = unknown | self._judged(own - plain.keys(), frames, as_of)
        if not plain:
            return known
        return known | from_candidates(few_candidates(plain.values(), as_of, self.programme), plain, self.programme)

    def _judged(self, member_ids: Collection[str], frames: Frames, as_of: datetime) -> Known:
        """Return what the rows of members tell that may break rules; where they are refused, of each by itself."""
        if not member_ids:
            return Known()
        try:
            tables = tables_from_frames(self.programme, **_of(member_ids, frames)).tables
        except InputError as error:
            if len(member_ids) == 1:
                return Known(errors=_failed(member_ids, str(error)))
            return reduce(or_, (self._judged([member_id], frames, as_of) for member_id in sorted(member_ids)))
        return from_tables(tables, member_ids, as_of, self.programme)


def _failed(member_ids: Collection[str], why: str) -> dict[str, ItemError]:
    message = f"the decision could not be worked out anew from the member's rows: {why}"
    return dict.fromkeys(member_ids, ItemError(code="not_recomputed", message=message))


def _united(published: Frames, since: Frames) -> dict[str, pd.DataFrame]:
    """Add the rows that came in since to those published, which count where both have an id; keep what is not empty."""
    united = dict(published)
    for name, new in since.items():
        key = CONTRACTS[name].key[0]
        old = _with_outcomes(published[name], new) if name == "offers" else published[name]
        fresh = new[~new[key].isin(old[key])]
        united[name] = pd.concat([rows for rows in (old, fresh) if len(rows)], ignore_index=True)
    return {name: rows.dropna(axis="columns", how="all") for name, rows in united.items() if len(rows)}


def _by_member(frames: Frames) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Return each member's rows by table and column, without a value where there is none."""
    found: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for name, frame in frames.items():
        values = frame.astype(object).where(frame.notna(), None)
        for member_id, rows in values.groupby(_owners(frame, frames), sort=False):
            found.setdefault(str(member_id), {})[name] = {str(column): rows[column].tolist() for column in rows}
    return found


def _of(member_ids: Collection[str], frames: Frames) -> dict[str, Any]:
    owned = {name: frame[_owners(frame, frames).isin(list(member_ids))] for name, frame in frames.items()}
    return {name: rows for name, rows in owned.items() if len(rows)}


def _owners(rows: pd.DataFrame, frames: Frames) -> pd.Series:
    """Return whose each row is; a line is its order's."""
    if "member_id" in rows:
        return rows["member_id"]
    return rows["order_id"].map(frames["orders"].set_index("order_id")["member_id"])


def _with_outcomes(offers: pd.DataFrame, since: pd.DataFrame) -> pd.DataFrame:
    """Fill in what became of offers where it was told since they were published."""
    told = since.set_index("offer_id")
    filled = {
        name: offers[name].where(offers[name].notna(), offers["offer_id"].map(told[name]))
        for name in _REPORTED_LATER
        if name in told
    }
    return offers.assign(**filled)
