"""Members known by the rows the caller sends, checked as strictly as can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from features.errors import InputError
from features.plain import plain_tables
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded, tables_from_frames
from serving.contracts import ItemError
from serving.few import few_candidates
from serving.known import Known, from_candidates, from_tables
from serving.rows import History

MOST_BAD: Final = 20
"""So many histories of a call that do not fit are told what is wrong with them."""

_NOT_LOOKED_AT: Final = ItemError(
    code="invalid_history",
    message=f"not looked at: {MOST_BAD} histories of this call did not fit before it; mend those, and send it again",
)

ROWS_OF_MEMBERS = ("orders", "events", "offers", "contacts")


def from_histories(histories: Sequence[History], as_of: datetime, programme: Programme) -> Known:
    """Return what histories of distinct ids tell before a naive UTC instant; one that does not fit fails alone.

    Those that need no cleaning, which are nearly all, do without a database. The others are judged by the rules.
    """
    now, plain, others = datetime.now(UTC).replace(tzinfo=None), {}, []
    for history in histories:
        tables = plain_tables(given_rows(history), programme, now)
        if tables is None or (history.contacts and programme.data.contacts is None):
            others.append(history)
        else:
            plain[history.member_id] = tables
    known = (
        Known() if not plain else from_candidates(few_candidates(plain.values(), as_of, programme), plain, programme)
    )
    return known | _judged(others, as_of, programme) if others else known


def _judged(histories: Sequence[History], as_of: datetime, programme: Programme) -> Known:
    """Return what histories tell that may break rules.

    They are taken together, those that tell of the member apart from those that do not: in a table of members, whoever
    is missing is no member. Where the input checks object, they are halved until it is clear to which. Once `MOST_BAD`
    were found, the rest is not looked at: nobody else's call waits for what one caller's system sends wrong.
    """
    known, bad = Known(), 0
    waiting = [[history for history in histories if (history.member is None) is apart] for apart in (True, False)]
    while waiting:
        taken = waiting.pop()
        member_ids = [history.member_id for history in taken]
        if bad >= MOST_BAD:
            known |= Known(errors=dict.fromkeys(member_ids, _NOT_LOOKED_AT))
            continue
        try:
            tables = _checked(frames_of(taken), programme).tables if taken else None
        except InputError as error:
            if len(taken) > 1:
                middle = len(taken) // 2
                waiting += [taken[middle:], taken[:middle]]
            else:
                bad += 1
                known |= Known(errors={member_ids[0]: ItemError(code="invalid_history", message=str(error))})
        else:
            known |= from_tables(tables, member_ids, as_of, programme) if tables else Known()
    return known


def given_rows(history: History) -> dict[str, dict[str, list[Any]]]:
    """Return the rows of a history by table and column."""
    given = {
        name: _columns(name, history.member_id, getattr(history, name)) for name in (*ROWS_OF_MEMBERS, "order_lines")
    }
    if history.member is not None:
        given["members"] = _columns("members", history.member_id, [history.member])
    return given


def _columns(table: str, member_id: str, rows: Sequence[Any]) -> dict[str, list[Any]]:
    told = type(rows[0]).model_fields if rows else ()
    return {
        column.name: [getattr(row, column.name) for row in rows]
        if column.name in told
        else [member_id] * len(rows)  # no row names its member
        for column in CONTRACTS[table].columns
    }


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
