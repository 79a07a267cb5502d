"""How every job starts: the programme's tables read and checked, and the date it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from features.programme import Programme
    from features.sources import Loaded

Step = Callable[[str], None]
"""Tells the user what a long job is doing now."""


class Pace:
    """Tells how far a long job is, how fast it goes and how long it will still take.

    Parameters
    ----------
    what
        What it does.
    total
        How many there are to do.
    step
        Whom to tell.
    """

    def __init__(self, what: str, total: int, step: Step) -> None:
        self._what, self._total, self._step = what, total, step
        self._done, self._since = 0, perf_counter()
        self._step(f"{what}: 0 of {total:,}")

    def passed(self, count: int) -> None:
        """Tell that so many more are done."""
        self._done += count
        rate = self._done / (perf_counter() - self._since)
        left = timedelta(seconds=round((self._total - self._done) / rate))
        self._step(f"{self._what}: {self._done:,} of {self._total:,}, {rate:,.0f} a second, {left} left")


def load(programme: Programme, step: Step, *, set_aside: Path | None = None, folder: Path | None = None) -> Loaded:
    """Check the programme's personas and that consent is known or stated, and read its tables and its ledger.

    Rows set aside are written to ``set_aside``, by default ``var/set_aside/<model>`` beside the programme file. The
    tables are kept in ``folder``; see :func:`features.sources.load_tables`.
    """
    from features.sources import load_tables
    from serving.consent import require_stated
    from serving.ledger_frames import programme_ledger
    from serving.segments import check_personas

    check_personas(programme)
    if programme.data.contacts is None:
        require_stated(programme)
    step("reading and checking the tables")
    aside = set_aside or programme.path("var") / "set_aside" / programme.output.model
    read_at = datetime.now(UTC).replace(tzinfo=None)
    ledger = programme_ledger(programme)
    threads = programme.training.threads
    loaded = load_tables(programme, threads=threads, set_aside=aside, ledger=ledger, folder=folder)
    return replace(loaded, read_at=read_at)


def as_of_or_next_day(programme: Programme, as_of: date | str | None, data_until: datetime) -> datetime:
    """Return the as_of asked for, else the first moment of the local day after the last row, or of today if earlier.

    What came in today is part of the decisions of the days after.

    Raises
    ------
    InputError
        If it has a time of day.
        If it is later than the first moment of tomorrow: what happens until then is not known, and decisions as of a
        mistyped year would stand as the latest ever after.
    """
    if as_of is None:
        return programme.instant(min(programme.local_date(data_until) + timedelta(days=1), _today(programme)))
    asked = not_in_future(programme, as_of)
    day = programme.local_date(asked)
    if asked != programme.instant(day):
        raise InputError(f"{as_of} has a time of day; jobs are about the first moment of a date, write it as {day}")
    return asked


def not_in_future(programme: Programme, as_of: date | str) -> datetime:
    """Return the instant asked for; refuse one that is later than the first moment of tomorrow."""
    asked = programme.instant(as_of)
    tomorrow = _today(programme) + timedelta(days=1)
    if asked > programme.instant(tomorrow):
        raise InputError(f"{as_of} lies in the future; the latest date that can be asked for is {tomorrow}")
    return asked


def _today(programme: Programme) -> date:
    return programme.local_date(datetime.now(UTC).replace(tzinfo=None))
