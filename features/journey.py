"""Journey: how far a member has come with the programme - joining, behaviours, points."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from features.windows import WEEKS_4, WEEKS_13, WEEKS_52, Columns, change, within

JOURNEY_POINTS: Mapping[str, float] = {
    "visit": 20,
    "app_login": 20,
    "product_view": 5,
    "search": 5,
    "add_to_cart": 10,
    "checkout_started": 15,
    "message_opened": 5,
    "message_clicked": 10,
    "member_centre_click": 10,
    "coupon_redeemed": 20,
    "points_redeemed": 15,
    "review_written": 15,
    "referral": 40,
}
"""Points of the awareness-interest-purchase-loyalty journey per behaviour, where the programme states none."""


def joining(members: ir.Table) -> Columns:
    """Days since the member joined."""
    return {"joined_days": members.joined_days.max()}


def progress(events: ir.Table, points_per_event: Mapping[str, float]) -> Columns:
    """Journey points collected in the last 13 weeks, the last four and the four before."""
    points = events.event.cases(
        *((event, _exact(points)) for event, points in points_per_event.items()), else_=_exact(0)
    )
    return {
        "journey_points": points.sum(where=within(events.age_days, WEEKS_13)),
        "_journey_points_28d": points.sum(where=within(events.age_days, WEEKS_4)),
        "_journey_points_before_28d": points.sum(where=within(events.age_days, 2 * WEEKS_4, after=WEEKS_4)),
    }


def points(events: ir.Table) -> Columns:
    """Loyalty points earned, redeemed and lost by time, in all and lately."""
    amount, lately = events.amount.abs(), within(events.age_days, WEEKS_13)
    kinds = {kind: events.event == f"points_{kind}" for kind in ("earned", "redeemed", "expired")}
    return {
        **{f"points_{kind}_91d": amount.sum(where=of_kind & lately) for kind, of_kind in kinds.items()},
        **{f"_points_{kind}": amount.sum(where=of_kind) for kind, of_kind in kinds.items()},
    }


def advocacy(events: ir.Table) -> Columns:
    """Friends brought and reviews written within the year."""
    this_year = within(events.age_days, WEEKS_52)
    return {
        "referrals_364d": events.count(where=(events.event == "referral") & this_year),
        "reviews_364d": events.count(where=(events.event == "review_written") & this_year),
    }


def standing(member: ir.Table) -> Columns:
    """Time from joining to the first order, points held, and the trend of journey points."""
    return {
        "join_to_order_days": member.joined_days - member.tenure_days,
        "points_balance": member["_points_earned"] - member["_points_redeemed"] - member["_points_expired"],
        "journey_points_change_28d": change(member["_journey_points_28d"], member["_journey_points_before_28d"]),
    }


def _exact(points: float) -> ir.DecimalScalar:
    return ibis.literal(Decimal(str(points)), type="decimal(18, 4)")
