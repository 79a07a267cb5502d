import math

from histories import events, of_one, orders, some

ORDER = orders(("2025-06-01", 100.0))


def test_returns_are_counted_and_shared_by_money():
    history = orders(("2025-06-01", 100.0), ("2025-12-22", -25.0), is_return=[False, True], return_of=[None, "m-1"])
    assert some(of_one(history), "return_count", "return_share", "days_since_return") == [1, 0.25, 10]


def test_complaints_and_tickets_are_counted_within_the_quarter():
    seen = events(
        ("2025-12-01", "complaint"), ("2025-12-02", "complaint_resolved"), ("2025-03-01", "complaint"),
        ("2025-12-05", "support_ticket"), ("2025-03-05", "support_ticket"),
    )  # fmt: skip
    assert some(of_one(ORDER, events=seen), "complaints_91d", "tickets_91d") == [1, 1]


def test_a_complaint_is_open_until_the_next_resolution():
    resolved = events(("2025-12-01", "complaint"), ("2025-12-03 06:00", "complaint_resolved"))
    got = of_one(ORDER, events=resolved)
    assert math.isnan(got["complaint_open_hours"])
    assert got["complaint_wait_hours_364d"] == 54


def test_the_oldest_open_complaint_counts():
    seen = events(
        ("2025-12-01", "complaint"), ("2025-12-02", "complaint_resolved"),
        ("2025-12-27", "complaint"), ("2025-12-30 12:30", "complaint"),
    )  # fmt: skip
    got = of_one(ORDER, events=seen)
    assert some(got, "complaint_open_hours", "complaint_wait_hours_364d") == [120, 120]


def test_a_complaint_resolved_later_was_still_open_at_as_of():
    seen = events(("2025-12-31", "complaint"), ("2026-01-02", "complaint_resolved"))
    assert of_one(ORDER, events=seen)["complaint_open_hours"] == 24


def test_a_complaint_resolved_in_the_same_moment_is_not_open():
    seen = events(("2025-12-31", "complaint_resolved"), ("2025-12-31", "complaint"))
    assert math.isnan(of_one(ORDER, events=seen)["complaint_open_hours"])
