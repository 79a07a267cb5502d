"""Rows that came in by other ways are united with a programme's tables, each id once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from raw_tables import IDENTITIES, MEMBERS, ORDERS, programme, write

from features.sources import Loaded, load_tables

LATER = datetime(2026, 2, 1, 10, tzinfo=UTC)


def ledger_orders(**changed: object) -> pd.DataFrame:
    """Two orders; the first has the id of one in the table, and says something else."""
    columns = {"order_id": ["2", "9"], "member_id": ["a", "b"], "ordered_at": [LATER, LATER], "net_amount": [99.0, 8.0]}
    return pd.DataFrame({**columns, **changed})


def orders(loaded: Loaded) -> list[dict[str, object]]:
    columns = ["order_id", "member_id", "ordered_at", "net_amount", "margin_amount", "discount_amount"]
    rows: list[dict[str, object]] = loaded.tables.orders.select(*columns).order_by("order_id").to_pyarrow().to_pylist()
    return rows


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_new_ids_are_added_and_of_known_ones_the_tables_row_counts(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"orders.{ending}", ORDERS)
    settings = programme(tmp_path, orders={"path": f"orders.{ending}"})

    loaded = load_tables(settings, threads=1, ledger={"orders": ledger_orders()})

    assert [row["order_id"] for row in orders(loaded)] == ["1", "2", "3", "9"]
    assert [row["net_amount"] for row in orders(loaded)] == [
        Decimal("12.3000"),
        Decimal("20.0000"),
        Decimal("7.2500"),
        Decimal("8.0000"),
    ]
    assert orders(loaded)[-1]["ordered_at"] == loaded.data_until == datetime(2026, 2, 1, 10)
    assert loaded.findings == ()


def test_their_times_have_offsets_whatever_the_tables_have(tmp_path: Path) -> None:
    aware = [f"{time}+08:00" for time in ORDERS["ordered_at"]]
    for number, times in enumerate((ORDERS["ordered_at"], aware)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / "orders.csv", {**ORDERS, "ordered_at": times})
        loaded = load_tables(programme(folder), threads=1, ledger={"orders": ledger_orders()})
        assert (len(orders(loaded)), loaded.findings) == (4, ())


def test_columns_either_has_alone_are_there(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "discount_amount": ["1", "2", "3"]})

    loaded = load_tables(programme(tmp_path), threads=1, ledger={"orders": ledger_orders(margin_amount=[5.0, 4.0])})

    assert [row["margin_amount"] for row in orders(loaded)] == [None, None, None, Decimal("4.0000")]
    assert [row["discount_amount"] for row in orders(loaded)] == [1, 2, 3, 0]


def test_a_table_the_programme_lacks_is_the_ledgers(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    events = pd.DataFrame({"event_id": ["e"], "member_id": ["a"], "occurred_at": [LATER], "event": ["visit"]})

    loaded = load_tables(programme(tmp_path), threads=1, ledger={"events": events})

    assert loaded.tables.events.event_id.to_pyarrow().to_pylist() == ["e"]


def test_what_is_wrong_with_them_is_set_aside_with_the_tables_own(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "member_id": ["a", "stranger", "b"]})
    write(tmp_path / "members.csv", MEMBERS)
    settings = programme(tmp_path, members={"path": "members.csv"})
    new = ledger_orders(member_id=["a", "newcomer"])

    loaded = load_tables(settings, threads=1, ledger={"orders": new}, set_aside=tmp_path / "aside")

    assert [row["order_id"] for row in orders(loaded)] == ["1", "3"]
    aside = pd.read_csv(tmp_path / "aside" / "orders.csv")
    assert list(aside["order_id"]) == [2, 9]
    assert list(aside["member_id"]) == ["stranger", "newcomer"]
    assert [row["member_id"] for row in loaded.findings[0].rows] == ["stranger", "newcomer"]


def test_their_members_are_mapped_through_identities(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    write(tmp_path / "identities.csv", IDENTITIES)
    settings = programme(tmp_path, identities={"path": "identities.csv"})

    loaded = load_tables(settings, threads=1, ledger={"orders": ledger_orders(member_id=["a", "a2"])})

    assert [row["member_id"] for row in orders(loaded)] == ["a", "a", "b", "a"]
