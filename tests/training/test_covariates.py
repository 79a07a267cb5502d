from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.build import build_features
from features.programme import parse_programme
from features.sources import tables_from_frames
from training.covariates import AS_FEATURES, COVARIATES, at_assignment


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
    rows = at_assignment(tables.offers, tables, settings).to_pyarrow().to_pandas()
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
        "order_count": 3, "order_count_91d": 2, "order_count_364d": 2, "value_total": 60, "value_364d": 50,
        "value_per_order": 20, "recency_days": 20, "tenure_days": 365, "gap_days": 172.5, "offers_before": 0,
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
    totals = [name for name in AS_FEATURES if name not in ("recency_days", "tenure_days")]
    assert (row[totals] == 0).all()
    assert row.drop([*totals, "offers_before"]).isna().all()


def test_every_covariate_is_a_number() -> None:
    rows = known([("a", "2025-01-01", 1.0)], [("a", "2026-01-01")])
    assert set(rows.columns) == set(COVARIATES)
    assert {str(kind) for kind in rows.dtypes} == {"float64"}


def test_what_is_learnt_from_at_an_assignment_is_what_the_features_are_at_that_instant() -> None:
    """Random orders of a few members, late records, returns that name an order or not, in a zone with summer time."""
    rng = np.random.default_rng(7)
    rows, offers = 150, 12

    def moments(count: int) -> pd.Series:
        return pd.Series(pd.Timestamp("2025-03-01") + pd.to_timedelta(rng.integers(0, 400 * 86_400, count), unit="s"))

    numbers, is_return = np.arange(rows), rng.random(rows) < 0.3
    named = pd.Series(np.where(is_return & (rng.random(rows) < 0.7), rng.integers(0, rows, rows), None), dtype=object)
    members = rng.choice(list("abcd"), rows)
    ordered_at = moments(rows)
    orders = pd.DataFrame(
        {
            "order_id": numbers.astype(str),
            "member_id": [members[row if name is None else name] for row, name in enumerate(named)],
            "ordered_at": ordered_at,
            "recorded_at": np.maximum(ordered_at, moments(rows)),
            "net_amount": rng.integers(1, 9_999, rows) / 100 * np.where(is_return, -1, 1),
            "is_return": is_return,
            "return_of": [None if name is None else str(name) for name in named],
        }
    )
    assigned = pd.DataFrame({"offer_id": np.arange(offers).astype(str), "member_id": rng.choice(list("abcde"), offers)})
    assigned = assigned.assign(incentive_id="mail", assigned_at=moments(offers))
    given = {"timezone": "Europe/Berlin", "value": {"margin_rate": 0.3}, "data": {"orders": {"path": "orders.csv"}}}
    programme = parse_programme({"name": "t", "currency": "EUR", **given})
    tables = tables_from_frames(programme, orders=orders, offers=assigned).tables
    told = at_assignment(tables.offers, tables, programme).to_pyarrow().to_pandas().set_index("offer_id")
    for offer in tables.offers.to_pyarrow().to_pylist():
        features = build_features(tables, offer["assigned_at"], programme, AS_FEATURES).set_index("member_id")
        expected = features.loc[features.index == offer["member_id"], list(AS_FEATURES)].squeeze()
        own = told.loc[offer["offer_id"], list(AS_FEATURES)]
        if expected.empty:  # nothing was known of the member
            assert own.fillna(0).eq(0).all()
        else:
            pd.testing.assert_series_equal(own, expected, check_names=False, check_exact=True)
