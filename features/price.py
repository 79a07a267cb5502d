"""Price: how much a member leans on discounts, coupons and offers."""

from __future__ import annotations

import ibis.expr.types as ir

from features.windows import WEEKS_13, Columns, ratio, within


def discounts(orders: ir.Table) -> Columns:
    """Discounts and the net amounts they led to, in all and lately, and the last order at full price."""
    placed = ~orders.is_return
    lately = placed & within(orders.age_days, WEEKS_13)
    discounted = orders.discount_amount > 0
    return {
        "_discount": orders.discount_amount.sum(where=placed),
        "_discount_91d": orders.discount_amount.sum(where=lately),
        "_sold": orders.net_amount.sum(where=placed),
        "_sold_91d": orders.net_amount.sum(where=lately),
        "_discounted_orders": orders.count(where=placed & discounted),
        "days_since_full_price": orders.age_days.min(where=placed & ~discounted),
    }


def coupons(events: ir.Table) -> Columns:
    """Coupons received and redeemed lately."""
    lately = within(events.age_days, WEEKS_13)
    return {
        "coupons_received_91d": events.count(where=(events.event == "coupon_received") & lately),
        "coupons_redeemed_91d": events.count(where=(events.event == "coupon_redeemed") & lately),
    }


def offers(offers: ir.Table) -> Columns:
    """Offers received lately and in all, redeemed, and days since the last; and since the last assignment of any."""
    sent = ~offers.is_control
    return {
        "offers_91d": offers.count(where=sent & within(offers.age_days, WEEKS_13)),
        "offers_redeemed": offers.count(where=sent & offers.is_redeemed),
        "last_offer_days": offers.age_days.min(where=sent),
        "last_assignment_days": offers.days_passed.min(),
        "_offers": offers.count(where=sent),
    }


def sensitivity(member: ir.Table) -> Columns:
    """Shares of discounts in what was bought, and of offers that were redeemed."""
    return {
        "discount_share": ratio(member["_discount"], member["_discount"] + member["_sold"]),
        "discount_share_91d": ratio(member["_discount_91d"], member["_discount_91d"] + member["_sold_91d"]),
        "discounted_order_share": ratio(member["_discounted_orders"], member.order_count),
        "offer_redemption_share": ratio(member.offers_redeemed, member["_offers"]),
    }
