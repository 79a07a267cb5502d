"""Members known by the rows the caller sends, checked as strictly as can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded, tables_from_frames
from serving.contracts import ItemError
from serving.known import Known, from_tables, nothing_known
from serving.rows import History

ROWS_OF_MEMBERS = ("orders", "events", "offers", "contacts")


def from_histories(histories: Sequence[History], as_of: datetime, programme: Programme) -> Known:
    """Return what histories of distinct ids tell before a naive UTC instant; one that does not fit fails alone.

    Histories are taken together, those that tell of the member apart from those that do not: in a table of members,
    whoever is missing is no member. Where the input checks object, they are halved until it is clear to which.
    """

    def in_parts(one: Sequence[History], other: Sequence[History]) -> Known:
        return from_histories(one, as_of, programme) | from_histories(other, as_of, programme)

    told = [history for history in histories if history.member is not None]
    if 0 < len(told) < len(histories):
        return in_parts(told, [history for history in histories if history.member is None])
    member_ids = [history.member_id for history in histories]
    frames = frames_of(histories)
    if not frames:
        return Known(errors=nothing_known(member_ids, as_of))
    try:
        tables = _checked(frames, programme).tables
    except InputError as error:
        if len(histories) == 1:
            return Known(errors={member_ids[0]: ItemError(code="invalid_history", message=str(error))})
        middle = len(histories) // 2
        return in_parts(histories[:middle], histories[middle:])
    return from_tables(tables, member_ids, as_of, programme)


def _checked(frames: Mapping[str, Any], programme: Programme) -> Loaded:
    """Bring the rows into canonical form; a row that the weekly job would set aside is an error here."""
    if programme.data.contacts is None and "contacts" in frames:
        raise InputError("contacts: the programme has no such table and states consent_default instead; leave them out")
    loaded = tables_from_frames(programme, **frames)
    if problems := [str(finding) for finding in loaded.findings if finding.set_aside]:
        raise InputError("; ".join(problems))
    return loaded


def frames_of(histories: Sequence[History]) -> dict[str, pd.DataFrame]:
    """Return the tables of many histories, in the columns of the input contract; those without rows are left out."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [
            {"member_id": history.member_id, **row.model_dump()}
            for history in histories
            for row in getattr(history, name)
        ]
        for name in ROWS_OF_MEMBERS
    }
    rows["order_lines"] = [line.model_dump() for history in histories for line in history.order_lines]
    rows["members"] = [
        {"member_id": history.member_id, **history.member.model_dump()}
        for history in histories
        if history.member is not None
    ]
    return {name: _frame(name, of_table) for name, of_table in rows.items() if of_table}


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Lay out rows in the columns of the input contract; a column nobody gave is left out."""
    given = [
        column.name
        for column in CONTRACTS[table].columns
        if column.required or any(row.get(column.name) is not None for row in rows)
    ]
    return pd.DataFrame(rows, columns=given)
