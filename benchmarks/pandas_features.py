"""All features of the catalogue in pandas, as one would write them first: filter, group by member, add a column.

Times are taken as the programme's own, as in :mod:`floor`; nothing is checked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from floor import DAYS, JOURNEY, VISIT_DAYS

QUARTER, ENDED = 91, 730
DAY, HOUR = 86_400.0, 3_600.0

Tables = dict[str, pd.DataFrame]
Columns = dict[str, pd.Series]


def sample(folder: Path, members: int) -> Tables:
    """Read all rows of the first so many members, by table."""

    def read(name: str, column: str, ids: pd.Series) -> pd.DataFrame:
        return pd.read_parquet(folder / f"{name}.parquet", filters=[(column, "in", list(ids))])

    ids = pd.read_parquet(folder / "members.parquet", columns=["member_id"])["member_id"].sort_values()[:members]
    tables = {name: read(name, "member_id", ids) for name in ("members", "orders", "events", "offers")}
    return tables | {"order_lines": read("order_lines", "order_id", tables["orders"]["order_id"])}


def features(tables: Tables, today: pd.Timestamp) -> pd.DataFrame:
    """Compute all features, one row per member, of raw tables by name."""
    found = orders(tables["orders"], today) | events(tables["events"], today) | complaints(tables["events"], today)
    found |= offers(tables["offers"], today) | products(tables["order_lines"], tables["orders"], today)
    joined = tables["members"].set_index("member_id")["joined_at"]
    table = pd.DataFrame(found | {"joined_days": age(joined, today)})
    counts = [str(name) for name in table if name not in _MISSING]
    table[counts] = table[counts].fillna(0.0)
    made = pd.DataFrame(derived(table))
    return pd.concat([table.drop(columns=made.columns, errors="ignore"), made], axis=1).astype("float64").round(6)


_MISSING = {
    "recency_days", "tenure_days", "largest_order_amount", "gap_median_days", "gap_max_days", "gap_first_days",
    "gap_last_days", "days_since_full_price", "is_multi_channel", "days_since_return", "days_since_visit",
    "days_since_cart", "days_since_unsubscribe", "complaint_open_hours", "complaint_wait_hours_364d",
    "last_offer_days", "last_assignment_days", "new_category_days", "top_amount", "joined_days",
}  # fmt: skip
"""What is missing where a member has no such rows; the rest is 0."""


def age(time: pd.Series, today: pd.Timestamp) -> pd.Series:
    """Return the days passed since, begun ones too."""
    return pd.Series(np.ceil((today - time).dt.total_seconds() / DAY))


def orders(given: pd.DataFrame, today: pd.Timestamp) -> Columns:
    """Compute recency, frequency, value, gaps, discounts and returns."""
    table = given.assign(day=given["ordered_at"].dt.normalize(), is_return=given["return_of"].notna())
    table = table.sort_values(["member_id", "is_return", "day"])
    money = ["net_amount", "margin_amount", "discount_amount"]
    table[money] = table[money].astype("float64")
    of = table[["member_id", "order_id", "day"]].rename(columns={"order_id": "return_of", "day": "booked"})
    table = table.merge(of, how="left", on=["member_id", "return_of"])
    table["booked"] = table["booked"].fillna(table["day"])
    table["age"] = (today - table["day"]).dt.days
    table["booked_age"] = (today - table["booked"]).dt.days
    first = table.groupby("member_id")["day"].transform("first")
    sold, back = table[~table["is_return"]], table[table["is_return"]]
    by_member, all_of = sold.groupby("member_id"), table.groupby("member_id")
    lately = sold[sold["age"] <= QUARTER].groupby("member_id")
    cut = sold[sold["discount_amount"] > 0]
    found = {
        "recency_days": by_member["age"].min(),
        "tenure_days": by_member["age"].max(),
        "order_count": by_member.size(),
        "order_count_year_ago_91d": sold[sold["age"].between(274, 364)].groupby("member_id").size(),
        "value_total": all_of["margin_amount"].sum(),
        "value_year_ago_91d": _sum(table[table["booked_age"].between(274, 364)], "margin_amount"),
        "first_day_value": _sum(table[table["booked"] == first], "margin_amount"),
        "repeat_value": _sum(table[table["booked"] > first], "margin_amount"),
        "net_amount_total": all_of["net_amount"].sum(),
        "largest_order_amount": by_member["net_amount"].max(),
        "weekend_orders": sold[sold["day"].dt.day_of_week >= 5].groupby("member_id").size(),
        "discounts": by_member["discount_amount"].sum(),
        "discounts_91d": lately["discount_amount"].sum(),
        "sold": by_member["net_amount"].sum(),
        "sold_91d": lately["net_amount"].sum(),
        "discounted_orders": cut.groupby("member_id").size(),
        "days_since_full_price": sold[sold["discount_amount"] <= 0].groupby("member_id")["age"].min(),
        "is_multi_channel": by_member["channel"].min() != by_member["channel"].max(),
        "return_count": back.groupby("member_id").size(),
        "days_since_return": back.groupby("member_id")["age"].min(),
        "returned": -_sum(back, "net_amount"),
    }
    for days in DAYS:
        booked = table[table["booked_age"] <= days].groupby("member_id")
        found[f"order_count_{days}d"] = sold[sold["age"] <= days].groupby("member_id").size()
        found[f"value_{days}d"] = booked["margin_amount"].sum()
        found[f"net_amount_{days}d"] = booked["net_amount"].sum()
    gap = -by_member["age"].diff()
    gaps = gap[gap > 0].groupby(sold["member_id"])
    return found | {
        "gap_count": gaps.count(),
        "gap_mean_days": gaps.mean(),
        "gap_deviation": gaps.std(ddof=0),
        "gap_median_days": gaps.median(),
        "gap_max_days": gaps.max(),
        "gap_first_days": gaps.first(),
        "gap_last_days": gaps.last(),
    }


def _sum(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("member_id")[column].sum()


def events(given: pd.DataFrame, today: pd.Timestamp) -> Columns:
    """Compute visits, messages, coupons, points and the journey."""
    table = given.assign(
        age=age(given["occurred_at"], today),
        amount=given["amount"].astype("float64").abs(),
        journey=given["event"].map(JOURNEY).fillna(0.0),
    )
    of = dict(list(table.groupby("event")))
    none = table.iloc[:0]

    def count(event: str, days: int, after: int = 0) -> pd.Series:
        rows = of.get(event, none)
        return rows[(rows["age"] <= days) & (rows["age"] > after)].groupby("member_id").size()

    found = {
        "visits_before": count("visit", 56, 28),
        "opened_before": count("message_opened", QUARTER, 28),
        "sent_before": count("message_sent", QUARTER, 28),
        "opened_28d": count("message_opened", 28),
        "clicked_91d": count("message_clicked", QUARTER),
        "journey_points": _sum(table[table["age"] <= QUARTER], "journey"),
        "journey_28d": _sum(table[table["age"] <= 28], "journey"),
        "journey_before": _sum(table[table["age"].between(29, 56)], "journey"),
    }
    for event, name in (("visit", "visit"), ("add_to_cart", "cart"), ("unsubscribe", "unsubscribe")):
        found[f"days_since_{name}"] = of.get(event, none).groupby("member_id")["age"].min()
    for event, name in (("visit", "visits"), ("add_to_cart", "carts")):
        found |= {f"{name}_{days}d": count(event, days) for days in VISIT_DAYS}
    for event, name, days in _COUNTED:
        found[f"{name}_{days}d"] = count(event, days)
    for kind in ("earned", "redeemed", "expired"):
        rows = of.get(f"points_{kind}", none)
        found[f"points_{kind}"] = _sum(rows, "amount")
        found[f"points_{kind}_91d"] = _sum(rows[rows["age"] <= QUARTER], "amount")
    return found


_COUNTED = (
    ("product_view", "product_views", 28), ("search", "searches", 28), ("app_login", "app_logins", 28),
    ("checkout_started", "checkouts", 28), ("message_sent", "messages_sent", 28),
    ("coupon_received", "coupons_received", 91), ("coupon_redeemed", "coupons_redeemed", 91),
    ("support_ticket", "tickets", 91), ("referral", "referrals", 364), ("review_written", "reviews", 364),
)  # fmt: skip


def complaints(given: pd.DataFrame, today: pd.Timestamp) -> Columns:
    """Match each complaint with the member's next resolution."""
    given = given.sort_values("occurred_at")
    raised = given.loc[given["event"] == "complaint", ["member_id", "occurred_at"]]
    ended = given.loc[given["event"] == "complaint_resolved", ["member_id", "occurred_at"]]
    ended = ended.assign(resolved=ended["occurred_at"])
    matched = pd.merge_asof(raised, ended, on="occurred_at", by="member_id", direction="forward")
    matched["age"] = age(matched["occurred_at"], today)
    matched["waited"] = (matched["resolved"].fillna(today) - matched["occurred_at"]).dt.total_seconds() / HOUR
    return {
        "complaints_91d": matched[matched["age"] <= QUARTER].groupby("member_id").size(),
        "complaint_open_hours": matched[matched["resolved"].isna()].groupby("member_id")["waited"].max(),
        "complaint_wait_hours_364d": matched[matched["age"] <= 364].groupby("member_id")["waited"].max(),
    }


def offers(given: pd.DataFrame, today: pd.Timestamp) -> Columns:
    """Compute what was offered; the made-up tables have no redemptions."""
    passed = (today - given["assigned_at"]).dt.total_seconds() / DAY
    table = given.assign(age=np.ceil(passed), passed=np.floor(passed))
    sent = table[table["incentive_id"] != "control"]
    return {
        "offers_91d": sent[sent["age"] <= QUARTER].groupby("member_id").size(),
        "offers": sent.groupby("member_id").size(),
        "last_offer_days": sent.groupby("member_id")["age"].min(),
        "last_assignment_days": table.groupby("member_id")["passed"].min(),
    }


def products(lines: pd.DataFrame, orders: pd.DataFrame, today: pd.Timestamp) -> Columns:
    """Compute breadth over products and categories."""
    table = lines.merge(orders[["order_id", "member_id", "ordered_at"]], on="order_id")
    table["age"] = age(table["ordered_at"], today)
    table["net_amount"] = table["net_amount"].astype("float64")
    table = table[(table["net_amount"] >= 0) & (table["quantity"] > 0)]
    ages, sums = {"first_age": ("age", "max"), "last_age": ("age", "min")}, {"amount": ("net_amount", "sum")}
    product = table.groupby(["member_id", "category", "product_id"]).agg(**ages).reset_index()
    category = table.groupby(["member_id", "category"]).agg(**ages, **sums).reset_index()
    by_member = category.groupby("member_id")
    return {
        "product_count": product.groupby("member_id").size(),
        "product_count_91d": product[product["last_age"] <= QUARTER].groupby("member_id").size(),
        "new_products_91d": product[product["first_age"] <= QUARTER].groupby("member_id").size(),
        "repeated_products": product[product["first_age"] > product["last_age"]].groupby("member_id").size(),
        "category_count": by_member.size(),
        "category_count_91d": category[category["last_age"] <= QUARTER].groupby("member_id").size(),
        "new_category_days": by_member["first_age"].min(),
        "items": table.groupby("member_id")["quantity"].sum(),
        "lines_amount": by_member["amount"].sum(),
        "top_amount": by_member["amount"].max(),
        "ended_amount": _sum(category[(category["category"] == "baby") & (category["first_age"] > ENDED)], "amount"),
    }


def _over(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    return numerator / denominator.where(denominator > 0)


def derived(t: pd.DataFrame) -> Columns:
    """Compute the features that are made of others."""
    sent = t["messages_sent_28d"]
    mean = t["gap_mean_days"].where(t["gap_count"] > 0)
    return {
        "gap_mean_days": mean,
        "gap_variation": _over(t["gap_deviation"].where(t["gap_count"] > 0), mean),
        "first_to_last_days": t["tenure_days"] - t["recency_days"],
        "order_days": t["gap_count"] + (t["order_count"] > 0),
        "repeat_order_days": t["gap_count"],
        "average_order_value": _over(t["net_amount_total"], t["order_count"]),
        "repeat_value_mean": _over(t["repeat_value"], t["gap_count"]),
        "value_per_year": t["value_total"] * 365 / t["tenure_days"].fillna(0).clip(lower=QUARTER),
        "value_change_91d": _over(t["value_91d"], t["value_364d"] / 4) - 1,
        "order_count_change_91d": _over(t["order_count_91d"], t["order_count_364d"] / 4) - 1,
        "gap_change": _over(t["gap_last_days"], t["gap_median_days"]) - 1,
        "overdue_gaps": _over(t["recency_days"], t["gap_median_days"]),
        "overdue_longest_gaps": _over(t["recency_days"], t["gap_max_days"]),
        "weekend_share": _over(t["weekend_orders"], t["order_count"]),
        "visits_change_28d": _over(t["visits_28d"], t["visits_before"]) - 1,
        "carts_without_order_28d": t["carts_28d"].where(t["order_count_28d"] == 0, 0.0),
        "messages_per_week_28d": sent / 4,
        "open_rate_28d": _over(t["opened_28d"], sent),
        "open_rate_change": _over(_over(t["opened_28d"], sent), _over(t["opened_before"], t["sent_before"])) - 1,
        "click_rate_91d": _over(t["clicked_91d"], sent + t["sent_before"]),
        "discount_share": _over(t["discounts"], t["discounts"] + t["sold"]),
        "discount_share_91d": _over(t["discounts_91d"], t["discounts_91d"] + t["sold_91d"]),
        "discounted_order_share": _over(t["discounted_orders"], t["order_count"]),
        "offers_redeemed": 0.0 * t["offers"],
        "offer_redemption_share": _over(0.0 * t["offers"], t["offers"]),
        "items_per_order": _over(t["items"], t["order_count"]),
        "item_amount_mean": _over(t["lines_amount"], t["items"]),
        "top_category_share": _over(t["top_amount"], t["lines_amount"]),
        "ended_category_share": _over(t["ended_amount"], t["lines_amount"]),
        "new_product_share_91d": _over(t["new_products_91d"], t["product_count_91d"]),
        "repeat_product_share": _over(t["repeated_products"], t["product_count"]),
        "return_share": _over(t["returned"], t["sold"]),
        "join_to_order_days": t["joined_days"] - t["tenure_days"],
        "points_balance": t["points_earned"] - t["points_redeemed"] - t["points_expired"],
        "journey_points_change_28d": _over(t["journey_28d"], t["journey_before"]) - 1,
    }
