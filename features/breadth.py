"""Breadth: how many kinds of things a member buys, how concentrated, how new, and which of them have had their time."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from features.settings_members import Category
from features.windows import WEEKS_13, Columns, ratio, within


def by_category(order_lines: ir.Table) -> ir.Table:
    """One row per member and category, with what was bought in it and when first."""
    lines = order_lines
    products = lines.group_by("member_id", "category", "product_id").aggregate(
        first_age_days=lines.age_days.max(),
        last_age_days=lines.age_days.min(),
        quantity=lines.quantity.fill_null(1).sum(),
        net_amount=lines.net_amount.sum(),
    )
    first, last = products.first_age_days, products.last_age_days
    bought_lately = within(last, WEEKS_13)
    return products.group_by("member_id", "category").aggregate(
        first_age_days=first.max(),
        last_age_days=last.min(),
        quantity=products.quantity.sum(),
        net_amount=products.net_amount.sum(),
        products=products.count(),
        products_91d=products.count(where=bought_lately),
        new_products_91d=products.count(where=within(first, WEEKS_13)),
        repeated_products=products.count(where=first > last),
    )


def variety(categories: ir.Table) -> Columns:
    """Products and categories bought, in all and lately, and when the newest category was first bought."""
    named = categories.category.notnull()
    return {
        "product_count": categories.products.sum(),
        "product_count_91d": categories.products_91d.sum(),
        "category_count": categories.count(where=named),
        "category_count_91d": categories.count(where=named & within(categories.last_age_days, WEEKS_13)),
        "new_category_days": categories.first_age_days.min(where=named),
        "_new_products_91d": categories.new_products_91d.sum(),
        "_repeated_products": categories.repeated_products.sum(),
    }


def basket(categories: ir.Table) -> Columns:
    """Items bought and their money, in all and in the category most is spent on."""
    return {
        "_items": categories.quantity.sum(),
        "_lines_amount": categories.net_amount.sum(),
        "_top_category_amount": categories.net_amount.max(where=categories.category.notnull()),
    }


def ended(categories: ir.Table, known: Mapping[str, Category]) -> Columns:
    """Money spent in categories the member has outgrown: first bought longer ago than the category's life."""
    life_days = ((name, category.life_days) for name, category in known.items())
    is_ended = ibis.or_(*(((categories.category == n) & (categories.first_age_days > days)) for n, days in life_days))
    return {"_ended_amount": categories.net_amount.sum(where=is_ended)}


def channels(orders: ir.Table) -> Columns:
    """Whether a member orders through more than one channel."""
    placed = ~orders.is_return
    several = orders.channel.min(where=placed) != orders.channel.max(where=placed)
    return {"is_multi_channel": several.cast("int8")}


def composition(member: ir.Table) -> Columns:
    """Items per order and their price, and shares: top category, ended categories, new and repeated products."""
    return {
        "items_per_order": ratio(member["_items"], member.order_count),
        "item_amount_mean": ratio(member["_lines_amount"], member["_items"]),
        "top_category_share": ratio(member["_top_category_amount"], member["_lines_amount"]),
        "ended_category_share": ratio(member["_ended_amount"], member["_lines_amount"]),
        "new_product_share_91d": ratio(member["_new_products_91d"], member.product_count_91d),
        "repeat_product_share": ratio(member["_repeated_products"], member.product_count),
    }
