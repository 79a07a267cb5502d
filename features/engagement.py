"""Engagement: what a member does between orders, and how they answer messages."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.windows import WEEKS_4, WEEKS_13, Columns, Days, change, ratio, within

_WEEKS = 4


def visits(events: ir.Table, windows: Days) -> Columns:
    """Visits and carts within each window, the visits of the four weeks before the last four, days since the last."""
    visit, cart = events.event == "visit", events.event == "add_to_cart"
    return {
        "days_since_visit": events.age_days.min(where=visit),
        "days_since_cart": events.age_days.min(where=cart),
        **{f"visits_{d}d": events.count(where=visit & within(events.age_days, d)) for d in windows},
        **{f"carts_{d}d": events.count(where=cart & within(events.age_days, d)) for d in windows},
        "_visits_before_28d": events.count(where=visit & within(events.age_days, 2 * WEEKS_4, after=WEEKS_4)),
    }


def browsing(events: ir.Table) -> Columns:
    """Product views, searches, log-ins and begun checkouts of the last four weeks."""
    lately = within(events.age_days, WEEKS_4)
    named = {
        "product_views": "product_view",
        "searches": "search",
        "app_logins": "app_login",
        "checkouts": "checkout_started",
    }
    return {f"{name}_28d": events.count(where=(events.event == event) & lately) for name, event in named.items()}


def messages(events: ir.Table) -> Columns:
    """Messages sent, opened and clicked, in the last four weeks and the nine before, and the last unsubscription."""
    sent, opened, clicked = (events.event == f"message_{what}" for what in ("sent", "opened", "clicked"))
    lately = within(events.age_days, WEEKS_4)
    quarter = within(events.age_days, WEEKS_13)
    before = within(events.age_days, WEEKS_13, after=WEEKS_4)
    return {
        "messages_sent_28d": events.count(where=sent & lately),
        "_messages_opened_28d": events.count(where=opened & lately),
        "_messages_sent_before_28d": events.count(where=sent & before),
        "_messages_opened_before_28d": events.count(where=opened & before),
        "_messages_clicked_91d": events.count(where=clicked & quarter),
        "days_since_unsubscribe": events.age_days.min(where=events.event == "unsubscribe"),
    }


def responsiveness(member: ir.Table) -> Columns:
    """Trend of visits, carts that led to no order, and the rates at which messages are opened and clicked."""
    open_rate = ratio(member["_messages_opened_28d"], member.messages_sent_28d)
    open_rate_before = ratio(member["_messages_opened_before_28d"], member["_messages_sent_before_28d"])
    messages_sent_91d = member.messages_sent_28d + member["_messages_sent_before_28d"]
    return {
        "visits_change_28d": change(member.visits_28d, member["_visits_before_28d"]),
        "carts_without_order_28d": ibis.ifelse(member.order_count_28d == 0, member.carts_28d, 0),
        "messages_per_week_28d": member.messages_sent_28d / _WEEKS,
        "open_rate_28d": open_rate,
        "open_rate_change": change(open_rate, open_rate_before),
        "click_rate_91d": ratio(member["_messages_clicked_91d"], messages_sent_91d),
    }
