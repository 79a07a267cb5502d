"""Decisions about members from rows the caller sends, by the code that decides about the member base."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded, tables_from_frames
from serving.bundle import ModelBundle, PolicyTable
from serving.contracts import History, ItemError, MemberRow
from serving.decisions import candidates, decide
from serving.records import DecisionRecord, decision_records, decision_table

ROWS_OF_MEMBERS = ("orders", "events", "offers", "contacts")

Outcome = DecisionRecord | ItemError


def decide_histories(
    histories: Sequence[History],
    as_of: datetime,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    programme: Programme,
) -> dict[str, Outcome]:
    """Decide about members of distinct ids from their own rows; one that does not fit does not fail the others.

    Histories are decided about together. Where the input checks object, they are halved until it is clear to which.
    """
    try:
        tables = _checked(histories, programme).tables
    except InputError as error:
        if len(histories) == 1:
            return {histories[0].member_id: ItemError(code="invalid_history", message=str(error))}
        middle = len(histories) // 2
        first, second = (
            decide_histories(half, as_of, bundle, policy_table, programme)
            for half in (histories[:middle], histories[middle:])
        )
        return {**first, **second}
    known = candidates(tables, as_of, programme)
    decided = decision_records(decision_table(decide(known, bundle, policy_table, programme)))
    return {
        **dict.fromkeys((history.member_id for history in histories), _no_history(as_of)),
        **dict.fromkeys(known.not_eligible, _not_eligible(programme)),
        **{record.member_id: record for record in decided},
    }


def _checked(histories: Sequence[History], programme: Programme) -> Loaded:
    """Bring the rows into canonical form; a row that the weekly job would set aside is an error here."""
    if programme.data.contacts is None and any(history.contacts for history in histories):
        raise InputError("contacts: the programme has no such table and states consent_default instead; leave them out")
    loaded = tables_from_frames(programme, threads=1, **frames_of(histories))
    if problems := [str(finding) for finding in loaded.findings if finding.set_aside]:
        raise InputError("; ".join(problems))
    return loaded


def frames_of(histories: Sequence[History]) -> dict[str, Any]:
    """Return the tables of many histories, in the columns of the input contract; orders are None if nobody ordered."""
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
        {"member_id": history.member_id, **(history.member or MemberRow()).model_dump()} for history in histories
    ]
    given = {name: _frame(name, of_table) for name, of_table in rows.items() if of_table}
    return {"orders": None, **given}


def _frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Lay out rows in the columns of the input contract; a column nobody gave is left out."""
    columns = CONTRACTS[table].columns
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    required = [column.name for column in columns if column.required]
    return frame[[name for name in frame if name in required or frame[name].notna().any()]]


def _no_history(as_of: datetime) -> ItemError:
    return ItemError(
        code="no_history",
        message=f"nothing is known of this member before {as_of.isoformat()} UTC: no order, no joining",
        field="orders",
    )


def _not_eligible(programme: Programme) -> ItemError:
    days = programme.eligible.ordered_within_days
    return ItemError(code="not_eligible", message=f"the programme scores members who ordered within {days} days only")
