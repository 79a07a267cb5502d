"""What came of offers: orders in a window after each, and the money they brought and cost."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.programme import Programme
from features.schemas import Tables
from serving.incentives import contact_costs, redemption_costs


def closed_offers(offers: ir.Table, tables: Tables, *, as_of: datetime, days: int) -> ir.Table:
    """Return the offers whose window of so many days has closed, with what was booked in it.

    Returns
    -------
    ibis.Table
        The offers with ``recall`` (any order in the window), ``margin`` and ``amount`` (value and net amount booked
        there, as float64) and ``redeemed`` (within it).
    """
    closed = offers.filter(offers.assigned_at <= as_of - timedelta(days=days)).mutate(
        closes_at=offers.assigned_at + ibis.interval(days=days)
    )
    orders = tables.orders.filter(tables.orders.ordered_at < as_of, tables.orders.recorded_at < as_of)
    booked = orders.select("booked_at", "value_amount", "net_amount", "is_return", ordering_member=orders.member_id)
    in_window = [
        closed.member_id == booked.ordering_member,
        booked.booked_at >= closed.assigned_at,
        booked.booked_at < closed.closes_at,
    ]
    joined = closed.select("offer_id", "member_id", "assigned_at", "closes_at").join(booked, in_window)
    responses = joined.group_by("offer_id").agg(
        recall=(~joined.is_return).any(),
        margin=joined.value_amount.sum().cast("float64"),
        amount=joined.net_amount.sum().cast("float64"),
    )
    told = closed.mutate(
        cost_amount=closed.cost_amount.cast("float64"),
        redeemed=(closed.redeemed_at < closed.closes_at).fill_null(False),
    ).drop("closes_at")
    return told.left_join(responses, "offer_id").select(
        told,
        recall=responses.recall.fill_null(False),
        margin=responses.margin.fill_null(0.0),
        amount=responses.amount.fill_null(0.0),
    )


def with_money(outcomes: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Add what each offer cost and what was left, and give outcomes as numbers.

    Margin is before the incentive's cost: what was redeemed is added back where the programme says that its orders'
    amounts are already reduced by it (``value.redemptions_in_orders``). Cost is what was logged as spent, otherwise
    what the cost model says of a contact and, if it was redeemed, a redemption; a share of the order is then taken of
    the amount of all that was booked. ``incentive_id`` names arms.
    """
    rate = 1.0 if programme.value.margin_rate is None else programme.value.margin_rate
    redeemed, margin = outcomes["redeemed"].astype("float64"), outcomes["margin"]
    sent = contact_costs(outcomes["incentive_id"], programme)
    used = redemption_costs(outcomes["incentive_id"], outcomes["amount"], programme)
    cost = outcomes["cost_amount"].astype("float64").fillna(sent + redeemed * used)
    if programme.value.redemptions_in_orders:
        margin = margin + rate * redeemed * (cost - sent).clip(lower=0)
    recall = outcomes["recall"].astype("float64")
    return outcomes.assign(recall=recall, margin=margin, redeemed=redeemed, cost=cost, net=margin - cost)
