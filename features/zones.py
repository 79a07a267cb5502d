"""SQL that takes times from a time zone to UTC and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from features.readers import literal

_FIRST, _LAST = datetime(1970, 1, 1), datetime(2037, 12, 31)
_DAY = timedelta(days=1)
_MARGIN = 2 * _DAY
"""More than any offset from UTC."""


def rezoned(timestamp: str, source: str, target: str) -> str:
    """Return SQL for a time of one zone as one of another, of which one is UTC; null where it does not exist.

    DuckDB looks every time up in the zone's history. Where clocks have long not changed, adding is six times faster.
    """
    if source == target:
        return timestamp
    looked_up = f"try({timestamp} at time zone {literal(source)} at time zone {literal(target)})"
    since, offset = _steady(source if target == "UTC" else target)
    if since + _MARGIN >= _LAST - _MARGIN:
        return looked_up
    seconds = round(offset.total_seconds()) * (-1 if target == "UTC" else 1)
    steady = f"{timestamp} between timestamp '{since + _MARGIN}' and timestamp '{_LAST - _MARGIN}'"
    return f"if({steady}, {timestamp} + interval '{seconds} seconds', {looked_up})"


@cache
def _steady(zone: str) -> tuple[datetime, timedelta]:
    """Return since when, looked at from `_LAST`, a zone's offset from UTC has been the same, and the offset."""
    clock = ZoneInfo(zone)
    offset, since = clock.utcoffset(_LAST), _LAST
    assert offset is not None
    while since > _FIRST and clock.utcoffset(since - _DAY) == offset:
        since -= _DAY
    return since, offset
