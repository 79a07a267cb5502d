"""What was known of a member when an offer was assigned, for many offers at once: one as-of join."""

from __future__ import annotations

from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features import rfm
from features.programme import Programme
from features.schemas import Tables
from features.windows import Clock, aged_orders, ratio

AS_FEATURES: Final = (
    "order_count",
    "order_count_91d",
    "order_count_364d",
    "value_total",
    "value_364d",
    "recency_days",
    "tenure_days",
)
"""Covariates that are features of the catalogue, as of the assignment: what is learnt of them holds for decisions."""

COVARIATES: Final = (*AS_FEATURES, "value_per_order", "gap_days", "overdue", "offers_before", "last_offer_days")

_SECONDS_PER_DAY: Final = 86_400


def at_assignment(offers: ir.Table, tables: Tables, programme: Programme) -> ir.Table:
    """Return ``offer_id`` and the covariates, computed from rows that happened and were known before each offer.

    They adjust effects for what was foreseeable. The features proper would be built anew for every instant at which
    anything was assigned; these few are told by each member's orders and offers before.

    Parameters
    ----------
    offers
        With ``offer_id``, ``member_id`` and ``assigned_at``; all offers known, so that earlier ones are counted.
    tables
        Canonical tables.
    programme
        Its time zone tells the dates offers were assigned on.
    """
    told = _order_history(offers, tables.orders, programme)
    told = told.mutate(
        value_per_order=ratio(told.value_total, told.order_count),
        gap_days=ratio(told.tenure_days - told.recency_days, told.order_count - 1),
    )
    told = told.mutate(overdue=ratio(told.recency_days, told.gap_days))
    both = _offer_history(offers).left_join(told, "offer_id")
    totals = [name for name in AS_FEATURES if name not in ("recency_days", "tenure_days")]
    return both.select(
        "offer_id",
        **{name: both[name].cast("float64") for name in COVARIATES if name not in totals},
        **{name: both[name].fill_null(0).cast("float64") for name in totals},
    )


def _order_history(offers: ir.Table, orders: ir.Table, programme: Programme) -> ir.Table:
    """Compute features by the functions that make them, each offer being a member as of its assignment."""
    in_utc = _timezone("UTC", offers.assigned_at)
    today = _timezone(programme.timezone, in_utc).date()
    asked = offers.select("offer_id", "assigned_at", asked_member=offers.member_id, today=today)
    known = asked.join(
        orders,
        [
            asked.asked_member == orders.member_id,
            orders.ordered_at < asked.assigned_at,
            orders.recorded_at < asked.assigned_at,
        ],
    )
    own = known.mutate(member_id=known.offer_id)
    aged = aged_orders(own, Clock(own.assigned_at, own.today))
    columns = rfm.recency(aged) | rfm.frequency(aged, (91, 364)) | rfm.value(aged, (364,))
    return aged.group_by("offer_id").agg(**{name: columns[name] for name in AS_FEATURES})


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, dt.timestamp), dt.timestamp))  # type: ignore[untyped-decorator]
def _timezone(zone: str, instant: ir.TimestampValue) -> ir.TimestampValue:  # type: ignore[empty-body]
    """Take an instant to a zone; the database's own."""


def _offer_history(offers: ir.Table) -> ir.Table:
    in_time = ibis.window(group_by="member_id", order_by=["assigned_at", "offer_id"])
    since = offers.assigned_at.epoch_seconds() - offers.assigned_at.lag().over(in_time).epoch_seconds()
    return offers.select(
        "offer_id", offers_before=ibis.row_number().over(in_time), last_offer_days=since / _SECONDS_PER_DAY
    )
