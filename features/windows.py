"""The as_of cut and the window lengths: raw tables in, rows known before as_of with their ages out.

Ages are whole days. An order's age is the number of local calendar days from its date to as_of's; the age of anything
else is the time passed in days of 24 hours, rounded up. For an as_of at local midnight both make `age_days <= d` mean
"within the d days before as_of".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.programme import Programme
from features.schemas import Tables
from features.settings_members import Windows

Days = tuple[int, ...]
Columns = dict[str, ir.Value]

WEEKS_4, WEEKS_13, WEEKS_52 = 28, 91, 364
"""Windows that named features rely on, whatever else a programme asks for. Whole weeks, so that weekdays balance."""

_SECONDS_PER_DAY = 86_400
_SECONDS_PER_HOUR = 3_600


CLOCK = ibis.schema({"instant": "timestamp(6)", "today": "date"})
"""What a clock says: the naive UTC instant of as_of, and the programme's calendar date at it."""


@dataclass(frozen=True)
class Clock:
    """When it is: the instant before which rows are known, and its local date, as scalars of a plan."""

    instant: ir.TimestampScalar
    today: ir.DateScalar

    @classmethod
    def at(cls, as_of: datetime, programme: Programme) -> Clock:
        """Return the clock that stands at an as_of."""
        today = ibis.literal(programme.local_date(as_of), type=CLOCK["today"])
        return cls(ibis.literal(as_of, type=CLOCK["instant"]), today)

    @classmethod
    def read(cls, table: ir.Table) -> Clock:
        """Return the clock that a table of one row tells, so that one plan holds for every as_of."""
        return cls(table.instant.as_scalar(), table.today.as_scalar())


@dataclass(frozen=True)
class PreparedTables:
    """Rows known before as_of, with the columns features are written on.

    Attributes
    ----------
    orders : ibis.Table
        Orders and returns, with `age_days`, `booked_on` and `booked_age_days` (of the order a return names, once that
        is known), and `first_on` (date of the member's first order; where there are but returns, of the first).
    gaps : ibis.Table
        Orders that are the first of their day and not the member's first, with `age_days` and `gap_days` since the
        order date before. In a table of its own, as what is sorted should be narrow.
    order_lines : ibis.Table
        Lines bought, with `age_days`. Lines of negative amount or quantity are returns and left out.
    events : ibis.Table
        Events, with `age_days`.
    complaints : ibis.Table
        One row per complaint, with `age_days`, `is_open` and `waited_hours` until it was resolved or as_of.
    offers : ibis.Table
        Assignments, with `age_days`, `days_passed` (whole days), `is_control` and `is_redeemed`.
    members : ibis.Table
        Members, with `joined_days`.
    """

    orders: ir.Table
    gaps: ir.Table
    order_lines: ir.Table
    events: ir.Table
    complaints: ir.Table
    offers: ir.Table
    members: ir.Table


def order_windows(windows: Windows) -> Days:
    """Return the windows of order features: the programme's and those named features rely on."""
    return tuple(sorted({*windows.days, WEEKS_4, WEEKS_13, WEEKS_52}))


def event_windows(windows: Windows) -> Days:
    """Return the windows of event features: the programme's and those named features rely on."""
    return tuple(sorted({*windows.short_days, WEEKS_4, WEEKS_13}))


def prepare(tables: Tables, clock: Clock, programme: Programme) -> PreparedTables:
    """Cut every table at as_of and add the ages features are written on.

    Parameters
    ----------
    tables : Tables
        Canonical tables.
    clock : Clock
        A row counts if both its own time and its `recorded_at` are before the instant.
    programme : Programme
        Gives the incentive id that stands for control.
    """
    events = _aged(_known(tables.events, "occurred_at", clock), "occurred_at", clock)
    orders = _known(tables.orders, "ordered_at", clock)
    return PreparedTables(
        orders=aged_orders(orders, clock),
        gaps=_gaps(orders, clock),
        order_lines=_order_lines(_known(tables.order_lines, "ordered_at", clock), clock),
        events=events,
        complaints=_complaints(events, clock),
        offers=_offers(_known(tables.offers, "assigned_at", clock), clock, programme.guardrails.control_id),
        members=_members(tables.members, clock),
    )


def within(age_days: ir.IntegerValue, days: int, *, after: int = 0) -> ir.BooleanValue:
    """Whether an age lies within the `days` days before as_of, the last `after` of them left out."""
    recent = age_days <= days
    return recent & (age_days > after) if after else recent


def ratio(numerator: ir.Value, denominator: ir.Value) -> ir.FloatingValue:
    """Numerator over denominator; missing unless the denominator is positive."""
    divisor = denominator.cast("float64")
    return numerator.cast("float64") / ibis.ifelse(divisor > 0, divisor, None)


def change(now: ir.Value, before: ir.Value) -> ir.FloatingValue:
    """Relative change from before to now: 0 is none, -1 is down to nothing."""
    return ratio(now, before) - 1


def _known(table: ir.Table, own_time: str, clock: Clock) -> ir.Table:
    return table.filter(table[own_time] < clock.instant, table.recorded_at < clock.instant)


def _aged(table: ir.Table, own_time: str, clock: Clock) -> ir.Table:
    return table.mutate(age_days=_days_since(table[own_time], clock).ceil())


def _days_since(time: ir.TimestampValue, clock: Clock) -> ir.FloatingValue:
    return (clock.instant.epoch_seconds() - time.epoch_seconds()) / _SECONDS_PER_DAY


def aged_orders(orders: ir.Table, clock: Clock) -> ir.Table:
    """Add to known orders and returns the columns features are written on; see :class:`PreparedTables`."""
    firsts = orders.group_by(first_of="member_id").aggregate(
        first_on=ibis.coalesce(orders.ordered_on.min(where=~orders.is_return), orders.ordered_on.min())
    )
    orders = orders.left_join(firsts, orders.member_id == firsts.first_of)
    booked_on = ibis.ifelse(orders.booking_known_at < clock.instant, orders.booked_on, orders.ordered_on)
    return orders.mutate(
        age_days=clock.today.delta(orders.ordered_on, unit="day"),
        booked_on=booked_on,
        booked_age_days=clock.today.delta(booked_on, unit="day"),
    )


def _gaps(orders: ir.Table, clock: Clock) -> ir.Table:
    placed = orders.filter(~orders.is_return).select("member_id", "ordered_on")
    before = placed.ordered_on.lag().over(ibis.window(group_by="member_id", order_by="ordered_on"))
    days = placed.mutate(gap_days=placed.ordered_on.delta(before, unit="day"))
    gaps = days.filter(days.gap_days > 0)
    return gaps.mutate(age_days=clock.today.delta(gaps.ordered_on, unit="day"))


def _order_lines(order_lines: ir.Table, clock: Clock) -> ir.Table:
    bought = order_lines.filter(
        order_lines.net_amount.fill_null(0) >= 0,
        order_lines.quantity.fill_null(1) > 0,
    )
    return _aged(bought, "ordered_at", clock)


def _complaints(events: ir.Table, clock: Clock) -> ir.Table:
    """Match each complaint with the member's next resolution after it."""
    handling = events.filter(events.event.isin(["complaint", "complaint_resolved"]))
    later = ibis.window(group_by="member_id", order_by=["occurred_at", "event"], preceding=0, following=None)
    resolution = ibis.ifelse(handling.event == "complaint_resolved", handling.occurred_at, None)
    handling = handling.mutate(resolved_at=resolution.min().over(later))
    complaints = handling.filter(handling.event == "complaint")
    until = complaints.resolved_at.fill_null(clock.instant)
    return complaints.mutate(
        is_open=complaints.resolved_at.isnull(),
        waited_hours=(until.epoch_seconds() - complaints.occurred_at.epoch_seconds()) / _SECONDS_PER_HOUR,
    )


def _offers(offers: ir.Table, clock: Clock, control_id: str) -> ir.Table:
    return _aged(offers, "assigned_at", clock).mutate(
        days_passed=_days_since(offers.assigned_at, clock).floor(),
        is_control=offers.incentive_id == control_id,
        is_redeemed=offers.redeemed_at.fill_null(clock.instant) < clock.instant,
    )


def _members(members: ir.Table, clock: Clock) -> ir.Table:
    times = (members.joined_at, members.recorded_at)
    known = members.filter(*(time.isnull() | (time < clock.instant) for time in times))
    return _aged(known, "joined_at", clock).select("member_id", joined_days=ibis._.age_days)
