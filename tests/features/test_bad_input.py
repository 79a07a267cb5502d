"""Bad input never goes unsaid: it is refused by name, or set aside with a count and kept in a file."""

from __future__ import annotations

import csv as csv_files
import gzip
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pandas as pd
import pytest
import sqlalchemy as sa
from raw_tables import (
    CONTACTS,
    EVENTS,
    IDENTITIES,
    LINES,
    MEMBERS,
    OFFERS,
    ORDERS,
    Columns,
    csv,
    many,
    programme,
    write,
)

from features.errors import InputError
from features.programme import Programme
from features.sources import Loaded, load_tables, tables_from_frames

NOW = datetime(2026, 6, 1)
Given = Columns | bytes | pd.DataFrame


def zipped(content: bytes) -> bytes:
    with BytesIO() as archive:
        with ZipFile(archive, "w", ZIP_DEFLATED) as files:
            files.writestr("xl/worksheets/sheet1.xml", content * 20)
        return archive.getvalue()


def given(folder: Path, tables: Mapping[str, Given], **settings: Mapping[str, Any]) -> Programme:
    """Write tables as files, bytes and text as CSV, frames as Parquet, and return their programme."""
    sources = {}
    for name, table in {"orders": ORDERS, **tables}.items():
        file = f"{name}.{'parquet' if isinstance(table, pd.DataFrame) else 'csv'}"
        write(folder / file, table)
        sources[name] = {"path": file, **settings.get(name, {})}
    return programme(folder, **sources)


def load(folder: Path, tables: Mapping[str, Given], **settings: Mapping[str, Any]) -> Loaded:
    return load_tables(given(folder, tables, **settings), threads=1, now=NOW, set_aside=folder / "aside")


def orders(**columns: list[Any]) -> dict[str, list[Any]]:
    return {**ORDERS, **columns}


REFUSED: dict[str, tuple[Mapping[str, Given], list[str]]] = {
    "a required column is missing": (
        {
            "orders": {name: values for name, values in ORDERS.items() if name != "net_amount"}
            | {"nett_amount": [1, 2, 3]}
        },
        ["orders", "no column 'net_amount'", "did you mean 'nett_amount'?"],
    ),
    "an amount is no number": (
        {"orders": orders(net_amount=["12", "12 EUR", "13"])},
        ["orders.net_amount", "is not a finite number", "1 of 3 rows", "row 2: '12 EUR'"],
    ),
    "an amount has a decimal comma": (
        {"orders": orders(net_amount=["12,5", "1,5", "13"])},
        ["orders.net_amount", "see `decimal`", "2 of 3 rows", "row 1: '12,5'"],
    ),
    "an amount has separators of thousands": (
        {"orders": orders(net_amount=["1,200.50", "1", "13"])},
        ["orders.net_amount", "see `decimal`, `thousands`, `currency_sign`", "row 1: '1,200.50'"],
    ),
    "an amount is not a number in text": (
        {"orders": orders(net_amount=["NaN", "inf", "-Infinity"])},
        ["orders.net_amount", "finite", "3 of 3 rows", "row 1: 'NaN'", "row 2: 'inf'"],
    ),
    "an amount is infinite in floating point": (
        {"orders": pd.DataFrame(orders(net_amount=[1.0, float("inf"), 2.0]))},
        ["orders.net_amount", "finite", "1 of 3 rows", "row 2: 'inf'"],
    ),
    "an amount is missing": (
        {"orders": orders(net_amount=["1", "", "NULL"])},
        ["orders.net_amount", "has no value", "2 of 3 rows", "row 2: None"],
    ),
    "an amount is too large": (
        {"orders": orders(net_amount=["1", "1e30", "2"])},
        ["orders.net_amount", "at most 14 digits", "row 2: '1e30'"],
    ),
    "an amount column holds truth values": (
        {"orders": pd.DataFrame(orders(net_amount=[True, False, True]))},
        ["orders.net_amount", "finite number", "3 of 3 rows"],
    ),
    "a time is no time": (
        {"orders": orders(ordered_at=["2026-01-01", "31/01/2026", "soon"])},
        ["orders.ordered_at", "is not a date or time", "2 of 3 rows", "row 2: '31/01/2026'"],
    ),
    "a time is a number": (
        {"orders": pd.DataFrame(orders(ordered_at=[20260101, 20260102, 20260103]))},
        ["orders.ordered_at", "give `datetime_format`", "3 of 3 rows"],
    ),
    "a time is never": (
        {"orders": orders(ordered_at=["infinity", "2026-01-01", "2026-01-02"])},
        ["orders.ordered_at", "is not a date or time", "row 1: 'infinity'"],
    ),
    "most times are in the future": (
        {"orders": orders(ordered_at=["2062-01-01", "2062-01-02", "2026-01-03"])},
        ["orders.ordered_at", "is in the future (after 2026-06-01 00:00 UTC)", "2 of 3 rows"],
    ),
    "some times have an offset and others none": (
        {"orders": orders(ordered_at=["2026-01-01 10:00", "2026-01-01T10:00+08:00", "2026-01-02"])},
        ["orders.ordered_at", "UTC offset while others have none", "1 of 3 rows", "row 2: '2026-01-01T10:00+08:00'"],
    ),
    "an id has no value": (
        {"orders": orders(order_id=["1", " ", "3"])},
        ["orders.order_id", "has no value", "1 of 3 rows", "row 2: ' '"],
    ),
    "most ids contradict each other": (
        {"orders": orders(order_id=["1", "1", "3"])},
        ["orders.order_id", "contradicts a row of the same order_id", "2 of 3 rows", "row 1: '1', row 2: '1'"],
    ),
    "returns are positive": (
        {"orders": orders(is_return=["0", "1", "0"])},
        ["orders.net_amount", "is positive, but the row is a return", "row 2: '20'"],
    ),
    "discounts are negative": (
        {"orders": orders(discount_amount=["0", "-1", "0"])},
        ["orders.discount_amount", "write discounts positive", "row 2: '-1'"],
    ),
    "orders are empty": ({"orders": {name: [] for name in ORDERS}}, ["orders has no rows", "nothing to learn from"]),
    "orders are all negative": (
        {"orders": orders(net_amount=["-1", "-1", "-1"])},
        ["orders has no rows left of 3"],
    ),
    "a file is empty": ({"orders": b""}, ["orders", "orders.csv is empty", "first line must name the columns"]),
    "a row is too short": (
        {"orders": csv(ORDERS) + b"4,a\n"},
        ["orders", "orders.csv", "CSV Error on Line: 5"],
    ),
    "a row is too long": ({"orders": csv(ORDERS) + b"4,a,2026-01-04,5,6\n"}, ["CSV Error on Line: 5", "Found: 5"]),
    "a quotation mark is never closed": (
        {"orders": csv(ORDERS) + b'4,"a,2026-01-04,5\n'},
        ["orders.csv", "CSV Error on Line: 5"],
    ),
    "a page to log in instead of a file": (
        {"orders": b"<html><body>Please log in</body></html>\n"},
        ["no column 'order_id'", "columns there: <html>"],
    ),
    "a line of totals ends the file": (
        {"orders": csv(ORDERS) + b"Total,,,123\n"},
        ["orders.member_id has no value", "orders.ordered_at has no value", "row 4"],
    ),
    "a compressed file is called a CSV file": (
        {"orders": gzip.compress(csv(ORDERS))},
        ["orders.csv is not encoded in utf-8; it is compressed: give it a name that ends in .csv.gz"],
    ),
    "a workbook is called a CSV file": (
        {"orders": zipped(csv(ORDERS))},
        ["orders.csv is not encoded in utf-8; it is an archive or a workbook"],
    ),
    "a file is UTF-16": (
        {"orders": csv(ORDERS).decode().encode("utf-16")},
        ["orders.csv is not encoded in utf-8; it begins as UTF-16 does: set `encoding` to 'utf-16'"],
    ),
    "a day the calendar lacks": (
        {"orders": orders(ordered_at=["2026-01-01", "2025-02-30", "2026-01-03"])},
        ["orders.ordered_at", "is not a date or time", "row 2: '2025-02-30'"],
    ),
    "a column is named twice": (
        {"orders": b"order_id,order_id\n1,2\n"},
        ["orders", "more than one column 'order_id'"],
    ),
    "the encoding is another": (
        {"orders": csv(many(ORDERS, 1000, member_id={999: "张"})).decode().encode("gbk")},
        ["orders", "orders.csv", "Line: 1000", "not utf-8 encoded"],
    ),
    "the header's encoding is another": (
        {"orders": csv({**ORDERS, "备注": ["", "", ""]}).decode().encode("gbk")},
        ["orders", "orders.csv is not encoded in utf-8; set `encoding`"],
    ),
    "consent is neither yes nor no": (
        {"contacts": {**CONTACTS, "consent": ["perhaps"]}},
        ["contacts.consent", "is neither true nor false", "1 of 1 rows", "row 1: 'perhaps'"],
    ),
    "a propensity is no probability": (
        {"offers": {**OFFERS, "propensity": ["1.5"]}},
        ["offers.propensity", "is not above 0 and up to 1", "row 1: '1.5'"],
    ),
    "a year of birth is no year": (
        {"members": {**MEMBERS, "birth_year": ["1980.5", "1980"]}},
        ["members.birth_year", "is not a whole number", "row 1: '1980.5'"],
    ),
    "identities go round in a circle": (
        {"identities": {"alias_id": ["a", "b"], "member_id": ["b", "a"]}},
        ["identities.alias_id", "circle"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_by_name(case: str, tmp_path: Path) -> None:
    tables, said = REFUSED[case]

    with pytest.raises(InputError) as error:
        load(tmp_path, tables)

    for words in said:
        assert words in str(error.value)
    assert not (tmp_path / "aside").exists()


ASIDE: dict[str, tuple[Mapping[str, Given], str, str, int, str]] = {
    "an order delivered twice": (
        {"orders": {name: [*values, values[1]] for name, values in ORDERS.items()}},
        "orders", "order_id", 1, "repeats a row of the same order_id",
    ),
    "few orders with a contradicting id": (
        {"orders": many(ORDERS, 300, order_id={8: "7"}, net_amount={8: "1"})},
        "orders", "order_id", 2, "contradicts a row of the same order_id",
    ),
    "few unreadable amounts": (
        {"orders": many(ORDERS, 300, net_amount={8: "abc"})}, "orders", "net_amount", 1, "is not a finite number",
    ),
    "few unreadable times": (
        {"orders": many(ORDERS, 300, ordered_at={8: "31.01.2026"})}, "orders", "ordered_at", 1, "is not a date or time",
    ),
    "few times in the future": (
        {"orders": many(ORDERS, 300, ordered_at={8: "2062-01-01"})}, "orders", "ordered_at", 1, "is in the future",
    ),
    "a negative amount that is no return": (
        {"orders": orders(net_amount=["1", "-2", "3"])},
        "orders", "net_amount", 1, "is negative, but the row is no return",
    ),
    "an order of an unknown member": (
        {"orders": orders(member_id=["a", "z", "b"]), "members": MEMBERS}, "orders", "member_id", 1, "is no member",
    ),
    "a line of an unknown order": (
        {"order_lines": {**LINES, "order_id": ["1", "9"]}}, "order_lines", "order_id", 1, "is no order",
    ),
    "a line of an order set aside": (
        {"orders": orders(net_amount=["1", "1", "-3"]), "order_lines": LINES},
        "order_lines", "order_id", 1, "is no order",
    ),
    "an event outside the vocabulary": (
        {"events": {**EVENTS, "event": ["product_vew"]}},
        "events", "event", 1, "'product_vew' 1 times, did you mean 'product_view'?",
    ),
    "an event of an unknown member": (
        {"events": {**EVENTS, "member_id": ["z"]}, "members": MEMBERS}, "events", "member_id", 1, "is no member",
    ),
    "an offer to an unknown member": (
        {"offers": {**OFFERS, "member_id": ["z"]}, "members": MEMBERS}, "offers", "member_id", 1, "is no member",
    ),
    "a consent against a refusal": (
        {"contacts": {"member_id": ["a", "a"], "channel": ["sms"] * 2, "consent": ["yes", "no"]}},
        "contacts", "member_id", 1, "contradicts",
    ),
    "an order corrected later": (
        {
            "orders": {
                **{name: [*values, values[1]] for name, values in ORDERS.items()},
                "net_amount": ["12.3", "20", "7.25", "18"],
                "recorded_at": ["2026-01-02", "2026-01-12", "2026-01-13", "2026-02-01"],
            }
        },
        "orders", "order_id", 1, "is corrected by a row of the same order_id, recorded later",
    ),
    "few returns that are positive": (
        {"orders": many({**ORDERS, "is_return": ["0"] * 3}, 300, is_return={8: "1"})},
        "orders", "net_amount", 1, "is positive, but the row is a return",
    ),
    "few negative discounts": (
        {"orders": many({**ORDERS, "discount_amount": ["0"] * 3}, 300, discount_amount={8: "-1"})},
        "orders", "discount_amount", 1, "write discounts positive",
    ),
    "few propensities that are none": (
        {"offers": many(OFFERS, 300, propensity={8: "0"})}, "offers", "propensity", 1, "is not above 0 and up to 1",
    ),
    "an event delivered twice": (
        {"events": {name: values * 2 for name, values in {**EVENTS, "event_id": ["e1"]}.items()}},
        "events", "event_id", 1, "repeats a row of the same event_id",
    ),
    "few events without a member": (
        {"events": many({**EVENTS, "event_id": ["1"]}, 300, member_id={8: ""})},
        "events", "member_id", 1, "has no value",
    ),
    "few events at no time": (
        {"events": many({**EVENTS, "event_id": ["1"]}, 300, occurred_at={8: "yesterday"})},
        "events", "occurred_at", 1, "is not a date or time",
    ),
    "few amounts that are not there": (
        {"orders": many(ORDERS, 300, net_amount={8: ""})}, "orders", "net_amount", 1, "has no value",
    ),
    "few orders without a member": (
        {"orders": many(ORDERS, 300, member_id={8: ""})}, "orders", "member_id", 1, "has no value",
    ),
    "a member who is there under a further id too": (
        {
            "members": {**MEMBERS, "member_id": ["a", "a2"]},
            "identities": IDENTITIES,
            "orders": orders(member_id=["a"] * 3),
        },
        "members", "member_id", 1, "is a further id of a member who has a row already",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASIDE)
def test_it_is_set_aside_and_counted(case: str, tmp_path: Path) -> None:
    tables, name, column, count, said = ASIDE[case]

    loaded = load(tmp_path, tables)

    finding = next(finding for finding in loaded.findings if finding.table == name)
    assert (finding.column, finding.count, finding.set_aside) == (column, count, True)
    assert said in str(finding)
    assert len(finding.rows) == min(count, 5)
    with (tmp_path / "aside" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        kept_apart = list(csv_files.DictReader(file))
    table = tables[name]
    assert isinstance(table, Mapping)
    assert len(next(iter(table.values()))) == getattr(loaded.tables, name).count().to_pyarrow().as_py() + len(
        kept_apart
    )
    for row in kept_apart:
        assert said.split(" (")[0] in row["reason"] or name == "events"
        assert row[column] == table[column][int(row["row"]) - 1]


KEPT: dict[str, tuple[Mapping[str, Given], str, str | None, int, str]] = {
    "a row recorded before its own time": (
        {"orders": orders(recorded_at=["2026-01-02", "2026-01-01", "2026-01-13"])},
        "orders", "recorded_at", 1, "is before ordered_at, which counts instead",
    ),
    "a return of an unknown order": (
        {"orders": orders(net_amount=["1", "2", "-3"], return_of=["", "", "77"])},
        "orders", "return_of", 1, "is no earlier order",
    ),
    "an order without margin": (
        {"orders": orders(margin_amount=["1", "", "3"])}, "orders", "margin_amount", 1, "set value.margin_rate",
    ),
    "an offer of an unknown incentive": (
        {"offers": {**OFFERS, "incentive_id": ["old_coupon"]}}, "offers", "incentive_id", 1, "is no incentive",
    ),
    "an event of a member without orders where nobody lists the members": (
        {"events": {**EVENTS, "member_id": ["z"]}},
        "events", "member_id", 1, "has no order, and there is no members table",
    ),
    "orders that end long before events": (
        {"orders": many(ORDERS, 300), "events": {**EVENTS, "occurred_at": ["2026-01-09"]}},
        "orders", "ordered_at", 0, "ends at 2026-01-01 01:30 UTC, 7 days before events do",
    ),
    "an empty optional table": ({"events": {name: [] for name in EVENTS}}, "events", None, 0, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_it_is_kept_and_counted(case: str, tmp_path: Path) -> None:
    tables, name, column, count, said = KEPT[case]

    loaded = load(tmp_path, tables)

    (finding,) = loaded.findings
    assert (finding.table, finding.column, finding.count, finding.set_aside) == (name, column, count, False)
    assert said in str(finding)
    assert not (tmp_path / "aside").exists()


SOURCES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no such file": ({"path": "sales.csv"}, ["no file", "sales.csv"]),
    "no file fits the pattern": ({"path": "sales-*.csv"}, ["no file", "sales-*.csv"]),
    "a folder": ({"path": "."}, ["is a folder"]),
    "an unknown kind of file": ({"path": "orders.xlsx"}, ["orders.xlsx", "files end in", ".csv", ".parquet"]),
    "an unreadable Parquet file": ({"path": "orders.parquet"}, ["cannot read", "orders.parquet", "Parquet"]),
    "an unknown encoding": ({"path": "orders.csv", "encoding": "utf-88"}, ["unknown encoding 'utf-88'"]),
    "a wrong encoding": (
        {"path": "latin.csv", "encoding": "gbk"},
        ["latin.csv is not encoded in gbk", "check `encoding`"],
    ),
    "a column that is not there": (
        {"path": "orders.csv", "columns": {"net_amount": "AMOUNT"}},
        ["no column 'AMOUNT' (our net_amount)", "columns there: order_id, member_id"],
    ),
    "a column of ours misspelt": (
        {"path": "orders.csv", "columns": {"net_amout": "net_amount"}},
        ["columns.net_amout is no column of ours, did you mean 'net_amount'?"],
    ),
    "values for another table than events": (
        {"path": "orders.csv", "values": {"a": "visit"}},
        ["`values` is for events, offers and contacts only"],
    ),
    "a format that is none": ({"path": "orders.csv", "datetime_format": "%Q"}, ["orders", "%Q"]),
    "an unset environment variable": (
        {"url": "sqlite:///${WINBACK_NOWHERE}.db", "table": "orders"},
        ["needs the environment variable WINBACK_NOWHERE, which is not set"],
    ),
    "no such database file": ({"url": "sqlite:///nowhere.db", "table": "orders"}, ["no file", "nowhere.db"]),
    "no such table": ({"url": "sqlite:///shop.db", "table": "sales"}, ["no table sales at sqlite:///", "shop.db"]),
    "no database URL": ({"url": "shop.db", "table": "orders"}, ["shop.db is not a database URL"]),
    "a driver that is not installed": (
        {"url": "oracle://u:secret@h/d", "table": "orders"},
        ["cannot read orders at oracle"],
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_cannot_be_read_says_why(case: str, tmp_path: Path) -> None:
    source, said = SOURCES[case]
    write(tmp_path / "orders.csv", ORDERS)
    write(tmp_path / "orders.parquet", b"not Parquet at all, but long enough to look")
    write(tmp_path / "orders.xlsx", b"")
    write(tmp_path / "latin.csv", csv(orders(member_id=["é", "ü ", "ß"])).decode().encode("latin-1"))
    with sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}").begin() as connection:
        pd.DataFrame(ORDERS).to_sql("orders", connection, index=False)

    with pytest.raises(InputError) as error:
        load_tables(programme(tmp_path, orders=source), threads=1)

    for words in said:
        assert words in str(error.value)
    assert "secret" not in str(error.value)


def test_all_problems_are_in_one_message(tmp_path: Path) -> None:
    tables = {"orders": orders(net_amount=["x", "1", "2"], ordered_at=["y", "2026-01-01", "z"])}

    with pytest.raises(InputError) as error:
        load(tmp_path, {**tables, "contacts": {**CONTACTS, "consent": ["maybe"]}, "events": b"a,b\n1,2\n"})

    for words in ("orders.net_amount", "orders.ordered_at", "contacts.consent", "events: ", "no column 'event'"):
        assert words in str(error.value)


def test_an_event_mapping_must_lead_into_the_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'vist' is not in the event vocabulary, did you mean 'visit'"):
        load(tmp_path, {"events": EVENTS}, events={"values": {"PV": "vist"}})


def test_frames_are_held_to_the_same_rules(tmp_path: Path) -> None:
    frame = pd.DataFrame(orders(net_amount=[1.0, float("inf"), None]))

    with pytest.raises(InputError) as error:
        tables_from_frames(programme(tmp_path), orders=frame)

    assert "row 2: 'inf'" in str(error.value)
    assert "orders.net_amount has no value: 1 of 3 rows (row 3: None)" in str(error.value)


def test_frames_with_mixed_times_are_refused(tmp_path: Path) -> None:
    times = [datetime(2026, 1, 1), pd.Timestamp("2026-01-01", tz="UTC").to_pydatetime(), datetime(2026, 1, 2)]
    frame = pd.DataFrame(ORDERS).assign(ordered_at=pd.Series(times, dtype=object))

    with pytest.raises(InputError, match="UTC offset while others have none"):
        tables_from_frames(programme(tmp_path), orders=frame)


def test_orders_without_columns_are_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the orders frame is empty"):
        tables_from_frames(programme(tmp_path), orders=pd.DataFrame())


def test_a_later_clean_load_removes_the_file_of_rows_set_aside(tmp_path: Path) -> None:
    load(tmp_path, {"orders": orders(net_amount=["1", "-2", "3"])})
    assert [file.name for file in (tmp_path / "aside").iterdir()] == ["orders.csv"]

    load(tmp_path, {})

    assert list((tmp_path / "aside").iterdir()) == []


def test_orders_of_a_member_whose_own_rows_contradict_each_other_stay(tmp_path: Path) -> None:
    members = {"member_id": [*map(str, range(300)), "a", "a", "b"], "region": ["north"] * 301 + ["south", "north"]}

    loaded = load(tmp_path, {"members": members})

    assert [(finding.table, finding.count) for finding in loaded.findings] == [("members", 2)]
    assert loaded.tables.orders.count().to_pyarrow().as_py() == 3


def test_of_rows_delivered_twice_the_one_recorded_first_stays(tmp_path: Path) -> None:
    twice = {name: [*values, values[1]] for name, values in ORDERS.items()}

    loaded = load(
        tmp_path, {"orders": {**twice, "recorded_at": ["2026-01-20", "2026-03-01", "2026-01-20", "2026-02-01"]}}
    )

    assert loaded.findings[0].rows[0]["row"] == 2


def test_rows_set_aside_that_cannot_be_written_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "aside" / "orders.partial").mkdir(parents=True)

    with pytest.raises(InputError, match=r"cannot write the rows set aside: .*orders\.partial"):
        load(tmp_path, {"orders": orders(net_amount=["1", "-2", "3"])})


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        ([7.0, 8.0, None], ["7", "8"]),
        ([1e15, 2e15 + 1, None], ["1000000000000000", "2000000000000001"]),
        ([Decimal("7.0"), Decimal("8.0"), None], ["7", "8"]),
        ([7.5, 8.0, None], ["7.5", "8"]),
    ],
)
def test_numbers_are_ids_by_their_digits(ids: list[Any], read: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame(many(ORDERS, 300)).assign(member_id=pd.Series([*ids[:2], *[ids[0]] * 298], dtype=object))
    loaded = tables_from_frames(programme(tmp_path), orders=frame)
    found = loaded.tables.orders.select("member_id").distinct().order_by("member_id").to_pyarrow()
    assert found["member_id"].to_pylist() == read


def test_a_corrected_order_counts_as_corrected_and_is_known_from_then_on(tmp_path: Path) -> None:
    twice = {name: [*values, values[1]] for name, values in ORDERS.items()}
    recorded = ["2026-01-02", "2026-02-01", "2026-01-13", "2026-01-12"]
    loaded = load(tmp_path, {"orders": {**twice, "net_amount": ["1", "18", "3", "20"], "recorded_at": recorded}})
    (order,) = loaded.tables.orders.filter(loaded.tables.orders.order_id == "2").to_pyarrow().to_pylist()
    assert (str(order["net_amount"]), order["recorded_at"]) == ("18.0000", datetime(2026, 1, 31, 16))


def test_corrections_of_the_same_moment_contradict_each_other(tmp_path: Path) -> None:
    twice = many(ORDERS, 300, order_id={8: "7"}, net_amount={8: "1"}) | {"recorded_at": ["2026-02-01"] * 300}
    loaded = load(tmp_path, {"orders": twice})
    (finding,) = loaded.findings
    assert (finding.count, finding.problem) == (2, "contradicts a row of the same order_id")


@pytest.mark.parametrize("further", [{}, {"file_row_number": 7}])
@pytest.mark.parametrize("files", [1, 2])
def test_rows_of_parquet_files_are_told_by_their_place(files: int, further: dict[str, int], tmp_path: Path) -> None:
    rows = pd.DataFrame(many(ORDERS, 300, net_amount={250: "-1", 280: "-2"})).assign(**further)
    for number, part in enumerate([rows] if files == 1 else [rows[:150], rows[150:]]):
        write(tmp_path / f"orders_{number}.parquet", part)
    loaded = load_tables(
        programme(tmp_path, orders={"path": "orders_*.parquet"}), threads=2, now=NOW, set_aside=tmp_path / "aside"
    )
    (finding,) = loaded.findings
    assert [(row["row"], row["order_id"]) for row in finding.rows] == [(250, "250"), (280, "280")]
    aside = pd.read_csv(tmp_path / "aside" / "orders.csv")
    assert aside[["row", "order_id", "net_amount"]].to_numpy().tolist() == [[250, 250, -1], [280, 280, -2]]


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) + len(ASIDE) + len(KEPT) + len(SOURCES) >= 75
