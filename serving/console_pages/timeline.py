"""What happened to a member lately: orders and events as the weekly job saw them, the newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from typing import Final

import pandas as pd

from features.programme import Programme
from serving.published_history import PublishedHistory
from serving.writer import Bilingual, Writer

LATEST: Final = 30

_EVENTS: Final[Mapping[str, Bilingual]] = {
    "visit": ("Visit", "访问"),
    "product_view": ("Looked at a product", "浏览商品"),
    "search": ("Searched", "搜索"),
    "add_to_cart": ("Put something in the cart", "加入购物车"),
    "checkout_started": ("Began to check out", "开始结算"),
    "app_login": ("Logged in", "登录"),
    "message_sent": ("Was sent a message", "收到消息"),
    "message_opened": ("Opened a message", "打开消息"),
    "message_clicked": ("Clicked in a message", "点击消息"),
    "unsubscribe": ("Asked for no more messages", "退订"),
    "complaint": ("Complained", "投诉"),
    "complaint_resolved": ("Complaint resolved", "投诉已解决"),
    "support_ticket": ("Asked the support", "联系客服"),
    "coupon_received": ("Received a coupon", "收到优惠券"),
    "coupon_redeemed": ("Redeemed a coupon", "核销优惠券"),
    "points_earned": ("Earned points", "获得积分"),
    "points_redeemed": ("Redeemed points", "兑换积分"),
    "points_expired": ("Points expired", "积分过期"),
    "review_written": ("Wrote a review", "发表评价"),
    "referral": ("Brought a friend", "推荐好友"),
    "member_centre_click": ("Clicked in the member centre", "点击会员中心"),
}


@dataclass(frozen=True)
class Happening:
    """One thing that happened, in words; ``amount`` is in the programme's currency, ``count`` how often that day."""

    day: date
    what: str
    amount: float | None
    count: int


def timeline(member_id: str, programme: Programme, write: Writer, *, latest: int = LATEST) -> list[Happening]:
    """Return a member's latest happenings, the same ones of a day together; none before history was published."""
    frames = PublishedHistory(programme).frames([member_id])
    if frames is None:
        return []
    times: Counter[tuple[date, str]] = Counter()
    amounts: dict[tuple[date, str], float] = {}
    for day, what, amount in _rows(frames, programme, write):
        times[day, what] += 1
        if amount is not None:
            amounts[day, what] = amounts.get((day, what), 0.0) + amount
    newest = sorted(times, key=lambda one: (-one[0].toordinal(), one[1]))[:latest]
    return [Happening(*one, amounts.get(one), times[one]) for one in newest]


def _rows(
    frames: Mapping[str, pd.DataFrame], programme: Programme, write: Writer
) -> Iterator[tuple[date, str, float | None]]:
    def day(instant: pd.Timestamp) -> date:
        return programme.local_date(instant.tz_convert(UTC).tz_localize(None).to_pydatetime())

    if "orders" in frames:
        orders = frames["orders"]
        for when, amount in zip(orders["ordered_at"], orders["net_amount"], strict=True):
            yield day(when), write("Return", "退货") if amount < 0 else write("Order", "下单"), float(amount)
    if "events" in frames:
        for when, event in zip(frames["events"]["occurred_at"], frames["events"]["event"], strict=True):
            yield day(when), write(*_EVENTS.get(event, (event, event))), None
    if "offers" in frames:
        for when, incentive in zip(frames["offers"]["assigned_at"], frames["offers"]["incentive_id"], strict=True):
            yield day(when), f"{write('Offer', '权益')}: {write.incentive(incentive)}", None
