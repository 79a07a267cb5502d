"""Exports of another shape, and other ways of writing numbers and times, become the same tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from raw_tables import ORDERS, programme, write

from features.errors import InputError
from features.settings_data import Source
from features.sources import Loaded, load_tables

TILL = {
    "order_id": ["1", "1", "2", "3"],
    "member_id": ["a", "", "a", "b"],
    "ordered_at": ["2026-01-01 09:31:00", "2026-01-01 09:30:00", "2026-01-11 10:00:00", "2026-01-12 23:30:00"],
    "net_amount": ["10", "2.3", "20", "7.25"],
    "is_return": ["no", "", "no", "no"],
    "product_id": ["p", "q", "p", "r"],
}
BY_PRODUCT = {"path": "orders.csv", "one_row_per": "product"}


def rows(loaded: Loaded, table: str, *columns: str) -> list[tuple[object, ...]]:
    expression = getattr(loaded.tables, table)
    return [tuple(row.values()) for row in expression.order_by(columns).select(*columns).to_pyarrow().to_pylist()]


def till(folder: Path, **changed: Any) -> Loaded:
    write(folder / "orders.csv", {**TILL, **changed})
    return load_tables(programme(folder, orders=BY_PRODUCT, order_lines={"path": "orders.csv"}), threads=1)


def test_rows_per_product_are_added_up_to_orders_and_stay_as_lines(tmp_path: Path) -> None:
    loaded = till(tmp_path)
    assert rows(loaded, "orders", "order_id", "member_id", "ordered_at", "net_amount", "is_return") == [
        ("1", "a", datetime(2026, 1, 1, 1, 30), Decimal("12.3000"), False),
        ("2", "a", datetime(2026, 1, 11, 2, 0), Decimal("20.0000"), False),
        ("3", "b", datetime(2026, 1, 12, 15, 30), Decimal("7.2500"), False),
    ]
    assert [order for order, _ in rows(loaded, "order_lines", "order_id", "product_id")] == ["1", "1", "2", "3"]
    assert loaded.findings == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"net_amount": ["10", "2,3", "20", "7"]}, "orders.net_amount is not a finite number"),
        ({"ordered_at": [*TILL["ordered_at"][:3], "soon"]}, r"orders.ordered_at is not a date .*'soon \(in a row of"),
        ({"member_id": ["a", "b", "a", "b"]}, "orders.member_id has no value"),
        ({"is_return": ["no", "maybe", "no", "no"]}, "orders.is_return"),
    ],
)
def test_what_is_wrong_in_one_row_is_said_of_the_order(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        till(tmp_path, **changed)


PIECES = {
    "order_id": ["1", "1", "2", "3"],
    "member_id": ["a", "a", "b", ""],
    "ordered_at": ["2026-01-01 09:30:00", "2026-01-01 09:30:00", "2026-01-02 10:00:00", "2026-01-03 10:00:00"],
    "Price": ["1.25", "10", "3.50", "2"],
    "Pieces": ["2", "1", "-1", "5"],
}
BY_PIECE = {**BY_PRODUCT, "columns": {"net_amount": "Price * Pieces"}}


def pieces(folder: Path, source: dict[str, Any], **changed: Any) -> Loaded:
    write(folder / "orders.csv", {**PIECES, **changed})
    return load_tables(programme(folder, orders={**BY_PIECE, **source}), threads=1)


def test_price_times_quantity_is_an_amount_a_minus_a_return_and_nobodys_orders_are_left_out(tmp_path: Path) -> None:
    loaded = pieces(tmp_path, {"anonymous": True, "negative_is_return": True})
    assert rows(loaded, "orders", "order_id", "net_amount", "is_return") == [
        ("1", Decimal("12.5000"), False),
        ("2", Decimal("-3.5000"), True),
    ]
    (nobodys,) = loaded.findings
    assert str(nobodys).startswith("orders.member_id has no value, so it is nobody's: 1 row set aside")


def test_with_a_decimal_comma_products_are_the_same(tmp_path: Path) -> None:
    source = {"anonymous": True, "negative_is_return": True, "decimal": ",", "delimiter": ";"}
    lines = zip(*({**PIECES, "Price": ["1,25", "10", "3,50", "2"]}).values(), strict=True)
    (tmp_path / "orders.csv").write_text("\n".join([";".join(PIECES), *map(";".join, lines)]))
    loaded = load_tables(programme(tmp_path, orders={**BY_PIECE, **source}), threads=1)
    assert [amount for _, amount in rows(loaded, "orders", "order_id", "net_amount")] == [
        Decimal("12.5000"),
        Decimal("-3.5000"),
    ]


@pytest.mark.parametrize(
    ("source", "changed", "said"),
    [
        ({"anonymous": True}, {"Pieces": ["2", "some", "-1", "5"]}, r"orders.net_amount is not a finite .*'10 \* some"),
        ({}, {}, r"orders.member_id has no value \(see `anonymous`\): 1 of 3 rows"),
        ({"columns": {"net_amount": "Price * Number"}}, {}, "no column 'Number' for 'Price \\* Number'"),
    ],
)
def test_what_cannot_be_multiplied_and_who_is_missing_is_said(
    source: dict[str, Any], changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        pieces(tmp_path, source, **changed)


def test_a_minus_alone_is_no_return_unless_the_file_says_so(tmp_path: Path) -> None:
    findings = {finding.column: finding for finding in pieces(tmp_path, {"anonymous": True}).findings}
    assert "is negative, but the row is no return (see `negative_is_return`)" in str(findings["net_amount"])


def test_consents_in_columns_become_a_row_per_channel(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    write(tmp_path / "people.csv", {"member_id": ["a", "b"], "Newsletter": ["ja", "nein"], "SMS": ["nein", "ja"]})
    contacts = {"path": "people.csv", "consents": {"email": "Newsletter", "sms": "SMS"}}
    loaded = load_tables(programme(tmp_path, contacts=contacts), threads=1)
    assert rows(loaded, "contacts", "member_id", "channel", "consent") == [
        ("a", "email", True), ("a", "sms", False), ("b", "email", False), ("b", "sms", True),
    ]  # fmt: skip


def test_what_is_wrong_in_a_reshaped_parquet_file_is_named_by_its_row(tmp_path: Path) -> None:
    orders = {"order_id": [f"o{n}" for n in range(200)], "member_id": "a", "ordered_at": "2026-01-01 09:30:00"}
    factors = {"Price": "1.25", "Pieces": ["2"] * 199 + ["some"]}
    pd.DataFrame({**orders, **factors}).to_parquet(tmp_path / "orders.parquet", index=False)
    people = pd.DataFrame({"member_id": [f"m{n}" for n in range(200)], "SMS": ["ja"] * 199 + ["perhaps"]})
    people.to_parquet(tmp_path / "people.parquet", index=False)
    loaded = load_tables(
        programme(
            tmp_path,
            orders={"path": "orders.parquet", "columns": {"net_amount": "Price * Pieces"}},
            contacts={"path": "people.parquet", "consents": {"sms": "SMS"}},
        ),
        threads=1,
    )
    assert [finding.examples for finding in loaded.findings] == [" (row 200: '1.25 * some')", " (row 200: 'perhaps')"]


def test_a_column_of_consents_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    write(tmp_path / "people.csv", {"member_id": ["a"], "SMS": ["ja"]})
    with pytest.raises(InputError, match="no column 'Newsletter'"):
        load_tables(programme(tmp_path, contacts={"path": "people.csv", "consents": {"email": "Newsletter"}}))


@pytest.mark.parametrize(
    ("decimal", "thousands", "amounts"),
    [
        (",", ".", ["1.234,50", "-0,5", "1234567,25"]),
        (".", ",", ["1,234.50", "-0.5", "1,234,567.25"]),
        (",", " ", ["1 234,50", "-0,5", "1 234 567,25"]),
        (".", "'", ["1'234.50", "-0.5", "1'234'567.25"]),
    ],
)
def test_digits_may_be_grouped_by_three(decimal: str, thousands: str, amounts: list[str], tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "net_amount": amounts, "is_return": ["no", "yes", "no"]})
    source = {"path": "orders.csv", "decimal": decimal, "thousands": thousands}
    loaded = load_tables(programme(tmp_path, orders=source), threads=1)
    found = [amount for _, amount in rows(loaded, "orders", "order_id", "net_amount")]
    assert found == [Decimal("1234.5"), Decimal("-0.5"), Decimal("1234567.25")]


@pytest.mark.parametrize(
    ("sign", "amounts"),
    [
        ("$", ["$1,234.50", "-$0.5", "$ 1,234,567.25"]),
        ("US$", ["US$1,234.50", "US$-0.5", "1,234,567.25 US$"]),
        ("¥", ["¥1,234.50", "¥ -0.5", "1,234,567.25"]),
        ("元", ["1,234.50元", "-0.5 元", "1,234,567.25\u00a0元"]),
    ],
)
def test_amounts_may_be_written_with_a_currency_sign(sign: str, amounts: list[str], tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "net_amount": amounts, "is_return": ["no", "yes", "no"]})
    source = {"path": "orders.csv", "thousands": ",", "currency_sign": sign}
    loaded = load_tables(programme(tmp_path, orders=source), threads=1)
    found = [amount for _, amount in rows(loaded, "orders", "order_id", "net_amount")]
    assert found == [Decimal("1234.5"), Decimal("-0.5"), Decimal("1234567.25")]


@pytest.mark.parametrize("amount", ["$1$", "$$1", "€5", "1$2", "$"])
def test_any_other_sign_in_an_amount_is_refused(amount: str, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "net_amount": ["$1", "2", amount]})
    with pytest.raises(InputError, match=r"orders\.net_amount is not a finite number"):
        load_tables(programme(tmp_path, orders={"path": "orders.csv", "currency_sign": "$"}))


@pytest.mark.parametrize("amount", ["1.23,5", "12.3456,00", "1.234.5", "1,234.5"])
def test_digits_grouped_otherwise_are_no_number(amount: str, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "net_amount": ["1.234,5", "2", amount]})
    with pytest.raises(InputError, match="see `decimal`, `thousands`, `currency_sign`"):
        load_tables(programme(tmp_path, orders={"path": "orders.csv", "decimal": ",", "thousands": "."}))


@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("unix", ["1767231000", "1768096800.0", "1768231800"]),
        ("unix_ms", ["1767231000000", "1768096800000", "1768231800000"]),
        ("excel", ["46023.395833333", "46033.416666667", "46034.979166667"]),
    ],
)
@pytest.mark.parametrize("file", ["orders.csv", "orders.parquet"])
def test_times_may_be_counted_from_a_moment_on(form: str, given: list[str], file: str, tmp_path: Path) -> None:
    times = given if file.endswith("csv") else [float(time) for time in given]
    write(tmp_path / file, {**ORDERS, "ordered_at": times})
    loaded = load_tables(programme(tmp_path, orders={"path": file, "datetime_format": form}), threads=1)
    assert [time for (time,) in rows(loaded, "orders", "ordered_at")] == [
        datetime(2026, 1, 1, 1, 30), datetime(2026, 1, 11, 2, 0), datetime(2026, 1, 12, 15, 30),
    ]  # fmt: skip


@pytest.mark.parametrize("time", ["1e30", "soon", "-1e300"])
def test_a_count_that_is_no_time_is_said(time: str, tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", {**ORDERS, "ordered_at": ["1767231000", "1768096800", time]})
    with pytest.raises(InputError, match="is not a date or time"):
        load_tables(programme(tmp_path, orders={"path": "orders.csv", "datetime_format": "unix"}))


@pytest.mark.parametrize(
    "sources",
    [
        {"members": {"path": "m.csv", "one_row_per": "product"}},
        {"members": {"path": "m.csv", "consents": {"email": "Newsletter"}}},
    ],
)
def test_shapes_belong_to_one_table(sources: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`(one_row_per|consents)` is for"):
        programme(tmp_path, **sources)


def test_the_two_marks_of_a_number_differ() -> None:
    with pytest.raises(ValidationError, match="must differ"):
        Source(path="o.csv", decimal=",", thousands=",")
