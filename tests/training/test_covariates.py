from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from features.programme import parse_programme
from features.sources import tables_from_frames
from training.covariates import COVARIATES, at_assignment


def known(orders: list[tuple[str, str, float]], offers: list[tuple[str, str]], **more: Any) -> pd.DataFrame:
    """Covariates of offers, each a member and an instant; orders are a member, an instant and an amount."""
    settings = parse_programme({"name": "t", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}})
    tables = tables_from_frames(
        settings,
        orders=pd.DataFrame(
            {
                "order_id": [f"o{number}" for number in range(len(orders))],
                "member_id": [member for member, *_ in orders],
                "ordered_at": pd.to_datetime([at for _, at, _ in orders]),
                "net_amount": [amount for *_, amount in orders],
                **more,
            }
        ),
        offers=pd.DataFrame(
            {
                "offer_id": [f"f{number}" for number in range(len(offers))],
                "member_id": [member for member, _ in offers],
                "incentive_id": "mail",
                "assigned_at": pd.to_datetime([at for _, at in offers]),
            }
        ),
    ).tables
    rows = at_assignment(tables.offers, tables).to_pyarrow().to_pandas()
    return rows.sort_values("offer_id").set_index("offer_id")


def test_a_members_orders_before_the_offer_are_told() -> None:
    orders = [
        ("a", "2025-01-01", 10.0),
        ("a", "2025-12-02", 30.0),
        ("a", "2025-12-12", 20.0),
        ("b", "2025-12-31", 99.0),
    ]
    row = known(orders, [("a", "2026-01-01")]).loc["f0"]
    told = {
        "order_count": 3, "orders_91d": 2, "orders_364d": 2, "value_total": 60, "value_364d": 50, "value_per_order": 20,
        "recency_days": 20, "tenure_days": 365, "gap_days": 172.5, "offers_before": 0,
    }  # fmt: skip
    assert row[list(told)].to_dict() == pytest.approx(told)
    assert row["overdue"] == pytest.approx(20 / 172.5)


def test_what_happened_or_became_known_at_the_offer_or_later_is_not_seen() -> None:
    early, late = datetime(2025, 6, 1), datetime(2026, 2, 1)
    orders = [("a", "2025-06-01", 10.0), ("a", "2025-12-01", 10.0), ("a", "2026-01-01", 10.0)]
    rows = known(orders, [("a", "2026-01-01")], recorded_at=[early, late, late])
    assert rows.loc["f0", ["order_count", "value_total"]].tolist() == [1, 10]


def test_returns_lower_the_value_and_are_no_orders() -> None:
    orders = [("a", "2025-12-01", 30.0), ("a", "2025-12-20", -30.0)]
    row = known(orders, [("a", "2026-01-01")], is_return=[False, True]).loc["f0"]
    assert row[["order_count", "value_total", "recency_days"]].tolist() == [1, 0, 31]


def test_each_offer_knows_how_many_came_before_it_and_when() -> None:
    rows = known([("a", "2025-01-01", 1.0)], [("a", "2026-02-01"), ("a", "2026-01-01"), ("b", "2026-02-01")])
    assert rows["offers_before"].tolist() == [1, 0, 0]
    assert rows.loc["f0", "last_offer_days"] == 31


def test_a_member_without_orders_has_counts_of_nothing_and_the_rest_missing() -> None:
    row = known([("b", "2025-01-01", 1.0)], [("a", "2026-01-01")]).loc["f0"]
    assert row[["order_count", "orders_91d", "orders_364d"]].tolist() == [0, 0, 0]
    assert row.drop(["order_count", "orders_91d", "orders_364d", "offers_before"]).isna().all()


def test_every_covariate_is_a_number() -> None:
    rows = known([("a", "2025-01-01", 1.0)], [("a", "2026-01-01")])
    assert set(rows.columns) == set(COVARIATES)
    assert {str(kind) for kind in rows.dtypes} == {"float64"}
