"""The ledger's entries as tables of the input contract, to be united with the programme's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

import pandas as pd

from features.programme import Programme
from features.schemas import CONTRACTS
from serving.database import is_laid_out, open_database, owner_of
from serving.ledger import Kind, Ledger

Rows = list[dict[str, Any]]

_TIMES: Final[Mapping[Kind, str]] = {
    "order": "ordered_at",
    "event": "occurred_at",
    "offer": "assigned_at",
    "outcome": "redeemed_at",
}
"""When each kind of entry happened."""


def programme_ledger(programme: Programme) -> dict[str, pd.DataFrame]:
    """Return everything that came in for a programme, by table; nothing where nothing could have."""
    if not is_laid_out(programme):
        return {}
    with closing(open_database(programme)) as database:
        return ledger_frames(Ledger(database, owner=owner_of(programme)), programme)


def ledger_frames(
    ledger: Ledger, programme: Programme, member_ids: Collection[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Return what came in, of these members only if named, by table; tables without rows are left out.

    A row became known when it was received, and happened by then: a caller's clock may be ahead of ours. Outcomes are
    told of by the offers they belong to; the latest counts.
    """
    received = partial(_received, ledger, programme, member_ids)
    orders, lines = _orders(received("order"))
    rows = {
        "orders": orders,
        "order_lines": lines,
        "events": [{**content, "recorded_at": at} for at, content in received("event")],
        "offers": _offers(received("offer"), received("outcome")),
    }
    return {name: _frame(name, of_table, programme) for name, of_table in rows.items() if of_table}


def _received(
    ledger: Ledger, programme: Programme, member_ids: Collection[str] | None, kind: Kind
) -> list[tuple[str, dict[str, Any]]]:
    """Return when each entry was received, and its content, which happened no later."""
    time = _TIMES[kind]
    found = []
    for received_at, content in ledger.read(kind, member_ids):
        at = received_at.isoformat() + "Z"
        is_ahead = content.get(time) is not None and programme.instant(content[time]) > received_at
        found.append((at, {**content, time: at} if is_ahead else dict(content)))
    return found


def _orders(received: Sequence[tuple[str, dict[str, Any]]]) -> tuple[Rows, Rows]:
    orders = [{**content, "recorded_at": at} for at, content in received]
    lines = [{**line, "order_id": order["order_id"]} for order in orders for line in order.pop("lines", ())]
    return orders, lines


def _offers(received: Sequence[tuple[str, dict[str, Any]]], outcomes: Sequence[tuple[str, dict[str, Any]]]) -> Rows:
    offers = {content["offer_id"]: {**content, "recorded_at": at} for at, content in received}
    for _, outcome in outcomes:
        told = (name for name in ("redeemed_at", "cost_amount") if name in outcome)
        offers[outcome["offer_id"]].update((name, outcome[name]) for name in told)
    return list(offers.values())


def _frame(table: str, rows: Sequence[Mapping[str, Any]], programme: Programme) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    columns = [column for column in CONTRACTS[table].columns if column.name in frame]
    instants = {
        column.name: pd.to_datetime(frame[column.name].map(programme.instant, na_action="ignore"), utc=True)
        for column in columns
        if column.kind == "instant"
    }
    return frame[[column.name for column in columns]].assign(**instants)
