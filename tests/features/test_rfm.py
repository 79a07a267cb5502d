from histories import features, of_one, orders, programme
from pytest import approx, mark

FOUR_ORDERS = orders(
    ("2024-12-31 10:00", 100.0),
    ("2025-02-10 09:00", 10.5),
    ("2025-12-12 09:00", 20.0),
    ("2025-12-12 18:00", 30.0),
)


def test_recency_and_tenure_are_days_since_the_last_and_the_first_order():
    got = of_one(FOUR_ORDERS)
    assert (got["recency_days"], got["tenure_days"], got["first_to_last_days"]) == (20, 366, 346)


def test_orders_of_one_date_are_one_order_day():
    got = of_one(FOUR_ORDERS)
    assert (got["order_count"], got["order_days"], got["repeat_order_days"]) == (4, 3, 2)


def test_windows_count_orders_and_sum_their_value_and_net_amount():
    got = of_one(FOUR_ORDERS)
    assert [got[f"order_count_{d}d"] for d in (28, 91, 364)] == [2, 2, 3]
    assert [got[f"value_{d}d"] for d in (28, 91, 364)] == [50, 50, 60.5]
    assert [got[f"net_amount_{d}d"] for d in (28, 91, 364)] == [50, 50, 60.5]
    assert (got["value_total"], got["net_amount_total"], got["largest_order_amount"]) == (160.5, 160.5, 100)


def test_a_window_reaches_back_to_its_first_moment_and_no_further():
    at_the_edge = orders(("2025-12-04 00:00", 1.0), ("2025-12-03 23:59:59", 2.0))
    assert of_one(at_the_edge)["value_28d"] == 1


def test_averages_are_per_order_and_per_later_order_date():
    got = of_one(FOUR_ORDERS)
    assert got["average_order_value"] == 160.5 / 4
    assert (got["first_day_value"], got["repeat_value_mean"]) == (100, 60.5 / 2)
    assert got["value_per_year"] == approx(160.5 * 365 / 366, abs=1e-6)


def test_value_per_year_takes_a_new_member_as_a_quarter_old():
    assert of_one(orders(("2025-12-31", 91.0)))["value_per_year"] == 365


def test_the_season_is_the_thirteen_weeks_after_this_date_a_year_ago():
    a_year_ago = orders(("2025-01-01", 1.0), ("2025-01-02", 2.0), ("2025-04-02", 4.0), ("2025-04-03", 8.0))
    got = of_one(a_year_ago)
    assert (got["value_year_ago_91d"], got["order_count_year_ago_91d"]) == (6, 2)


def test_trends_compare_the_last_quarter_with_the_year():
    got = of_one(FOUR_ORDERS)
    assert got["value_change_91d"] == approx(50 / (60.5 / 4) - 1, abs=1e-6)
    assert got["order_count_change_91d"] == approx(2 / (3 / 4) - 1, abs=1e-6)


def test_value_is_margin_where_orders_carry_it():
    got = of_one(orders(("2025-12-12", 20.0), margin_amount=[7.5]))
    assert (got["value_total"], got["net_amount_total"]) == (7.5, 20)


def test_an_attributed_return_takes_its_money_off_the_date_of_its_order():
    history = orders(
        ("2025-02-10", 80.0), ("2025-12-01", 20.0), ("2025-12-20", -30.0),
        is_return=[False, False, True], return_of=[None, None, "m-1"],
    )  # fmt: skip
    got = of_one(history)
    assert (got["value_total"], got["value_91d"], got["value_364d"]) == (70, 20, 70)
    assert (got["first_day_value"], got["repeat_value_mean"]) == (50, 20)
    assert (got["order_count"], got["recency_days"], got["gap_count"]) == (2, 31, 1)


def test_a_return_naming_no_order_takes_its_money_off_its_own_date():
    got = of_one(orders(("2025-02-10", 80.0), ("2025-12-20", -30.0), is_return=[False, True]))
    assert (got["value_28d"], got["value_364d"], got["recency_days"]) == (-30, 50, 325)


def test_a_return_counts_on_its_own_date_until_the_order_it_names_is_known():
    history = orders(
        ("2025-12-01", 20.0), ("2025-02-10", 80.0), ("2025-12-20", -30.0),
        is_return=[False, False, True], return_of=[None, None, "m-2"], recorded_at=[None, "2026-01-01", None],
    )  # fmt: skip
    without = features(history.drop(index=1).assign(return_of=None))
    assert features(history).equals(without)
    got = features(history, as_of="2026-01-02").loc["m"]
    assert (got["value_28d"], got["value_91d"], got["value_364d"]) == (0, 20, 70)


def test_a_return_is_unknown_before_its_own_time():
    history = orders(("2025-12-10", 80.0), ("2026-01-05", -30.0), is_return=[False, True], return_of=[None, "m-1"])
    assert of_one(history)["value_total"] == 80


@mark.parametrize(("timezone", "days"), [("UTC", 2), ("Asia/Shanghai", 1), ("America/Los_Angeles", 1)])
def test_order_days_are_dates_of_the_programmes_time_zone(timezone, days):
    around_midnight_utc = orders(("2025-12-09T23:30:00Z", 1.0), ("2025-12-10T00:30:00Z", 2.0))
    assert of_one(around_midnight_utc, settings=programme(timezone=timezone))["order_days"] == days


@mark.parametrize(("timezone", "recency"), [("UTC", 1), ("Asia/Shanghai", 0)])
def test_recency_counts_local_dates(timezone, recency):
    settings = programme(timezone=timezone)
    history = orders(("2025-12-31T17:00:00Z", 1.0))
    assert of_one(history, settings=settings, as_of="2026-01-01T12:00:00")["recency_days"] == recency
