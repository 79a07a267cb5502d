"""Cadence: the member's own rhythm of order dates, and how far behind it they are.

Gaps are whole days between consecutive order dates, so their sums are exact.
"""

from __future__ import annotations

import ibis.expr.types as ir

from features.windows import Columns, change, ratio

_SATURDAY = 5


def gaps(gaps: ir.Table) -> Columns:
    """Count the gaps between order dates; their median, the longest, the first and the last."""
    gap_days, age_days = gaps.gap_days, gaps.age_days
    return {
        "gap_count": gap_days.count(),
        "gap_median_days": gap_days.median(),
        "gap_max_days": gap_days.max(),
        "gap_first_days": gap_days.argmax(age_days),
        "gap_last_days": gap_days.argmin(age_days),
        "_gap_days": gap_days.sum(),
        "_gap_days_squared": (gap_days * gap_days).sum(),
    }


def habits(orders: ir.Table) -> Columns:
    """Orders placed on weekends, by local date."""
    weekend = orders.ordered_on.day_of_week.index() >= _SATURDAY
    return {"_weekend_orders": orders.count(where=weekend & ~orders.is_return)}


def rhythm(member: ir.Table) -> Columns:
    """Mean and spread of the gaps, and the time since the last order measured in them."""
    mean = ratio(member["_gap_days"], member.gap_count)
    variance = ratio(member["_gap_days_squared"], member.gap_count) - mean * mean
    return {
        "gap_mean_days": mean,
        "gap_variation": ratio(variance.clip(lower=0).sqrt(), mean),
        "gap_change": change(member.gap_last_days, member.gap_median_days),
        "overdue_gaps": ratio(member.recency_days, member.gap_median_days),
        "overdue_longest_gaps": ratio(member.recency_days, member.gap_max_days),
        "weekend_share": ratio(member["_weekend_orders"], member.order_count),
    }
