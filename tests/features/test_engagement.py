import math

from histories import events, of_one, orders, some
from pytest import approx

LONG_AGO = orders(("2025-06-01", 10.0))


def test_visits_and_carts_are_counted_within_each_window():
    seen = events(
        ("2025-12-30", "visit"), ("2025-12-10", "visit"), ("2025-11-20", "visit"), ("2025-10-15", "visit"),
        ("2025-12-28", "add_to_cart"),
    )  # fmt: skip
    got = of_one(LONG_AGO, events=seen)
    assert some(got, "visits_7d", "visits_28d", "visits_91d", "carts_7d", "carts_91d") == [1, 2, 4, 1, 1]
    assert some(got, "days_since_visit", "days_since_cart") == [2, 4]


def test_an_event_within_the_last_day_is_one_day_old():
    assert of_one(LONG_AGO, events=events(("2025-12-31 23:59:59.5", "visit")))["days_since_visit"] == 1


def test_the_trend_of_visits_compares_four_weeks_with_the_four_before():
    seen = events(("2025-12-20", "visit"), *[(f"2025-11-2{day}", "visit") for day in range(4)])
    assert of_one(LONG_AGO, events=seen)["visits_change_28d"] == -0.75


def test_browsing_events_are_counted_by_name():
    names = ("product_view", "search", "app_login", "checkout_started")
    seen = events(*[("2025-12-20", name) for name in names], ("2025-11-20", "search"))
    got = of_one(LONG_AGO, events=seen)
    assert some(got, "product_views_28d", "searches_28d", "app_logins_28d", "checkouts_28d") == [1, 1, 1, 1]


def test_carts_count_as_unpaid_only_without_an_order_in_the_same_weeks():
    seen = events(("2025-12-20", "add_to_cart"), ("2025-12-21", "add_to_cart"))
    assert of_one(LONG_AGO, events=seen)["carts_without_order_28d"] == 2
    assert of_one(orders(("2025-12-10", 10.0)), events=seen)["carts_without_order_28d"] == 0


def test_message_rates_are_shares_of_the_messages_sent():
    lately = [("2025-12-20", "message_sent")] * 4 + [("2025-12-21", "message_opened")]
    before = [("2025-11-10", "message_sent")] * 2 + [
        ("2025-11-10", "message_opened"),
        ("2025-11-10", "message_clicked"),
    ]
    got = of_one(LONG_AGO, events=events(*lately, *before, ("2025-12-22", "unsubscribe")))
    assert some(got, "messages_sent_28d", "messages_per_week_28d", "open_rate_28d") == [4, 1, 0.25]
    assert some(got, "open_rate_change", "click_rate_91d") == approx([-0.5, 1 / 6], abs=1e-6)
    assert got["days_since_unsubscribe"] == 10


def test_rates_without_messages_are_missing_and_counts_are_zero():
    got = of_one(LONG_AGO)
    assert some(got, "messages_sent_28d", "visits_28d", "carts_without_order_28d") == [0, 0, 0]
    assert all(math.isnan(got[name]) for name in ("open_rate_28d", "days_since_visit", "visits_change_28d"))
