"""Care: what went wrong for a member - returns, complaints and calls for help."""

from __future__ import annotations

import ibis.expr.types as ir

from features.windows import WEEKS_13, WEEKS_52, Columns, ratio, within


def returns(orders: ir.Table) -> Columns:
    """Count returns, with their money and the days since the last."""
    return {
        "return_count": orders.count(where=orders.is_return),
        "days_since_return": orders.age_days.min(where=orders.is_return),
        "_returned": (-orders.net_amount).sum(where=orders.is_return),
    }


def tickets(events: ir.Table) -> Columns:
    """Support tickets lately."""
    return {"tickets_91d": events.count(where=(events.event == "support_ticket") & within(events.age_days, WEEKS_13))}


def complaints(complaints: ir.Table) -> Columns:
    """Complaints lately, the longest wait for a resolution, and how long the oldest open one waits."""
    return {
        "complaints_91d": complaints.count(where=within(complaints.age_days, WEEKS_13)),
        "complaint_open_hours": complaints.waited_hours.max(where=complaints.is_open),
        "complaint_wait_hours_364d": complaints.waited_hours.max(where=within(complaints.age_days, WEEKS_52)),
    }


def return_rate(member: ir.Table) -> Columns:
    """Share of the money spent that came back."""
    return {"return_share": ratio(member["_returned"], member["_sold"])}
