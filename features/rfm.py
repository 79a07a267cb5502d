"""Recency, frequency, monetary: when a member last ordered, how often, and for how much.

A return takes money off the date its order was booked on; it is not an order itself.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.windows import WEEKS_13, WEEKS_52, Columns, Days, change, ratio, within

_QUARTERS_PER_YEAR = WEEKS_52 // WEEKS_13
_DAYS_PER_YEAR = 365


def recency(orders: ir.Table) -> Columns:
    """Days since the last order and since the first."""
    placed = ~orders.is_return
    return {
        "recency_days": orders.age_days.min(where=placed),
        "tenure_days": orders.age_days.max(where=placed),
    }


def frequency(orders: ir.Table, windows: Days) -> Columns:
    """Orders in all, within each window, and in the weeks that followed this date a year ago."""
    placed = ~orders.is_return
    return {
        "order_count": orders.count(where=placed),
        **{f"order_count_{d}d": orders.count(where=placed & within(orders.age_days, d)) for d in windows},
        "order_count_year_ago_91d": orders.count(where=placed & _coming_weeks_a_year_ago(orders.age_days)),
    }


def value(orders: ir.Table, windows: Days) -> Columns:
    """Value in all, within each window, in the coming weeks a year ago, on the first order date and after it."""
    amount, age_days = orders.value_amount, orders.booked_age_days
    return {
        "value_total": amount.sum(),
        **{f"value_{d}d": amount.sum(where=within(age_days, d)) for d in windows},
        "value_year_ago_91d": amount.sum(where=_coming_weeks_a_year_ago(age_days)),
        "first_day_value": amount.sum(where=orders.booked_on == orders.first_on),
        "_repeat_value": amount.sum(where=orders.booked_on > orders.first_on),
    }


def net_amount(orders: ir.Table, windows: Days) -> Columns:
    """Net amount in all and within each window, and the largest order's."""
    amount = orders.net_amount
    return {
        "net_amount_total": amount.sum(),
        **{f"net_amount_{d}d": amount.sum(where=within(orders.booked_age_days, d)) for d in windows},
        "largest_order_amount": amount.max(where=~orders.is_return),
    }


def averages(member: ir.Table) -> Columns:
    """Order dates, averages per order and order date, yearly value, and trends against the year's average."""
    has_ordered = member.order_count > 0
    return {
        "first_to_last_days": member.tenure_days - member.recency_days,
        "order_days": member.gap_count + has_ordered.cast("int64"),
        "repeat_order_days": member.gap_count,
        "average_order_value": ratio(member.net_amount_total, member.order_count),
        "repeat_value_mean": ratio(member["_repeat_value"], member.gap_count),
        "value_per_year": ratio(
            member.value_total * _DAYS_PER_YEAR, ibis.greatest(member.tenure_days.fill_null(0), WEEKS_13)
        ),
        "value_change_91d": change(member.value_91d, member.value_364d / _QUARTERS_PER_YEAR),
        "order_count_change_91d": change(member.order_count_91d, member.order_count_364d / _QUARTERS_PER_YEAR),
    }


def _coming_weeks_a_year_ago(age_days: ir.IntegerValue) -> ir.BooleanValue:
    return within(age_days, WEEKS_52, after=WEEKS_52 - WEEKS_13)
