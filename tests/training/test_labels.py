"""What counts as churn, order and value, by hand."""

from datetime import datetime

import pandas as pd
import pytest

from features.errors import RefusedError
from features.programme import Programme, parse_programme
from features.sources import tables_from_frames
from training.labels import days_after, known_until, labels, matures_at, refuse_immature

AS_OF = datetime(2026, 1, 1)


def programme(**settings) -> Programme:
    settings.setdefault("horizons", {"churn_days": 10, "value_days": 20})
    return parse_programme({"name": "shop", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}, **settings})


def labels_of(orders: list[dict], members: list[str], shop: Programme | None = None, as_of: datetime = AS_OF):
    rows = pd.DataFrame(
        [{"order_id": f"o{row}", "member_id": "a", "net_amount": 10.0, **order} for row, order in enumerate(orders)]
    )
    for column in {"ordered_at", "recorded_at"} & set(rows):
        rows[column] = pd.to_datetime(rows[column])
    tables = tables_from_frames(shop or programme(), orders=rows).tables
    return labels(tables, as_of, shop or programme(), pd.Series(members)).set_index("member_id")


def test_an_order_at_as_of_counts_and_one_at_the_end_of_the_window_does_not():
    own = labels_of(
        [
            {"member_id": "a", "ordered_at": "2026-01-01 00:00"},
            {"member_id": "b", "ordered_at": "2026-01-11 00:00"},
            {"member_id": "c", "ordered_at": "2026-01-21 00:00"},
            {"member_id": "d", "ordered_at": "2025-12-31 23:59"},
        ],
        ["a", "b", "c", "d", "never seen"],
    )
    assert own["churned"].to_dict() == {"a": 0, "b": 1, "c": 1, "d": 1, "never seen": 1}
    assert own["ordered"].to_dict() == {"a": 1, "b": 1, "c": 0, "d": 0, "never seen": 0}
    assert own["value"].to_dict() == {"a": 10, "b": 10, "c": 0, "d": 0, "never seen": 0}


def test_labels_come_in_the_order_and_with_the_index_asked_for():
    rows = pd.DataFrame(
        {
            "order_id": ["1", "2"],
            "member_id": ["a", "b"],
            "ordered_at": pd.to_datetime(["2026-01-02", "2025-01-02"]),
            "net_amount": [5.0, 5.0],
        }
    )
    tables = tables_from_frames(programme(), orders=rows).tables
    own = labels(tables, AS_OF, programme(), pd.Series(["b", "a"], index=[7, 3]))
    assert own["member_id"].to_dict() == {7: "b", 3: "a"}
    assert own["churned"].to_dict() == {7: 1, 3: 0}


def test_a_return_is_no_order_and_lowers_the_value_of_the_window_its_order_is_in():
    own = labels_of(
        [
            {"ordered_at": "2026-01-02", "net_amount": 30.0},
            {"ordered_at": "2026-01-05", "net_amount": -30.0, "return_of": "o0"},
            {"member_id": "b", "ordered_at": "2025-12-30", "net_amount": 50.0},
            {"member_id": "b", "ordered_at": "2026-01-05", "net_amount": -50.0, "return_of": "o2"},
        ],
        ["a", "b"],
    )
    assert own.loc["a", ["churned", "ordered", "value"]].tolist() == [0, 1, 0]
    assert own.loc["b", ["churned", "ordered", "value"]].tolist() == [1, 0, 0]


def test_what_was_recorded_after_the_window_is_not_known():
    own = labels_of(
        [
            {"ordered_at": "2026-01-02", "recorded_at": "2026-01-15"},
            {"member_id": "b", "ordered_at": "2026-01-02", "recorded_at": "2026-01-25"},
        ],
        ["a", "b"],
    )
    assert own["churned"].tolist() == [1, 1]
    assert own["ordered"].tolist() == [1, 0]
    assert own["value"].tolist() == [10, 0]


def test_windows_are_calendar_days_of_the_programme():
    shop = programme(timezone="Europe/Berlin", horizons={"churn_days": 7, "value_days": 7})
    as_of = shop.instant("2026-03-25")
    assert days_after(as_of, 7, shop) == shop.instant("2026-04-01")
    assert matures_at(as_of, shop) == shop.instant("2026-04-01")
    own = labels_of([{"ordered_at": "2026-03-31 23:30"}], ["a"], shop, as_of)
    assert own["churned"].tolist() == [0]


def test_a_window_that_ends_with_the_last_day_has_matured_and_one_day_later_has_not():
    shop = programme()
    data_until = datetime(2026, 1, 20, 15, 30)
    assert known_until(data_until, shop) == datetime(2026, 1, 21)
    refuse_immature(AS_OF, data_until, shop)
    with pytest.raises(RefusedError, match="the latest possible date is 2026-01-01"):
        refuse_immature(datetime(2026, 1, 2), data_until, shop)
