import math

from histories import of_one, orders, some
from pytest import approx

REGULAR_THEN_LATE = orders(
    ("2025-10-04", 1.0), ("2025-10-14 08:00", 1.0), ("2025-10-14 20:00", 1.0), ("2025-11-03", 1.0), ("2025-12-03", 1.0)
)


def test_gaps_are_days_between_order_dates():
    got = of_one(REGULAR_THEN_LATE)
    assert some(got, "gap_count", "gap_mean_days", "gap_median_days", "gap_max_days") == [3, 20, 20, 30]
    assert some(got, "gap_first_days", "gap_last_days") == [10, 30]


def test_variation_is_the_gaps_standard_deviation_over_their_mean():
    assert of_one(REGULAR_THEN_LATE)["gap_variation"] == approx(math.sqrt(200 / 3) / 20, abs=1e-6)


def test_overdue_measures_recency_in_the_members_own_gaps():
    got = of_one(REGULAR_THEN_LATE)
    assert some(got, "overdue_gaps", "overdue_longest_gaps", "gap_change") == approx([29 / 20, 29 / 30, 0.5], abs=1e-6)


def test_a_single_order_has_no_gaps():
    got = of_one(orders(("2025-12-03", 1.0)))
    assert got["gap_count"] == 0
    assert all(math.isnan(got[name]) for name in ("gap_mean_days", "gap_median_days", "gap_last_days", "overdue_gaps"))


def test_the_weekend_is_local_saturday_and_sunday():
    saturday, sunday, monday = ("2025-12-06", 1.0), ("2025-12-07", 1.0), ("2025-12-08", 1.0)
    assert of_one(orders(saturday, sunday, monday))["weekend_share"] == approx(2 / 3, abs=1e-6)


def test_a_return_makes_no_gap():
    history = orders(("2025-11-01", 9.0), ("2025-11-08", -9.0), ("2025-11-11", 9.0), is_return=[False, True, False])
    assert some(of_one(history), "gap_count", "gap_median_days") == [1, 10]
