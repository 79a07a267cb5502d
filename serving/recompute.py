"""Members known as of any moment, by the history published last and what came in since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Final

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import tables_from_frames
from serving.contracts import ItemError
from serving.known import Known, from_tables, nothing_known
from serving.ledger import Ledger
from serving.ledger_frames import ledger_frames
from serving.published_history import PublishedHistory

_REPORTED_LATER: Final = ("redeemed_at", "cost_amount")
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
            return Known(errors=_failed(member_ids, "no history is published; run `winback score`"))
        frames = _united(published, ledger_frames(self.ledger, self.programme, member_ids))
        own, unknown = set(member_ids), Known()
        if self.programme.data.members is not None:
            own &= set(published["members"]["member_id"])
            unknown = Known(errors=dict.fromkeys(set(member_ids) - own, _UNKNOWN))
        if not own or not frames:
            return unknown | Known(errors=nothing_known(own, as_of))
        try:
            tables = tables_from_frames(self.programme, **frames).tables
        except InputError as error:
            if len(own) == 1:
                return unknown | Known(errors=_failed(own, str(error)))
            return reduce(or_, (self.known([member_id], as_of) for member_id in sorted(own)), unknown)
        return unknown | from_tables(tables, own, as_of, self.programme)


def _failed(member_ids: Collection[str], why: str) -> dict[str, ItemError]:
    message = f"rows came in since the publication, and the decision could not be brought up to date: {why}"
    return dict.fromkeys(member_ids, ItemError(code="not_recomputed", message=message))


def _united(published: Frames, since: Frames) -> dict[str, Any]:
    """Add the rows that came in since to those published, which count where both have an id; keep what is not empty."""
    united: dict[str, Any] = dict(published)
    for name, new in since.items():
        key = CONTRACTS[name].key[0]
        old = _with_outcomes(published[name], new) if name == "offers" else published[name]
        fresh = new[~new[key].isin(old[key])]
        united[name] = pd.concat([rows for rows in (old, fresh) if len(rows)], ignore_index=True)
    return {name: rows.dropna(axis="columns", how="all") for name, rows in united.items() if len(rows)}


def _with_outcomes(offers: pd.DataFrame, since: pd.DataFrame) -> pd.DataFrame:
    """Fill in what became of offers where it was told since they were published."""
    told = since.set_index("offer_id")
    filled = {
        name: offers[name].where(offers[name].notna(), offers["offer_id"].map(told[name]))
        for name in _REPORTED_LATER
        if name in told
    }
    return offers.assign(**filled)
