"""The date a job is about."""

from datetime import UTC, datetime, timedelta

import pytest

from features.errors import InputError
from features.programme import parse_programme
from serving.loading import as_of_or_next_day

SHANGHAI = parse_programme(
    {"name": "x", "timezone": "Asia/Shanghai", "currency": "CNY", "data": {"orders": {"path": "orders.csv"}}}
)
DATA_UNTIL = datetime(2026, 1, 4, 17, 30)


def test_by_default_it_is_the_local_day_after_the_last_row():
    assert as_of_or_next_day(SHANGHAI, None, DATA_UNTIL) == datetime(2026, 1, 5, 16)


def test_a_date_is_its_first_local_moment():
    assert as_of_or_next_day(SHANGHAI, "2026-01-05", DATA_UNTIL) == datetime(2026, 1, 4, 16)


def test_tomorrow_is_the_latest_that_can_be_asked_for():
    today = SHANGHAI.local_date(datetime.now(UTC).replace(tzinfo=None))
    tomorrow = today + timedelta(days=1)
    assert as_of_or_next_day(SHANGHAI, tomorrow, DATA_UNTIL) == SHANGHAI.instant(tomorrow)
    with pytest.raises(InputError, match=f"lies in the future; the latest date that can be asked for is {tomorrow}"):
        as_of_or_next_day(SHANGHAI, today + timedelta(days=2), DATA_UNTIL)


def test_a_time_of_day_is_bad_input():
    with pytest.raises(InputError, match=r"has a time of day; .* write it as 2026-01-05"):
        as_of_or_next_day(SHANGHAI, "2026-01-05T10:00", DATA_UNTIL)


def test_a_mistyped_year_is_bad_input():
    with pytest.raises(InputError, match="2062-01-05 lies in the future"):
        as_of_or_next_day(SHANGHAI, "2062-01-05", DATA_UNTIL)


def test_by_default_it_is_never_in_the_future():
    now = datetime.now(UTC).replace(tzinfo=None)
    assert as_of_or_next_day(SHANGHAI, None, now) == SHANGHAI.instant(SHANGHAI.local_date(now))
