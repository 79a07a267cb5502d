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

from features.programme import Programme, Windows
from features.schemas import Tables

Days = tuple[int, ...]
Columns = dict[str, ir.Value]

WEEKS_4, WEEKS_13, WEEKS_52 = 28, 91, 364
"""Windows that named features rely on, whatever else a programme asks for. Whole weeks, so that weekdays balance."""

_SECONDS_PER_DAY = 86_400
_SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True)
class PreparedTables:
    """Rows known before as_of, with the columns features are written on.

    Attributes
    ----------
    orders : ibis.Table
        Orders and returns, with `age_days`, `booked_age_days`, `first_on` (date of the member's first order) and
        `gap_days` (days since the order date before; missing for returns, first orders and further orders of a day).
    order_lines : ibis.Table
        Lines bought, with `age_days`. Lines of negative amount or quantity are returns and left out.
    events : ibis.Table
        Events, with `age_days`.
    complaints : ibis.Table
        One row per complaint, with `age_days`, `is_open` and `waited_hours` until it was resolved or as_of.
    offers : ibis.Table
        Offers other than control, with `age_days` and `is_redeemed`.
    members : ibis.Table
        Members, with `joined_days`.
    """

    orders: ir.Table
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


def prepare(tables: Tables, as_of: datetime, programme: Programme) -> PreparedTables:
    """Cut every table at as_of and add the ages features are written on.

    Parameters
    ----------
    tables : Tables
        Canonical tables.
    as_of : datetime
        Naive UTC instant. A row counts if both its own time and its `recorded_at` are before it.
    programme : Programme
        Gives the time zone of as_of's date and the incentive id that stands for control.
    """
    events = _aged(_known(tables.events, "occurred_at", as_of), "occurred_at", as_of)
    return PreparedTables(
        orders=_orders(_known(tables.orders, "ordered_at", as_of), programme.local_date(as_of)),
        order_lines=_order_lines(_known(tables.order_lines, "ordered_at", as_of), as_of),
        events=events,
        complaints=_complaints(events, as_of),
        offers=_offers(_known(tables.offers, "assigned_at", as_of), as_of, programme.guardrails.control_id),
        members=_members(tables.members, as_of),
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


def _known(table: ir.Table, own_time: str, as_of: datetime) -> ir.Table:
    return table.filter(table[own_time] < as_of, table.recorded_at < as_of)


def _aged(table: ir.Table, own_time: str, as_of: datetime) -> ir.Table:
    return table.mutate(age_days=(_seconds_before(as_of, table[own_time]) / _SECONDS_PER_DAY).ceil())


def _seconds_before(as_of: datetime, instant: ir.TimestampValue) -> ir.IntegerValue:
    return ibis.literal(as_of, type="timestamp(6)").epoch_seconds() - instant.epoch_seconds()


def _orders(orders: ir.Table, today: object) -> ir.Table:
    in_time = ibis.window(group_by="member_id", order_by=["is_return", "ordered_on"])
    day = ibis.literal(today, type="date")
    since_previous = orders.ordered_on.delta(orders.ordered_on.lag().over(in_time), unit="day")
    return orders.mutate(
        age_days=day.delta(orders.ordered_on, unit="day"),
        booked_age_days=day.delta(orders.booked_on, unit="day"),
        first_on=orders.ordered_on.first().over(in_time),
        gap_days=ibis.ifelse(orders.is_return, None, since_previous.nullif(0)),
    )


def _order_lines(order_lines: ir.Table, as_of: datetime) -> ir.Table:
    bought = order_lines.filter(
        order_lines.net_amount.fill_null(0) >= 0,
        order_lines.quantity.fill_null(1) > 0,
    )
    return _aged(bought, "ordered_at", as_of)


def _complaints(events: ir.Table, as_of: datetime) -> ir.Table:
    """Match each complaint with the member's next resolution after it."""
    handling = events.filter(events.event.isin(["complaint", "complaint_resolved"]))
    later = ibis.window(group_by="member_id", order_by=["occurred_at", "event"], preceding=0, following=None)
    resolution = ibis.ifelse(handling.event == "complaint_resolved", handling.occurred_at, None)
    handling = handling.mutate(resolved_at=resolution.min().over(later))
    complaints = handling.filter(handling.event == "complaint")
    until = complaints.resolved_at.fill_null(ibis.literal(as_of, type="timestamp(6)"))
    return complaints.mutate(
        is_open=complaints.resolved_at.isnull(),
        waited_hours=(until.epoch_seconds() - complaints.occurred_at.epoch_seconds()) / _SECONDS_PER_HOUR,
    )


def _offers(offers: ir.Table, as_of: datetime, control_id: str) -> ir.Table:
    sent = _aged(offers.filter(offers.incentive_id != control_id), "assigned_at", as_of)
    return sent.mutate(is_redeemed=sent.redeemed_at.fill_null(as_of) < as_of)


def _members(members: ir.Table, as_of: datetime) -> ir.Table:
    known = members.filter(
        ibis.coalesce(members.joined_at, members.recorded_at) < as_of,
        ibis.coalesce(members.recorded_at, members.joined_at) < as_of,
    )
    return _aged(known, "joined_at", as_of).select("member_id", joined_days=ibis._.age_days)
