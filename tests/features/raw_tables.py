"""Small raw tables and programmes over them, as files in many forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from features.programme import Programme, parse_programme
from features.schemas import CONTRACTS
from features.settings_data import Source

Columns = Mapping[str, list[Any]]

ORDERS: Columns = {
    "order_id": ["1", "2", "3"],
    "member_id": ["a", "a", "b"],
    "ordered_at": ["2026-01-01 09:30:00", "2026-01-11 10:00:00", "2026-01-12 23:30:00"],
    "net_amount": ["12.3", "20", "7.25"],
}
MEMBERS: Columns = {"member_id": ["a", "b"], "joined_at": ["2025-12-01", "2025-12-02"]}
EVENTS: Columns = {"member_id": ["a"], "occurred_at": ["2026-01-02 10:00"], "event": ["visit"]}
LINES: Columns = {"order_id": ["1", "3"], "product_id": ["p", "q"], "net_amount": ["12.3", "7.25"]}
OFFERS: Columns = {
    "offer_id": ["x"],
    "member_id": ["a"],
    "incentive_id": ["control"],
    "assigned_at": ["2026-01-05"],
    "propensity": ["0.5"],
}
CONTACTS: Columns = {"member_id": ["a"], "channel": ["email"], "consent": ["yes"]}
IDENTITIES: Columns = {"alias_id": ["a2"], "member_id": ["a"]}


def many(columns: Columns, rows: int, **replaced: Any) -> dict[str, list[Any]]:
    """Repeat a table's first row with running ids; ``replaced`` maps a column to {row number: value}."""
    table = {name: [values[0]] * rows for name, values in columns.items()}
    for name in {"order_id", "offer_id", "event_id"} & set(columns):
        table[name] = [str(number) for number in range(1, rows + 1)]
    for name, values in replaced.items():
        for row, value in values.items():
            table[name][row - 1] = value
    return table


def csv(columns: Columns, **options: Any) -> bytes:
    return pd.DataFrame(dict(columns)).to_csv(index=False, **options).encode()


def write(file: Path, table: Columns | bytes | pd.DataFrame) -> None:
    """Write a table in the form its file's name says; bytes as they are."""
    if isinstance(table, bytes):
        file.write_bytes(table)
    elif file.suffix == ".parquet":
        pd.DataFrame(dict(table) if isinstance(table, Mapping) else table).to_parquet(file, index=False)
    else:
        file.write_bytes(csv(table))


def programme(folder: Path, timezone: str = "Asia/Shanghai", **sources: Mapping[str, Any] | Source) -> Programme:
    """Return a programme in a folder; orders are in orders.csv unless something else is said."""
    content = {"name": "test", "timezone": timezone, "currency": "CNY"}
    value = sources.pop("value", {})
    return parse_programme(
        {**content, "value": value, "data": {"orders": {"path": "orders.csv"}, **sources}}, folder=folder
    )


def empty_table(name: str) -> ibis.Table:
    """Return a canonical table without rows."""
    schema = CONTRACTS[name].schema
    return ibis.memtable(schema.to_pyarrow().empty_table(), schema=schema)
