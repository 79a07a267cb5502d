"""What every feature is called, measured in and means, in the order of the FeatureTable's columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from features.settings import Family
from features.settings_members import Windows
from features.windows import event_windows, order_windows

Unit = Literal["days", "hours", "gaps", "count", "per_week", "money", "points", "share", "change", "ratio", "flag"]

UNITS: Mapping[Unit, str] = {
    "days": "days; missing when it never happened",
    "hours": "hours; missing when it never happened",
    "gaps": "multiples of one of the member's own gaps between orders; missing without a gap",
    "count": "number; 0 when there is none",
    "per_week": "number per week; 0 when there is none",
    "money": "in the programme's currency; sums are 0, averages and largest values missing when there is none",
    "points": "points; 0 when there are none",
    "share": "part of a whole; missing when the whole is not above 0",
    "change": "relative change, 0 none and -1 down to nothing; missing when the base is not above 0",
    "ratio": "quotient; missing when the divisor is not above 0",
    "flag": "1 yes, 0 no; missing when not known",
}
"""The units features are measured in, and what absence means in each."""

ONLY_FOR_GUARDRAILS = ("last_assignment_days",)
"""Features that no model reads: who was drawn as control says nothing of the member."""


@dataclass(frozen=True)
class Feature:
    """One column of the FeatureTable.

    Attributes
    ----------
    name : str
        Name of the column.
    family : Family
        The module that makes it.
    unit : Unit
        What it is measured in; `UNITS` says what absence means.
    label_en, label_zh : str
        What to call it in a report or a sentence.
    definition : str
        How it is computed.
    """

    name: str
    family: Family
    unit: Unit
    label_en: str
    label_zh: str
    definition: str


def catalogue(windows: Windows) -> tuple[Feature, ...]:
    """Return every feature of a programme with these windows, in column order."""
    return tuple(feature for template in _TEMPLATES for feature in _per_window(template, windows))


def feature_names(windows: Windows) -> list[str]:
    """Return the names of all features, in column order."""
    return [feature.name for feature in catalogue(windows)]


def features_markdown() -> str:
    """Return docs/features.md: every feature of the default windows, and the units."""
    features = catalogue(Windows())
    rows = (f"| `{f.name}` | {f.family} | {f.unit} | {f.label_en} | {f.label_zh} | {f.definition} |" for f in features)
    units = (f"| {unit} | {meaning} |" for unit, meaning in UNITS.items())
    return "\n".join((_INTRODUCTION.format(count=len(features)), *rows, _UNITS_HEADING, *units, ""))


def _per_window(template: Feature, windows: Windows) -> Iterator[Feature]:
    if "{d}" not in template.name:
        yield template
        return
    for days in order_windows(windows) if template.family == "rfm" else event_windows(windows):
        yield replace(template, **{field: text.format(d=days) for field, text in vars(template).items()})


_INTRODUCTION = """\
# Features

Generated from `features/catalogue.py`; a test keeps it current.

One row per member as of an instant, from rows that had happened and were recorded before it. The table lists the
{count} features of the default windows. Lengths given as `windows.days` in the programme file add windows to
`order_count`, `value` and `net_amount`, those of `windows.short_days` to `visits` and `carts`.

- **Days**: orders are aged by local calendar dates, everything else in days of 24 hours, rounded up. "The last 28 days"
  are the 28 days before as_of.
- **Returns** are not orders. Once known, a return takes its money off the date the returned order was placed on.
- **Value** is margin where orders carry it, otherwise net amount times the assumed margin rate, otherwise net amount.
- **Gaps** are the days between consecutive dates with an order.

| feature | family | unit | English | Chinese | definition |
|---|---|---|---|---|---|"""

_UNITS_HEADING = """
## Units

| unit | meaning |
|---|---|"""

_TEMPLATES: tuple[Feature, ...] = (
    Feature(
        "recency_days", "rfm", "days", "days since the last order", "距上次下单天数", "as_of date - last order date"
    ),
    Feature(
        "tenure_days", "rfm", "days", "days since the first order", "首单至今天数", "as_of date - first order date"
    ),
    Feature(
        "first_to_last_days",
        "rfm",
        "days",
        "days from first to last order",
        "首单至最近一单天数",
        "tenure_days - recency_days",
    ),
    Feature("order_count", "rfm", "count", "orders", "累计订单数", "orders, returns not counted"),
    Feature("order_days", "rfm", "count", "days with an order", "累计下单天数", "distinct local dates with an order"),
    Feature("repeat_order_days", "rfm", "count", "repeat orders", "复购次数", "order_days - 1, at least 0"),
    Feature("order_count_{d}d", "rfm", "count", "orders in the last {d} days", "近{d}天订单数", "orders in the window"),
    Feature(
        "order_count_year_ago_91d",
        "rfm",
        "count",
        "orders in the same season last year",
        "去年同期订单数",
        "orders 274 to 364 days ago: the 91 days that followed this date 52 weeks ago",
    ),
    Feature(
        "order_count_change_91d",
        "rfm",
        "change",
        "change in orders, last quarter against the year",
        "近一季订单数较全年均值变化",
        "order_count_91d / (order_count_364d / 4) - 1",
    ),
    Feature(
        "value_total", "rfm", "money", "historic value", "历史累计贡献价值", "sum of value_amount, returns taken off"
    ),
    Feature(
        "value_{d}d",
        "rfm",
        "money",
        "value in the last {d} days",
        "近{d}天贡献价值",
        "sum of value_amount in the window",
    ),
    Feature(
        "value_year_ago_91d",
        "rfm",
        "money",
        "value in the same season last year",
        "去年同期贡献价值",
        "sum of value_amount 274 to 364 days ago: the 91 days that followed this date 52 weeks ago",
    ),
    Feature(
        "value_change_91d",
        "rfm",
        "change",
        "change in value, last quarter against the year",
        "近一季贡献价值较全年均值变化",
        "value_91d / (value_364d / 4) - 1",
    ),
    Feature(
        "value_per_year",
        "rfm",
        "money",
        "historic value per year",
        "年均贡献价值",
        "value_total x 365 / tenure_days, tenure taken as at least 91 days",
    ),
    Feature(
        "first_day_value", "rfm", "money", "value of the first order", "首单贡献价值", "value on the first order date"
    ),
    Feature(
        "repeat_value_mean",
        "rfm",
        "money",
        "value per repeat order",
        "复购单均贡献价值",
        "value after the first order date / repeat_order_days",
    ),
    Feature("net_amount_total", "rfm", "money", "total spend", "累计消费金额", "sum of net_amount, returns taken off"),
    Feature(
        "net_amount_{d}d",
        "rfm",
        "money",
        "spend in the last {d} days",
        "近{d}天消费金额",
        "sum of net_amount in the window",
    ),
    Feature("average_order_value", "rfm", "money", "average order value", "客单价", "net_amount_total / order_count"),
    Feature(
        "largest_order_amount", "rfm", "money", "largest order", "最高单笔消费金额", "largest net_amount of one order"
    ),
    Feature("gap_count", "cadence", "count", "repurchase cycles", "复购周期数", "gaps between order dates"),
    Feature("gap_mean_days", "cadence", "days", "average repurchase cycle", "平均复购周期（天）", "mean gap"),
    Feature("gap_median_days", "cadence", "days", "typical repurchase cycle", "复购周期中位数（天）", "median gap"),
    Feature("gap_max_days", "cadence", "days", "longest repurchase cycle", "最长复购周期（天）", "longest gap"),
    Feature("gap_first_days", "cadence", "days", "days from first to second order", "首单至二单天数", "the first gap"),
    Feature("gap_last_days", "cadence", "days", "latest repurchase cycle", "最近一次复购周期（天）", "the last gap"),
    Feature(
        "gap_variation",
        "cadence",
        "ratio",
        "irregularity of the repurchase cycle",
        "复购周期波动系数",
        "standard deviation of the gaps / gap_mean_days",
    ),
    Feature(
        "gap_change",
        "cadence",
        "change",
        "latest repurchase cycle against the typical one",
        "最近一次复购周期较平时变化",
        "gap_last_days / gap_median_days - 1",
    ),
    Feature(
        "overdue_gaps",
        "cadence",
        "gaps",
        "time since the last order, in typical cycles",
        "未下单时长（复购周期倍数）",
        "recency_days / gap_median_days",
    ),
    Feature(
        "overdue_longest_gaps",
        "cadence",
        "gaps",
        "time since the last order, in longest cycles",
        "未下单时长（最长复购周期倍数）",
        "recency_days / gap_max_days",
    ),
    Feature(
        "weekend_share",
        "cadence",
        "share",
        "share of orders at weekends",
        "周末订单占比",
        "orders on a local Saturday or Sunday / order_count",
    ),
    Feature(
        "days_since_visit", "engagement", "days", "days since the last visit", "距上次访问天数", "age of the last visit"
    ),
    Feature(
        "visits_{d}d",
        "engagement",
        "count",
        "visits in the last {d} days",
        "近{d}天访问次数",
        "`visit` events in the window",
    ),
    Feature(
        "visits_change_28d",
        "engagement",
        "change",
        "change in visits, four weeks on four weeks",
        "近28天访问次数环比变化",
        "visits_28d / visits in the 28 days before - 1",
    ),
    Feature(
        "product_views_28d",
        "engagement",
        "count",
        "product views in the last 28 days",
        "近28天浏览商品次数",
        "`product_view` events in the window",
    ),
    Feature(
        "searches_28d",
        "engagement",
        "count",
        "searches in the last 28 days",
        "近28天搜索次数",
        "`search` events in the window",
    ),
    Feature(
        "app_logins_28d",
        "engagement",
        "count",
        "log-ins in the last 28 days",
        "近28天登录次数",
        "`app_login` events in the window",
    ),
    Feature(
        "days_since_cart",
        "engagement",
        "days",
        "days since something was put in the cart",
        "距上次加购天数",
        "age of the last `add_to_cart`",
    ),
    Feature(
        "carts_{d}d",
        "engagement",
        "count",
        "cart additions in the last {d} days",
        "近{d}天加购次数",
        "`add_to_cart` events in the window",
    ),
    Feature(
        "carts_without_order_28d",
        "engagement",
        "count",
        "cart additions without an order in the last 28 days",
        "近28天加购未下单次数",
        "carts_28d if order_count_28d is 0, otherwise 0",
    ),
    Feature(
        "checkouts_28d",
        "engagement",
        "count",
        "checkouts begun in the last 28 days",
        "近28天发起结算次数",
        "`checkout_started` events in the window",
    ),
    Feature(
        "messages_sent_28d",
        "engagement",
        "count",
        "messages sent in the last 28 days",
        "近28天触达次数",
        "`message_sent` events in the window",
    ),
    Feature(
        "messages_per_week_28d", "engagement", "per_week", "messages per week", "每周触达次数", "messages_sent_28d / 4"
    ),
    Feature(
        "open_rate_28d",
        "engagement",
        "share",
        "share of messages opened in the last 28 days",
        "近28天消息打开率",
        "`message_opened` / `message_sent` events in the window",
    ),
    Feature(
        "open_rate_change",
        "engagement",
        "change",
        "change in the share of messages opened",
        "近28天消息打开率较此前变化",
        "open_rate_28d / open rate 29 to 91 days ago - 1",
    ),
    Feature(
        "click_rate_91d",
        "engagement",
        "share",
        "share of messages clicked in the last 91 days",
        "近91天消息点击率",
        "`message_clicked` / `message_sent` events in the window",
    ),
    Feature(
        "days_since_unsubscribe",
        "engagement",
        "days",
        "days since unsubscribing",
        "距上次退订天数",
        "age of the last `unsubscribe`",
    ),
    Feature(
        "discount_share",
        "price",
        "share",
        "share of discounts in purchases",
        "折扣金额占比",
        "discounts / (discounts + net amounts) of all orders",
    ),
    Feature(
        "discount_share_91d",
        "price",
        "share",
        "share of discounts in the last 91 days",
        "近91天折扣金额占比",
        "discounts / (discounts + net amounts) of the window's orders",
    ),
    Feature(
        "discounted_order_share",
        "price",
        "share",
        "share of orders with a discount",
        "折扣订单占比",
        "orders with a discount / order_count",
    ),
    Feature(
        "days_since_full_price",
        "price",
        "days",
        "days since the last full-price order",
        "距上次原价购买天数",
        "age of the last order without a discount",
    ),
    Feature(
        "coupons_received_91d",
        "price",
        "count",
        "coupons received in the last 91 days",
        "近91天领券张数",
        "`coupon_received` events in the window",
    ),
    Feature(
        "coupons_redeemed_91d",
        "price",
        "count",
        "coupons redeemed in the last 91 days",
        "近91天优惠券核销张数",
        "`coupon_redeemed` events in the window",
    ),
    Feature(
        "offers_91d",
        "price",
        "count",
        "recall offers in the last 91 days",
        "近91天发放召回权益次数",
        "offers assigned in the window, control not counted",
    ),
    Feature(
        "offers_redeemed",
        "price",
        "count",
        "recall offers redeemed",
        "召回权益核销次数",
        "offers redeemed before as_of",
    ),
    Feature(
        "offer_redemption_share",
        "price",
        "share",
        "share of recall offers redeemed",
        "召回权益核销率",
        "offers_redeemed / all offers, control not counted",
    ),
    Feature(
        "last_offer_days",
        "price",
        "days",
        "days since the last recall offer",
        "距上次召回权益发放天数",
        "age of the last offer, control not counted",
    ),
    Feature(
        "last_assignment_days",
        "price",
        "days",
        "days since the last assignment",
        "距上次分配天数",
        "whole days passed since the last assignment, sent or control; starts the cooldown, no model reads it",
    ),
    Feature("category_count", "breadth", "count", "categories bought", "购买品类数", "distinct categories of lines"),
    Feature(
        "category_count_91d",
        "breadth",
        "count",
        "categories bought in the last 91 days",
        "近91天购买品类数",
        "distinct categories of the window's lines",
    ),
    Feature(
        "product_count", "breadth", "count", "products bought", "购买商品数", "distinct products of lines, by category"
    ),
    Feature(
        "product_count_91d",
        "breadth",
        "count",
        "products bought in the last 91 days",
        "近91天购买商品数",
        "distinct products of the window's lines, by category",
    ),
    Feature(
        "new_product_share_91d",
        "breadth",
        "share",
        "share of new products in the last 91 days",
        "近91天首次购买商品占比",
        "products first bought in the window / product_count_91d",
    ),
    Feature(
        "repeat_product_share",
        "breadth",
        "share",
        "share of products bought again",
        "回购商品占比",
        "products bought on more than one day / product_count",
    ),
    Feature(
        "new_category_days",
        "breadth",
        "days",
        "days since trying a new category",
        "距上次尝试新品类天数",
        "days since the first purchase in the category tried last",
    ),
    Feature(
        "top_category_share",
        "breadth",
        "share",
        "share of spend in the favourite category",
        "最常买品类消费占比",
        "largest net amount of one category / net amount of all lines",
    ),
    Feature(
        "ended_category_share",
        "breadth",
        "share",
        "share of spend in outgrown categories",
        "已过生命周期品类消费占比",
        "net amount in categories first bought longer ago than their life_days / net amount of all lines",
    ),
    Feature(
        "items_per_order", "breadth", "ratio", "items per order", "单均购买件数", "quantity of all lines / order_count"
    ),
    Feature(
        "item_amount_mean",
        "breadth",
        "money",
        "average price per item",
        "件单价",
        "net amount / quantity of all lines",
    ),
    Feature(
        "is_multi_channel",
        "breadth",
        "flag",
        "orders through several channels",
        "跨渠道购买",
        "whether orders came through more than one channel",
    ),
    Feature("return_count", "care", "count", "returns", "累计退货次数", "returns known"),
    Feature(
        "return_share",
        "care",
        "share",
        "share of spend returned",
        "退货金额占比",
        "net amount returned / net amount ordered",
    ),
    Feature(
        "days_since_return", "care", "days", "days since the last return", "距上次退货天数", "age of the last return"
    ),
    Feature(
        "tickets_91d",
        "care",
        "count",
        "support tickets in the last 91 days",
        "近91天客服咨询次数",
        "`support_ticket` events in the window",
    ),
    Feature(
        "complaints_91d",
        "care",
        "count",
        "complaints in the last 91 days",
        "近91天投诉次数",
        "`complaint` events in the window",
    ),
    Feature(
        "complaint_open_hours",
        "care",
        "hours",
        "hours the oldest open complaint has waited",
        "未解决投诉最长等待时长（小时）",
        "hours since the oldest `complaint` with no `complaint_resolved` after it",
    ),
    Feature(
        "complaint_wait_hours_364d",
        "care",
        "hours",
        "longest wait for a complaint to be resolved in a year",
        "近一年投诉最长处理时长（小时）",
        "longest time from a `complaint` of the last 364 days to the next `complaint_resolved`, or as_of",
    ),
    Feature("joined_days", "journey", "days", "days since joining", "入会天数", "age of joined_at"),
    Feature(
        "join_to_order_days",
        "journey",
        "days",
        "days from joining to the first order",
        "入会至首单天数",
        "joined_days - tenure_days; negative when the first order came before",
    ),
    Feature(
        "journey_points",
        "journey",
        "points",
        "journey score (AIPL)",
        "旅程得分（AIPL）",
        "points per behaviour (journey_points of the programme file), summed over the events of the last 91 days",
    ),
    Feature(
        "journey_points_change_28d",
        "journey",
        "change",
        "change in the journey score, four weeks on four weeks",
        "近28天旅程得分环比变化",
        "journey points of the last 28 days / those of the 28 days before - 1",
    ),
    Feature(
        "points_balance",
        "journey",
        "points",
        "points balance",
        "积分余额",
        "amounts of points_earned - points_redeemed - points_expired events",
    ),
    Feature(
        "points_earned_91d",
        "journey",
        "points",
        "points earned in the last 91 days",
        "近91天获得积分",
        "amount of `points_earned` events in the window",
    ),
    Feature(
        "points_redeemed_91d",
        "journey",
        "points",
        "points redeemed in the last 91 days",
        "近91天兑换积分",
        "amount of `points_redeemed` events in the window",
    ),
    Feature(
        "points_expired_91d",
        "journey",
        "points",
        "points expired in the last 91 days",
        "近91天过期积分",
        "amount of `points_expired` events in the window",
    ),
    Feature(
        "referrals_364d",
        "journey",
        "count",
        "friends brought in a year",
        "近一年老带新人数",
        "`referral` events in the last 364 days",
    ),
    Feature(
        "reviews_364d",
        "journey",
        "count",
        "reviews written in a year",
        "近一年评价次数",
        "`review_written` events in the last 364 days",
    ),
)
