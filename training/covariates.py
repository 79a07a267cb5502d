"""What was known of a member when an offer was assigned, for many offers at once: one as-of join."""

from __future__ import annotations

from typing import Final

import ibis
import ibis.expr.types as ir

from features.schemas import Tables

COVARIATES: Final = (
    "order_count",
    "orders_91d",
    "orders_364d",
    "value_total",
    "value_364d",
    "value_per_order",
    "recency_days",
    "tenure_days",
    "gap_days",
    "overdue",
    "offers_before",
    "last_offer_days",
)

_SECONDS_PER_DAY: Final = 86_400


def at_assignment(offers: ir.Table, tables: Tables) -> ir.Table:
    """Return ``offer_id`` and the covariates, computed from rows that happened and were known before each offer.

    They adjust effects for what was foreseeable. The features proper would be built anew for every instant at which
    anything was assigned; these few are told by each member's orders and offers before.

    Parameters
    ----------
    offers
        With ``offer_id``, ``member_id`` and ``assigned_at``; all offers known, so that earlier ones are counted.
    tables
        Canonical tables.
    """
    told = _order_history(offers, tables.orders).mutate(
        value_per_order=ibis._.value_total / ibis._.order_count.nullif(0),
        gap_days=(ibis._.tenure_days - ibis._.recency_days) / (ibis._.order_count - 1).nullif(0),
    )
    told = told.mutate(overdue=told.recency_days / told.gap_days.nullif(0))
    both = _offer_history(offers).left_join(told, "offer_id")
    counts = ("order_count", "orders_91d", "orders_364d")
    return both.select(
        "offer_id",
        **{name: both[name].cast("float64") for name in COVARIATES if name not in counts},
        **{name: both[name].fill_null(0).cast("float64") for name in counts},
    )


def _order_history(offers: ir.Table, orders: ir.Table) -> ir.Table:
    bought = orders.select("ordered_at", "recorded_at", "value_amount", "is_return", ordering_member=orders.member_id)
    before = offers.select("offer_id", "member_id", "assigned_at").join(
        bought,
        [
            offers.member_id == bought.ordering_member,
            bought.ordered_at < offers.assigned_at,
            bought.recorded_at < offers.assigned_at,
        ],
    )
    age_days = (before.assigned_at.epoch_seconds() - before.ordered_at.epoch_seconds()) / _SECONDS_PER_DAY
    before = before.mutate(age_days=age_days, is_order=~before.is_return)
    return before.group_by("offer_id").agg(
        order_count=before.is_order.sum(),
        orders_91d=(before.is_order & (before.age_days <= 91)).sum(),
        orders_364d=(before.is_order & (before.age_days <= 364)).sum(),
        value_total=before.value_amount.sum().cast("float64"),
        value_364d=before.value_amount.sum(where=before.age_days <= 364).cast("float64"),
        recency_days=before.age_days.min(where=before.is_order),
        tenure_days=before.age_days.max(where=before.is_order),
    )


def _offer_history(offers: ir.Table) -> ir.Table:
    in_time = ibis.window(group_by="member_id", order_by=["assigned_at", "offer_id"])
    since = offers.assigned_at.epoch_seconds() - offers.assigned_at.lag().over(in_time).epoch_seconds()
    return offers.select(
        "offer_id", offers_before=ibis.row_number().over(in_time), last_offer_days=since / _SECONDS_PER_DAY
    )
