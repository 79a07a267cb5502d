"""Raw tables in, canonical tables out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from raw_tables import CONTACTS, EVENTS, LINES, MEMBERS, OFFERS, ORDERS, csv, programme, write

from features.errors import InputError, OutputError
from features.schemas import CONTRACTS
from features.sources import Loaded, load_tables, tables_from_frames

ZONE = "Asia/Shanghai"


def rows(loaded: Loaded, table: str, *columns: str) -> list[tuple[object, ...]]:
    expression = getattr(loaded.tables, table)
    result = expression.order_by(expression.columns[0]).select(*columns).to_pyarrow().to_pylist()
    return [tuple(row.values()) for row in result]


def test_times_become_utc_and_dates_stay_local(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)

    loaded = load_tables(programme(tmp_path), threads=1)

    assert rows(loaded, "orders", "ordered_at", "ordered_on") == [
        (datetime(2026, 1, 1, 1, 30), date(2026, 1, 1)),
        (datetime(2026, 1, 11, 2, 0), date(2026, 1, 11)),
        (datetime(2026, 1, 12, 15, 30), date(2026, 1, 12)),
    ]
    assert loaded.data_until == datetime(2026, 1, 12, 15, 30)
    assert loaded.findings == ()


def test_a_day_saved_by_daylight_saving_is_the_local_one(tmp_path: Path) -> None:
    write(
        tmp_path / "orders.csv", {**ORDERS, "ordered_at": ["2026-06-30 23:30", "2026-01-01 00:30", "2026-03-29 03:30"]}
    )

    loaded = load_tables(programme(tmp_path, timezone="Europe/Berlin"), threads=1, now=datetime(2026, 8, 1))

    assert rows(loaded, "orders", "ordered_at", "ordered_on") == [
        (datetime(2026, 6, 30, 21, 30), date(2026, 6, 30)),
        (datetime(2025, 12, 31, 23, 30), date(2026, 1, 1)),
        (datetime(2026, 3, 29, 1, 30), date(2026, 3, 29)),
    ]


def test_aware_times_are_converted_whatever_their_offset(tmp_path: Path) -> None:
    times = ["2026-01-01T09:30:00+08:00", "2026-01-11T02:00:00Z", "2026-01-12 15:30:00+00"]
    write(tmp_path / "orders.csv", {**ORDERS, "ordered_at": times})

    loaded = load_tables(programme(tmp_path), threads=1)

    assert [time for (time,) in rows(loaded, "orders", "ordered_at")] == [
        datetime(2026, 1, 1, 1, 30),
        datetime(2026, 1, 11, 2, 0),
        datetime(2026, 1, 12, 15, 30),
    ]


def test_money_is_decimal_and_floats_round_to_what_was_meant(tmp_path: Path) -> None:
    write(tmp_path / "orders.parquet", {**ORDERS, "net_amount": [12.3, 0.1 + 0.2, 1e6 / 3]})

    loaded = load_tables(programme(tmp_path, orders={"path": "orders.parquet"}), threads=1)

    amounts = [amount for (amount,) in rows(loaded, "orders", "net_amount")]
    assert amounts == [Decimal("12.3000"), Decimal("0.3000"), Decimal("333333.3333")]


def test_the_same_table_is_the_same_in_every_form(tmp_path: Path) -> None:
    renamed = {"NR": ORDERS["order_id"], "会员": ["张", "张", "b"], "DATUM": ORDERS["ordered_at"]}
    numbers = [12.3, 20.0, 7.25]
    columns = {"order_id": "NR", "member_id": "会员", "ordered_at": "DATUM", "net_amount": "BETRAG"}
    german = csv({**renamed, "BETRAG": numbers}, sep=";", decimal=",").decode()
    write(tmp_path / "gbk.csv", german.encode("gbk"))
    write(tmp_path / "utf16.csv", german.encode("utf-16"))
    write(tmp_path / "bom.csv", b"\xef\xbb\xbf" + german.replace("\n", "\r\n").encode())
    write(tmp_path / "plain.parquet", {**renamed, "BETRAG": numbers, "DATUM": pd.to_datetime(ORDERS["ordered_at"])})
    with sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}").begin() as connection:
        pd.DataFrame({**renamed, "BETRAG": numbers}).to_sql("sales", connection, index=False)
    frame = pd.DataFrame(dict(zip(columns, [*renamed.values(), numbers], strict=True)))
    text = {"delimiter": ";", "decimal": ",", "columns": columns}

    loads = [
        tables_from_frames(programme(tmp_path), orders=frame),
        *(
            load_tables(programme(tmp_path, orders={"columns": columns, **source}), threads=1)
            for source in (
                {"path": "gbk.csv", "encoding": "gbk", **text},
                {"path": "utf16.csv", "encoding": "utf-16", **text},
                {"path": "bom.csv", **text},
                {"path": "plain.parquet"},
                {"url": "sqlite:///shop.db", "table": "sales"},
            )
        ),
    ]

    assert {load.fingerprint for load in loads} == {loads[0].fingerprint}
    assert rows(loads[0], "orders", "member_id") == [("张",), ("张",), ("b",)]


def test_the_fingerprint_follows_content_not_order_or_threads(tmp_path: Path) -> None:
    frame = pd.DataFrame(ORDERS)
    settings = programme(tmp_path)

    first = tables_from_frames(settings, orders=frame).fingerprint

    assert tables_from_frames(settings, orders=frame[::-1], threads=2).fingerprint == first
    assert tables_from_frames(settings, orders=frame.replace("20", "21")).fingerprint != first


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"part-{number}.csv", {name: values[number : number + 1] for name, values in ORDERS.items()})

    loaded = load_tables(programme(tmp_path, orders={"path": "part-*.csv"}), threads=1)

    assert rows(loaded, "orders", "order_id") == [("1",), ("2",), ("3",)]


def test_a_database_url_is_filled_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}").begin() as connection:
        pd.DataFrame(ORDERS).to_sql("orders", connection, index=False)
    monkeypatch.setenv("SHOP", "shop")

    loaded = load_tables(programme(tmp_path, orders={"url": "sqlite:///${SHOP}.db", "table": "orders"}), threads=1)

    assert len(rows(loaded, "orders", "order_id")) == 3


def test_times_in_a_format_of_their_own_are_read_by_it(tmp_path: Path) -> None:
    write(
        tmp_path / "orders.csv", {**ORDERS, "ordered_at": ["01.02.2025 10:00", "02.02.2025 10:00", "03.02.2025 10:00"]}
    )
    source = {"path": "orders.csv", "datetime_format": "%d.%m.%Y %H:%M"}

    loaded = load_tables(programme(tmp_path, orders=source), threads=1)

    assert [day for (day,) in rows(loaded, "orders", "ordered_on")] == [date(2025, 2, day) for day in (1, 2, 3)]


def test_ids_that_were_read_as_numbers_with_gaps_are_ids_again(tmp_path: Path) -> None:
    frame = pd.DataFrame({**ORDERS, "order_id": [1, 2, 3], "store_id": [7.0, None, 8.0]})

    loaded = tables_from_frames(programme(tmp_path), orders=frame)

    assert rows(loaded, "orders", "order_id", "store_id") == [("1", "7"), ("2", None), ("3", "8")]


def test_a_consent_that_cannot_be_read_counts_as_a_refusal_against_an_earlier_yes(tmp_path: Path) -> None:
    rows = [(str(number), "email", "yes", "2025-01-01") for number in range(200)]
    contacts = pd.DataFrame(
        [*rows, ("7", "email", "perhaps", "2025-02-01")], columns=["member_id", "channel", "consent", "updated_at"]
    )
    loaded = tables_from_frames(programme(tmp_path), orders=pd.DataFrame(ORDERS), contacts=contacts)
    rows_of_7 = loaded.tables.contacts.filter(loaded.tables.contacts.member_id == "7").order_by("updated_at")
    assert rows_of_7.to_pyarrow().to_pydict()["consent"] == [True, False]
    assert any("so it counts as a refusal" in str(finding) for finding in loaded.findings)


@pytest.mark.parametrize(
    ("margins", "rate", "values"),
    [
        ([4, 5, 6], 0.5, ["4.0000", "5.0000", "6.0000"]),
        ([4, None, 6], 0.5, ["4.0000", "10.0000", "6.0000"]),
        (None, 0.1, ["1.2300", "2.0000", "0.7250"]),
        (None, None, ["12.3000", "20.0000", "7.2500"]),
    ],
)
def test_value_is_margin_then_assumed_margin_then_revenue(
    tmp_path: Path, margins: list[float | None] | None, rate: float | None, values: list[str]
) -> None:
    frame = pd.DataFrame(ORDERS if margins is None else {**ORDERS, "margin_amount": margins})

    loaded = tables_from_frames(programme(tmp_path, value={"margin_rate": rate}), orders=frame)

    assert rows(loaded, "orders", "value_amount") == [(Decimal(value),) for value in values]


@pytest.mark.parametrize(
    ("bought", "margin", "returned", "value"),
    [
        (100, 30, -100, -30),
        (100, 30, -50, -15),
        (0.0001, 1e9, -1e9, -1e9),  # the share is no amount, so the return's revenue counts
    ],
)
def test_a_return_without_margin_takes_its_share_of_its_orders_margin(
    tmp_path: Path, bought: float, margin: float, returned: float, value: float
) -> None:
    frame = pd.DataFrame(
        {
            "order_id": ["1", "2"], "member_id": ["a", "a"], "ordered_at": ["2026-01-01", "2026-01-05"],
            "net_amount": [bought, returned], "margin_amount": [margin, None], "return_of": [None, "1"],
        }
    )  # fmt: skip
    loaded = tables_from_frames(programme(tmp_path), orders=frame)
    assert rows(loaded, "orders", "value_amount") == [(Decimal(margin),), (Decimal(value),)]
    assert loaded.findings == ()


def test_a_return_that_names_another_members_order_counts_at_its_own_time(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "order_id": ["1", "2"], "member_id": ["a", "b"], "ordered_at": ["2026-01-01", "2026-01-05"],
            "net_amount": [100, -100], "return_of": [None, "1"],
        }
    )  # fmt: skip
    loaded = tables_from_frames(programme(tmp_path), orders=frame)
    assert rows(loaded, "orders", "booked_on") == [(date(2026, 1, 1),), (date(2026, 1, 5),)]
    assert "is no earlier order of the member" in str(loaded.findings[0])


def test_histories_may_lack_orders(tmp_path: Path) -> None:
    events = pd.DataFrame({"member_id": ["a"], "occurred_at": ["2026-01-02 08:00"], "event": ["visit"]})

    loaded = tables_from_frames(programme(tmp_path), events=events)

    assert loaded.data_until == datetime(2026, 1, 2, 0)
    assert loaded.tables.orders.count().to_pyarrow().as_py() == 0


def test_without_orders_and_events_nothing_tells_until_when_the_tables_reach(tmp_path: Path) -> None:
    loaded = tables_from_frames(programme(tmp_path), members=pd.DataFrame({"member_id": ["a"]}))

    with pytest.raises(InputError, match="neither orders nor events"):
        _ = loaded.data_until


def test_no_table_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table is given; give at least one of orders, members"):
        tables_from_frames(programme(tmp_path))


def test_a_return_that_names_its_order_is_booked_with_it(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            **ORDERS,
            "net_amount": [12.3, -12.3, -7.25],
            "return_of": ["", "1", ""],
            "is_return": [False, None, True],
        }
    )

    loaded = tables_from_frames(programme(tmp_path), orders=frame)

    assert rows(loaded, "orders", "is_return", "booked_at", "booked_on") == [
        (False, datetime(2026, 1, 1, 1, 30), date(2026, 1, 1)),
        (True, datetime(2026, 1, 1, 1, 30), date(2026, 1, 1)),
        (True, datetime(2026, 1, 12, 15, 30), date(2026, 1, 12)),
    ]


def test_rows_are_known_from_their_own_time_unless_recorded_later(tmp_path: Path) -> None:
    frame = pd.DataFrame({**ORDERS, "recorded_at": [None, "2026-01-13", "2026-01-13"]})

    loaded = tables_from_frames(programme(tmp_path), orders=frame, order_lines=pd.DataFrame(LINES))

    known = [datetime(2026, 1, 1, 1, 30), datetime(2026, 1, 12, 16), datetime(2026, 1, 12, 16)]
    assert rows(loaded, "orders", "recorded_at") == [(time,) for time in known]
    assert rows(loaded, "order_lines", "recorded_at", "member_id") == [(known[0], "a"), (known[2], "b")]


def test_further_ids_lead_to_the_member_even_through_another(tmp_path: Path) -> None:
    frame = pd.DataFrame({**ORDERS, "member_id": ["app-a", "a", "b"]})
    identities = pd.DataFrame({"alias_id": ["app-a", "web-a", "a"], "member_id": ["web-a", "a", "a"]})

    loaded = tables_from_frames(programme(tmp_path), orders=frame, identities=identities, members=pd.DataFrame(MEMBERS))

    assert rows(loaded, "orders", "member_id") == [("a",), ("a",), ("b",)]
    assert loaded.findings == ()


def test_event_values_of_the_programme_are_mapped(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    write(tmp_path / "events.csv", {**{name: values * 2 for name, values in EVENTS.items()}, "event": ["PV", "visit"]})
    events = {"path": "events.csv", "values": {"PV": "product_view"}}

    loaded = load_tables(programme(tmp_path, events=events), threads=1)

    assert sorted(rows(loaded, "events", "event")) == [("product_view",), ("visit",)]


def test_optional_tables_are_there_and_empty(tmp_path: Path) -> None:
    loaded = tables_from_frames(programme(tmp_path), orders=pd.DataFrame(ORDERS), events=pd.DataFrame())

    for name in ("members", "order_lines", "events", "offers", "contacts"):
        table = getattr(loaded.tables, name)
        assert table.schema() == CONTRACTS[name].schema
        assert table.count().to_pyarrow().as_py() == 0


def test_canonical_tables_really_have_the_types_of_the_contract(tmp_path: Path) -> None:
    given = {"members": MEMBERS, "order_lines": LINES, "events": EVENTS, "offers": OFFERS, "contacts": CONTACTS}

    loaded = tables_from_frames(
        programme(tmp_path), orders=pd.DataFrame(ORDERS), **{name: pd.DataFrame(table) for name, table in given.items()}
    )

    for name in ("orders", *given):
        stored = getattr(loaded.tables, name).get_backend().con.sql(f"from {name}").to_arrow_table().schema
        assert stored.remove_metadata() == CONTRACTS[name].schema.to_pyarrow(), name


def test_loads_do_not_see_each_other(tmp_path: Path) -> None:
    first = tables_from_frames(programme(tmp_path), orders=pd.DataFrame(ORDERS))
    second = tables_from_frames(programme(tmp_path), orders=pd.DataFrame(ORDERS)[:1])

    assert len(rows(first, "orders", "order_id")) == 3
    assert len(rows(second, "orders", "order_id")) == 1


def test_times_with_zone_in_frames_are_converted(tmp_path: Path) -> None:
    aware = [datetime(2026, 1, 1, 1, 30, tzinfo=UTC)] * 3

    for times in (pd.Series(aware), pd.Series(aware, dtype=object), pd.Series(aware).dt.tz_convert(ZONE)):
        loaded = tables_from_frames(programme(tmp_path), orders=pd.DataFrame(ORDERS).assign(ordered_at=times))
        assert loaded.data_until == datetime(2026, 1, 1, 1, 30)


def test_tables_kept_in_a_folder_are_the_same_sorted_by_member(tmp_path: Path) -> None:
    reversed_orders = {name: values[::-1] for name, values in ORDERS.items()}
    for name, table in {"orders": reversed_orders, "members": MEMBERS, "order_lines": LINES, "events": EVENTS}.items():
        write(tmp_path / f"{name}.csv", table)
    (tmp_path / "kept").mkdir()
    given = {name: {"path": f"{name}.csv"} for name in ("members", "order_lines", "events")}

    held = load_tables(programme(tmp_path, **given), threads=1)
    kept = load_tables(programme(tmp_path, **given), threads=1, folder=tmp_path / "kept")

    assert kept.fingerprint == held.fingerprint
    assert {file.stem for file in (tmp_path / "kept").iterdir()} == set(vars(kept.tables))
    assert pd.read_parquet(tmp_path / "kept" / "orders.parquet")["member_id"].tolist() == ["a", "a", "b"]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    write(tmp_path / "orders.csv", ORDERS)
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/.*parquet.*run again"):
        load_tables(programme(tmp_path), threads=1, folder=tmp_path / "nowhere")
