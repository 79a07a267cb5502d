from datetime import datetime

import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from features.schemas import Tables
from features.sources import tables_from_frames
from serving.setups import left_to_pay, running

AS_OF = datetime(2026, 3, 2)


def programme() -> Programme:
    catalogue = [
        {"id": name, "name_en": name, "name_zh": name, "setup_cost": cost}
        for name, cost in (("mail", 0.0), ("gift", 500.0), ("call", 300.0))
    ]
    given = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "incentives": catalogue}
    return parse_programme(given)


def log(incentive_id: str, *days: str) -> Tables:
    rows = [
        {"offer_id": day, "member_id": "a", "incentive_id": incentive_id, "assigned_at": day, "recorded_at": day}
        for day in days
    ]
    orders = [{"order_id": "o", "member_id": "a", "ordered_at": "2025-01-01", "net_amount": 1.0}]
    return tables_from_frames(programme(), orders=pd.DataFrame(orders), offers=pd.DataFrame(rows)).tables


@pytest.mark.parametrize(
    ("incentive_id", "days", "expected"),
    [
        ("gift", ["2025-12-01"], ("gift",)),
        ("gift", ["2025-11-30"], ()),
        ("gift", ["2025-03-01", "2026-02-23"], ("gift",)),
        ("gift", ["2026-03-02"], ()),
        ("mail", ["2026-02-23"], ()),
        ("control", ["2026-02-23"], ()),
    ],
)
def test_what_was_offered_within_91_days_is_set_up(incentive_id: str, days: list[str], expected: tuple[str, ...]):
    assert running(log(incentive_id, *days).offers, AS_OF, programme()) == expected


def test_only_what_is_not_running_is_left_to_pay():
    left = left_to_pay(log("gift", "2026-02-23").offers, AS_OF, programme())
    assert {one.id: one.setup_cost for one in left.incentives} == {"mail": 0.0, "gift": 0.0, "call": 300.0}
