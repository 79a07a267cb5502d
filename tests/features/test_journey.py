import math

import pandas as pd
from histories import events, features, of_one, orders, programme, some

ORDER = orders(("2025-06-01", 100.0))
JOINED = pd.DataFrame({"member_id": ["m"], "joined_at": ["2025-05-02"]})


def test_joining_is_aged_and_compared_with_the_first_order():
    got = of_one(ORDER, members=JOINED)
    assert some(got, "joined_days", "join_to_order_days") == [244, 30]


def test_journey_points_add_up_by_behaviour():
    seen = events(
        ("2025-12-20", "visit"), ("2025-12-21", "referral"), ("2025-11-20", "visit"), ("2025-12-20", "complaint")
    )
    got = of_one(ORDER, events=seen)
    assert some(got, "journey_points", "journey_points_change_28d") == [80, 2]


def test_the_programmes_own_journey_points_replace_ours():
    seen = events(("2025-12-20", "visit"), ("2025-12-21", "referral"))
    own = programme(journey_points={"visit": 0.1})
    assert of_one(ORDER, events=seen, settings=own)["journey_points"] == 0.1


def test_the_points_balance_is_what_was_earned_and_neither_redeemed_nor_lost():
    seen = events(
        ("2025-03-01", "points_earned"), ("2025-12-01", "points_earned"),
        ("2025-12-02", "points_redeemed"), ("2025-12-03", "points_expired"),
        amount=[100.0, 50.0, 30.0, -20.0],
    )  # fmt: skip
    got = of_one(ORDER, events=seen)
    assert got["points_balance"] == 100
    assert some(got, "points_earned_91d", "points_redeemed_91d", "points_expired_91d") == [50, 30, 20]


def test_referrals_and_reviews_count_for_a_year():
    seen = events(("2025-01-15", "referral"), ("2025-03-01", "review_written"), ("2024-12-01", "referral"))
    assert some(of_one(ORDER, events=seen), "referrals_364d", "reviews_364d") == [1, 1]


def test_a_member_without_orders_has_counts_of_zero_and_no_recency():
    people = pd.DataFrame({"member_id": ["m", "n"], "joined_at": ["2025-05-02", "2025-12-22"]})
    got = features(ORDER, members=people).loc["n"].to_dict()
    assert some(got, "joined_days", "order_count", "order_days", "value_total", "value_per_year") == [10, 0, 0, 0, 0]
    absent = ("recency_days", "tenure_days", "average_order_value", "gap_median_days", "return_share", "discount_share")
    assert all(math.isnan(got[name]) for name in absent)
