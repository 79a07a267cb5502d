"""The least a weekly job could take: features in SQL written by hand for one programme's tables, without any checks.

Raw Parquet in, the same features out. Times are taken as the programme's own, so nothing is converted; no row is
validated, deduplicated or cut by when it became known.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

DAYS = (28, 91, 364)
VISIT_DAYS = (7, 28, 91)
JOURNEY = {
    "visit": 20, "app_login": 20, "product_view": 5, "search": 5, "add_to_cart": 10, "checkout_started": 15,
    "message_opened": 5, "message_clicked": 10, "member_centre_click": 10, "coupon_redeemed": 20,
    "points_redeemed": 15, "review_written": 15, "referral": 40,
}  # fmt: skip

_ORDERS = """
select member_id,
    min(age) filter (not ret) as recency_days, max(age) filter (not ret) as tenure_days,
    count(*) filter (not ret) as order_count, {order_windows},
    count(*) filter (not ret and age <= 364 and age > 273) as order_count_year_ago_91d,
    coalesce(sum(value), 0) as value_total,
    coalesce(sum(value) filter (booked_age <= 364 and booked_age > 273), 0) as value_year_ago_91d,
    coalesce(sum(value) filter (booked = first_day), 0) as first_day_value,
    coalesce(sum(value) filter (booked > first_day), 0) as repeat_value,
    coalesce(sum(net), 0) as net_amount_total, max(net) filter (not ret) as largest_order_amount,
    count(gap) as gap_count, median(gap) as gap_median_days, max(gap) as gap_max_days,
    arg_max(gap, age) filter (gap is not null) as gap_first_days,
    arg_min(gap, age) filter (gap is not null) as gap_last_days,
    coalesce(sum(gap), 0) as gaps, coalesce(sum(gap * gap), 0) as gaps_squared,
    count(*) filter (not ret and isodow(day) >= 6) as weekend_orders,
    coalesce(sum(discount) filter (not ret), 0) as discounts,
    coalesce(sum(discount) filter (not ret and age <= 91), 0) as discounts_91d,
    coalesce(sum(net) filter (not ret), 0) as sold, coalesce(sum(net) filter (not ret and age <= 91), 0) as sold_91d,
    count(*) filter (not ret and discount > 0) as discounted_orders,
    min(age) filter (not ret and discount <= 0) as days_since_full_price,
    (min(channel) filter (not ret) <> max(channel) filter (not ret))::tinyint as is_multi_channel,
    count(*) filter (ret) as return_count, min(age) filter (ret) as days_since_return,
    coalesce(sum(-net) filter (ret), 0) as returned
from (
    select *, first(day) over by_day as first_day,
        case when not ret then nullif(day - lag(day) over by_day, 0) end as gap
    from (
        select s.member_id, s.return_of is not null as ret, s.ordered_at::date as day, date '{today}' - day as age,
            coalesce(b.ordered_at, s.ordered_at)::date as booked, date '{today}' - booked as booked_age,
            s.net_amount as net, coalesce(s.margin_amount, s.net_amount) as value, s.discount_amount as discount,
            s.channel
        from orders as s left join orders as b
            on b.order_id = s.return_of and b.member_id = s.member_id and b.ordered_at <= s.ordered_at
        where s.ordered_at < timestamp '{today}'
    )
    window by_day as (partition by member_id order by ret, day)
) group by member_id
"""

_EVENTS = """
select member_id,
    min(age) filter (event = 'visit') as days_since_visit, min(age) filter (event = 'add_to_cart') as days_since_cart,
    {event_windows},
    count(*) filter (event = 'visit' and age <= 56 and age > 28) as visits_before,
    count(*) filter (event = 'product_view' and age <= 28) as product_views_28d,
    count(*) filter (event = 'search' and age <= 28) as searches_28d,
    count(*) filter (event = 'app_login' and age <= 28) as app_logins_28d,
    count(*) filter (event = 'checkout_started' and age <= 28) as checkouts_28d,
    count(*) filter (event = 'message_sent' and age <= 28) as messages_sent_28d,
    count(*) filter (event = 'message_opened' and age <= 28) as opened_28d,
    count(*) filter (event = 'message_sent' and age <= 91 and age > 28) as sent_before,
    count(*) filter (event = 'message_opened' and age <= 91 and age > 28) as opened_before,
    count(*) filter (event = 'message_clicked' and age <= 91) as clicked_91d,
    min(age) filter (event = 'unsubscribe') as days_since_unsubscribe,
    count(*) filter (event = 'coupon_received' and age <= 91) as coupons_received_91d,
    count(*) filter (event = 'coupon_redeemed' and age <= 91) as coupons_redeemed_91d,
    count(*) filter (event = 'support_ticket' and age <= 91) as tickets_91d,
    coalesce(sum(journey) filter (age <= 91), 0) as journey_points,
    coalesce(sum(journey) filter (age <= 28), 0) as journey_28d,
    coalesce(sum(journey) filter (age <= 56 and age > 28), 0) as journey_before,
    {points},
    count(*) filter (event = 'referral' and age <= 364) as referrals_364d,
    count(*) filter (event = 'review_written' and age <= 364) as reviews_364d
from (
    select member_id, event, abs(amount) as amount, case event {journey} else 0 end as journey,
        ceil((epoch(timestamp '{today}') - epoch(occurred_at)) / 86400) as age
    from events where occurred_at < timestamp '{today}'
) group by member_id
"""

_COMPLAINTS = """
select member_id, count(*) filter (age <= 91) as complaints_91d,
    max(waited) filter (resolved is null) as complaint_open_hours,
    max(waited) filter (age <= 364) as complaint_wait_hours_364d
from (
    select *, (epoch(coalesce(resolved, timestamp '{today}')) - epoch(occurred_at)) / 3600 as waited,
        ceil((epoch(timestamp '{today}') - epoch(occurred_at)) / 86400) as age
    from (
        select member_id, event, occurred_at, min(occurred_at) filter (event = 'complaint_resolved') over (
            partition by member_id order by occurred_at, event rows between current row and unbounded following
        ) as resolved
        from events where event in ('complaint', 'complaint_resolved') and occurred_at < timestamp '{today}'
    ) where event = 'complaint'
) group by member_id
"""

_OFFERS = """
select member_id, count(*) filter (sent and ceil(age) <= 91) as offers_91d, 0 as offers_redeemed,
    min(ceil(age)) filter (sent) as last_offer_days, min(floor(age)) as last_assignment_days,
    count(*) filter (sent) as offers
from (
    select member_id, incentive_id <> 'control' as sent,
        (epoch(timestamp '{today}') - epoch(assigned_at)) / 86400 as age
    from offers where assigned_at < timestamp '{today}'
) group by member_id
"""

_CATEGORIES = """
select member_id, sum(products) as product_count, sum(products_91d) as product_count_91d,
    count(*) as category_count, count(*) filter (last_age <= 91) as category_count_91d,
    min(first_age) as new_category_days, sum(new_91d) as new_products_91d, sum(repeated) as repeated_products,
    sum(quantity) as items, sum(amount) as lines_amount, max(amount) as top_amount,
    coalesce(sum(amount) filter (category = 'baby' and first_age > 730), 0) as ended_amount
from (
    select member_id, category, max(first_age) as first_age, min(last_age) as last_age, sum(quantity) as quantity,
        sum(amount) as amount, count(*) as products, count(*) filter (last_age <= 91) as products_91d,
        count(*) filter (first_age <= 91) as new_91d, count(*) filter (first_age > last_age) as repeated
    from (
        select o.member_id, l.category, l.product_id, sum(l.quantity) as quantity, sum(l.net_amount) as amount,
            max(ceil((epoch(timestamp '{today}') - epoch(o.ordered_at)) / 86400)) as first_age,
            min(ceil((epoch(timestamp '{today}') - epoch(o.ordered_at)) / 86400)) as last_age
        from order_lines as l join orders as o using (order_id)
        where o.ordered_at < timestamp '{today}' and l.net_amount >= 0 and l.quantity > 0
        group by o.member_id, l.category, l.product_id
    ) group by member_id, category
) group by member_id
"""

_MEMBERS = """
select member_id, ceil((epoch(timestamp '{today}') - epoch(joined_at)) / 86400) as joined_days
from members where joined_at < timestamp '{today}'
"""


def _over(numerator: str, denominator: str) -> str:
    return f"({numerator})::double / case when ({denominator}) > 0 then ({denominator})::double end"


_DERIVED = {
    "first_to_last_days": "tenure_days - recency_days",
    "order_days": "gap_count + (order_count > 0)::int",
    "repeat_order_days": "gap_count",
    "average_order_value": _over("net_amount_total", "order_count"),
    "repeat_value_mean": _over("repeat_value", "gap_count"),
    "value_per_year": _over("value_total * 365", "greatest(coalesce(tenure_days, 0), 91)"),
    "value_change_91d": _over("value_91d", "value_364d::double / 4") + " - 1",
    "order_count_change_91d": _over("order_count_91d", "order_count_364d::double / 4") + " - 1",
    "gap_mean_days": _over("gaps", "gap_count"),
    "gap_variation": _over(
        f"sqrt(greatest({_over('gaps_squared', 'gap_count')} - pow({_over('gaps', 'gap_count')}, 2), 0))",
        _over("gaps", "gap_count"),
    ),
    "gap_change": _over("gap_last_days", "gap_median_days") + " - 1",
    "overdue_gaps": _over("recency_days", "gap_median_days"),
    "overdue_longest_gaps": _over("recency_days", "gap_max_days"),
    "weekend_share": _over("weekend_orders", "order_count"),
    "visits_change_28d": _over("visits_28d", "visits_before") + " - 1",
    "carts_without_order_28d": "case when order_count_28d = 0 then carts_28d else 0 end",
    "messages_per_week_28d": "messages_sent_28d / 4.0",
    "open_rate_28d": _over("opened_28d", "messages_sent_28d"),
    "open_rate_change": _over(_over("opened_28d", "messages_sent_28d"), _over("opened_before", "sent_before")) + " - 1",
    "click_rate_91d": _over("clicked_91d", "messages_sent_28d + sent_before"),
    "discount_share": _over("discounts", "discounts + sold"),
    "discount_share_91d": _over("discounts_91d", "discounts_91d + sold_91d"),
    "discounted_order_share": _over("discounted_orders", "order_count"),
    "offer_redemption_share": _over("offers_redeemed", "offers"),
    "items_per_order": _over("items", "order_count"),
    "item_amount_mean": _over("lines_amount", "items"),
    "top_category_share": _over("top_amount", "lines_amount"),
    "ended_category_share": _over("ended_amount", "lines_amount"),
    "new_product_share_91d": _over("new_products_91d", "product_count_91d"),
    "repeat_product_share": _over("repeated_products", "product_count"),
    "return_share": _over("returned", "sold"),
    "join_to_order_days": "joined_days - tenure_days",
    "points_balance": "points_earned - points_redeemed - points_expired",
    "journey_points_change_28d": _over("journey_28d", "journey_before") + " - 1",
}
_COUNTS = [
    "order_count", "value_total", "value_year_ago_91d", "first_day_value", "repeat_value", "net_amount_total",
    "gap_count", "gaps", "gaps_squared", "weekend_orders", "discounts", "discounts_91d", "sold", "sold_91d",
    "discounted_orders", "return_count", "returned", "visits_before", "product_views_28d", "searches_28d",
    "app_logins_28d", "checkouts_28d", "messages_sent_28d", "opened_28d", "sent_before", "opened_before",
    "clicked_91d", "coupons_received_91d", "coupons_redeemed_91d", "tickets_91d", "journey_points", "journey_28d",
    "journey_before", "referrals_364d", "reviews_364d", "complaints_91d", "offers_91d", "offers_redeemed", "offers",
    "product_count", "product_count_91d", "category_count", "category_count_91d", "new_products_91d",
    "repeated_products", "items", "lines_amount", "ended_amount", "order_count_year_ago_91d",
]  # fmt: skip
"""What is 0 where a member has no such rows; the rest is missing."""


def features_sql(today: str, names: list[str]) -> str:
    """Return the query that computes the named features of all members as of a local date."""
    order_windows = ", ".join(
        f"count(*) filter (not ret and age <= {d}) as order_count_{d}d,"
        f" coalesce(sum(value) filter (booked_age <= {d}), 0) as value_{d}d,"
        f" coalesce(sum(net) filter (booked_age <= {d}), 0) as net_amount_{d}d"
        for d in DAYS
    )
    event_windows = ", ".join(
        f"count(*) filter (event = '{event}' and age <= {d}) as {name}_{d}d"
        for event, name in (("visit", "visits"), ("add_to_cart", "carts"))
        for d in VISIT_DAYS
    )
    points = ", ".join(
        f"coalesce(sum(amount) filter (event = 'points_{kind}'), 0) as points_{kind},"
        f" coalesce(sum(amount) filter (event = 'points_{kind}' and age <= 91), 0) as points_{kind}_91d"
        for kind in ("earned", "redeemed", "expired")
    )
    journey = " ".join(f"when '{event}' then {points}" for event, points in JOURNEY.items())
    passes = {
        name: query.format(
            today=today, order_windows=order_windows, event_windows=event_windows, points=points, journey=journey
        )
        for name, query in {
            "o": _ORDERS, "m": _MEMBERS, "e": _EVENTS, "c": _COMPLAINTS, "f": _OFFERS, "l": _CATEGORIES,
        }.items()
    }  # fmt: skip
    windowed = [f"{kind}_{d}d" for kind in ("order_count", "value", "net_amount") for d in DAYS]
    windowed += [f"{kind}_{d}d" for kind in ("visits", "carts") for d in VISIT_DAYS]
    windowed += [f"points_{kind}{window}" for kind in ("earned", "redeemed", "expired") for window in ("", "_91d")]
    filled = ", ".join(f"coalesce({name}, 0) as {name}" for name in [*_COUNTS, *windowed])
    chosen = ", ".join(f"round(({_DERIVED.get(name, name)})::double, 6) as {name}" for name in names)
    given = ", ".join(f"{name} as ({query})" for name, query in passes.items())
    return f"""with {given}, joined as (
            from o full join m using (member_id) left join e using (member_id) left join c using (member_id)
                left join f using (member_id) left join l using (member_id)
        )
        select member_id, {chosen} from (select * replace ({filled}) from joined)"""


def write_features(folder: Path, today: str, names: list[str], file: Path, *, threads: int, memory: str) -> None:
    """Compute the features of the tables in a folder into one Parquet file."""
    with duckdb.connect(
        config={"threads": threads, "memory_limit": memory, "temp_directory": str(file.with_suffix(".spill"))}
    ) as con:
        con.execute("set preserve_insertion_order = false")
        for table in ("orders", "members", "order_lines", "events", "offers"):
            con.execute(f"create view {table} as from read_parquet('{folder / table}.parquet')")
        con.execute(f"copy ({features_sql(today, names)}) to '{file}' (format parquet)")
