"""The ledger's entries as tables of the input contract, to be united with the programme's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import Any

import pandas as pd

from features.programme import Programme
from features.schemas import CONTRACTS
from serving.database import is_laid_out, open_database, owner_of
from serving.ledger import Kind, Ledger

Rows = list[dict[str, Any]]


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

    A row became known when it was received. Outcomes are told of by the offers they belong to; the latest counts.
    """
    orders, lines = _orders(ledger, member_ids)
    rows = {
        "orders": orders,
        "order_lines": lines,
        "events": _received(ledger, "event", member_ids),
        "offers": _offers(ledger, member_ids),
    }
    return {name: _frame(name, of_table, programme) for name, of_table in rows.items() if of_table}


def _orders(ledger: Ledger, member_ids: Collection[str] | None) -> tuple[Rows, Rows]:
    orders = _received(ledger, "order", member_ids)
    lines = [{**line, "order_id": order["order_id"]} for order in orders for line in order.pop("lines", ())]
    return orders, lines


def _offers(ledger: Ledger, member_ids: Collection[str] | None) -> Rows:
    offers = {offer["offer_id"]: offer for offer in _received(ledger, "offer", member_ids)}
    for _, outcome in ledger.read("outcome", member_ids):
        told = (name for name in ("redeemed_at", "cost_amount") if name in outcome)
        offers[outcome["offer_id"]].update((name, outcome[name]) for name in told)
    return list(offers.values())


def _received(ledger: Ledger, kind: Kind, member_ids: Collection[str] | None) -> Rows:
    return [
        {**content, "recorded_at": received_at.isoformat() + "Z"}
        for received_at, content in ledger.read(kind, member_ids)
    ]


def _frame(table: str, rows: Sequence[Mapping[str, Any]], programme: Programme) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    columns = [column for column in CONTRACTS[table].columns if column.name in frame]
    instants = {
        column.name: pd.to_datetime(frame[column.name].map(programme.instant, na_action="ignore"), utc=True)
        for column in columns
        if column.kind == "instant"
    }
    return frame[[column.name for column in columns]].assign(**instants)
