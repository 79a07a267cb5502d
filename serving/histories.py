"""Decisions about members from rows the caller sends, by the code that decides about the member base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded, tables_from_frames
from serving.bundle import ModelBundle, PolicyTable
from serving.contracts import History, ItemError
from serving.decisions import candidates, decide
from serving.records import DecisionRecord, decision_records

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

    Histories are decided about together, those that tell of the member apart from those that do not: in a table of
    members, whoever is missing is no member. Where the input checks object, they are halved until it is clear to which.
    """

    def decide_parts(*parts: Sequence[History]) -> dict[str, Outcome]:
        decided = (decide_histories(part, as_of, bundle, policy_table, programme) for part in parts)
        return {member_id: outcome for outcomes in decided for member_id, outcome in outcomes.items()}

    told = [history for history in histories if history.member is not None]
    if 0 < len(told) < len(histories):
        untold = [history for history in histories if history.member is None]
        return decide_parts(told, untold)
    nothing: dict[str, Outcome] = dict.fromkeys((history.member_id for history in histories), _no_history(as_of))
    frames = frames_of(histories)
    if not frames:
        return nothing
    try:
        tables = _checked(frames, programme).tables
    except InputError as error:
        if len(histories) == 1:
            return {histories[0].member_id: ItemError(code="invalid_history", message=str(error))}
        middle = len(histories) // 2
        return decide_parts(histories[:middle], histories[middle:])
    known = candidates(tables, as_of, programme)
    decided = decision_records(decide(known, bundle, policy_table, programme))
    return {
        **nothing,
        **dict.fromkeys(known.not_eligible, _not_eligible(programme)),
        **{record.member_id: record for record in decided},
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
