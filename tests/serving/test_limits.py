"""A caller may ask so many times at once, and so many times a minute for long."""

from serving.limits import RateLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_requests_may_come_at_once_and_no_more():
    limit = RateLimit(3, Clock())
    assert [limit.take("crm") for _ in range(5)] == [0, 0, 0, 20, 20]


def test_the_wait_that_is_told_is_long_enough():
    clock = Clock()
    limit = RateLimit(3, clock)
    for _ in range(3):
        limit.take("crm")
    clock.now += 7
    wait = limit.take("crm")
    assert wait == 13
    clock.now += wait
    assert limit.take("crm") == 0


def test_what_is_not_asked_for_does_not_add_up_beyond_a_minute():
    clock = Clock()
    limit = RateLimit(2, clock)
    limit.take("crm")
    clock.now += 3600
    assert [limit.take("crm") for _ in range(3)] == [0, 0, 30]


def test_callers_do_not_share():
    limit = RateLimit(1, Clock())
    assert (limit.take("crm"), limit.take("crm"), limit.take("shop")) == (0, 60, 0)
