import math

from histories import events, of_one, offers, orders, some
from pytest import approx


def test_discount_shares_are_of_what_would_have_been_paid():
    history = orders(("2025-06-01", 100.0), ("2025-12-01", 60.0), discount_amount=[0.0, 40.0])
    got = of_one(history)
    assert some(got, "discount_share", "discount_share_91d", "discounted_order_share") == [0.2, 0.4, 0.5]
    assert got["days_since_full_price"] == 214


def test_coupons_are_counted_within_the_quarter():
    seen = events(
        ("2025-12-01", "coupon_received"), ("2025-12-02", "coupon_received"),
        ("2025-12-03", "coupon_redeemed"), ("2025-06-03", "coupon_redeemed"),
    )  # fmt: skip
    got = of_one(orders(("2025-06-01", 1.0)), events=seen)
    assert some(got, "coupons_received_91d", "coupons_redeemed_91d") == [2, 1]


def test_offers_leave_out_control_and_redemptions_not_yet_made():
    given = offers(
        ("2025-12-01", "coupon", "2025-12-05"), ("2025-12-20", "coupon", "2026-01-05"),
        ("2025-06-01", "coupon", None), ("2025-12-25", "control", None),
    )  # fmt: skip
    got = of_one(orders(("2025-06-01", 1.0)), offers=given)
    assert some(got, "offers_91d", "offers_redeemed", "last_offer_days") == [2, 1, 12]
    assert got["offer_redemption_share"] == approx(1 / 3, abs=1e-6)


def test_a_cooldown_starts_at_any_assignment_and_a_day_counts_once_it_has_wholly_passed():
    given = offers(("2025-11-01T00:00:00", "coupon", None), ("2025-12-04T10:00:00", "control", None))
    got = of_one(orders(("2025-06-01", 1.0)), offers=given)
    assert some(got, "last_assignment_days", "last_offer_days", "offers_91d") == [27, 61, 1]
    wholly = of_one(orders(("2025-06-01", 1.0)), offers=offers(("2025-12-04", "control", None)))
    assert wholly["last_assignment_days"] == 28


def test_without_offers_their_number_is_zero_and_their_recency_missing():
    got = of_one(orders(("2025-06-01", 1.0)))
    assert some(got, "offers_91d", "offers_redeemed") == [0, 0]
    assert math.isnan(got["last_offer_days"])
    assert math.isnan(got["offer_redemption_share"])
