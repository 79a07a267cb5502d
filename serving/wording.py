"""What a member's feature is called and said to be, in English and Chinese.

A sentence states what was seen and which way the model moved the risk for it: both are facts, so neither can
contradict the other. Features without words of their own are told by their unit and label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import isnan
from typing import Final

from features.catalogue import Unit, catalogue
from features.settings_members import Windows


@dataclass(frozen=True)
class Wording:
    """What to call a feature, and what it is measured in."""

    name: str
    unit: Unit
    label_en: str
    label_zh: str


@cache
def vocabulary(windows: Windows, value_days: int) -> Mapping[str, Wording]:
    """Return the wording of every feature and prior column, in column order."""
    features = (Wording(f.name, f.unit, f.label_en, f.label_zh) for f in catalogue(windows))
    priors = (
        replace(p, label_en=p.label_en.format(d=value_days), label_zh=p.label_zh.format(d=value_days)) for p in _PRIORS
    )
    return {wording.name: wording for wording in (*features, *priors)}


def sentences(wording: Wording, value: float, *, raises: bool, currency: str) -> tuple[str, str]:
    """Say in English and Chinese what was seen and whether it raises or lowers the risk."""
    english, chinese = _missing(wording) if isnan(value) else _seen(wording, value, raises=raises, currency=currency)
    return (
        f"{english}, which {'raises' if raises else 'lowers'} the risk",
        f"{chinese}，流失风险{'上升' if raises else '下降'}",
    )


def _seen(wording: Wording, value: float, *, raises: bool, currency: str) -> tuple[str, str]:
    if wording.name in _SILENCES and value >= 1:
        what_en, what_zh = _SILENCES[wording.name]
        days, unit = _number(value), "day" if value == 1 else "days"
        if raises:
            return f"No {what_en} for {days} {unit}", f"已 {days} 天没有{what_zh}"
        return f"Last {what_en} {days} {unit} ago", f"最近一次{what_zh}在 {days} 天前"
    return _seen_en(wording, value, currency), _seen_zh(wording, value, currency)


def _seen_en(wording: Wording, value: float, currency: str) -> str:
    label = wording.label_en
    if wording.unit == "count" and value == 0:
        return f"No {label}"
    if wording.unit == "count" and value > 1:
        return f"{_number(value)} {label}"
    match wording.unit:
        case "days" | "hours" if not label.startswith(wording.unit):
            amount = f"{_number(value)} {wording.unit.removesuffix('s') if value == 1 else wording.unit}"
        case "money":
            amount = f"{currency} {_money(value)}"
        case "flag":
            amount = "yes" if value else "no"
        case _:
            amount = _amount(wording, value)
    return f"{label[0].upper()}{label[1:]}: {amount}"


def _seen_zh(wording: Wording, value: float, currency: str) -> str:
    label = wording.label_zh
    match wording.unit:
        case "days" if label.endswith("天数") and value >= 0:
            return f"{label.removesuffix('天数')} {_number(value)} 天"
        case "days":
            return f"{label.removesuffix('（天）')}为 {_number(value)} 天"
        case "hours":
            return f"{label.removesuffix('（小时）')}为 {_number(value)} 小时"
        case "money":
            return f"{label}为 {_money(value)} {'元' if currency == 'CNY' else currency}"
        case "flag":
            return f"{label}：{'是' if value else '否'}"
        case "gaps":
            return f"{label.removesuffix('倍数）').replace('（', '相当于')}的 {_number(value)} 倍"
        case "change":
            return label.removesuffix("变化") + _change_zh(wording.name, value)
        case "points":
            return f"{label}为 {_number(value)} 分"
        case "count" | "per_week":
            return _count_zh(label, value)
        case _:
            return f"{label}为 {_amount(wording, value)}"


def _change_zh(name: str, value: float) -> str:
    if value == 0:
        return "持平"
    up, down = _MOVES.get(name, ("增长", "减少"))
    return f"{up if value > 0 else down} {_number(abs(100 * value))}%"


def _count_zh(label: str, value: float) -> str:
    """Say `近28天访问 3 次` rather than `近28天访问次数为 3`, where what is counted has a measure word."""
    for ending, (kept, measure) in _MEASURES.items():
        if label.endswith(ending):
            return f"{label.removesuffix(ending)}{kept} {_number(value)} {measure}"
    return f"{label}为 {_number(value)}"


def _amount(wording: Wording, value: float) -> str:
    match wording.unit:
        case "share":
            return f"{_number(100 * value)}%"
        case "change":
            text = _number(100 * value)
            return f"{'+' if value > 0 and text[0].isdigit() else ''}{text}%"
        case _:
            return _number(value)


def _missing(wording: Wording) -> tuple[str, str]:
    if wording.name in _ABSENCES:
        return _ABSENCES[wording.name]
    if wording.name in _SILENCES:
        what_en, what_zh = _SILENCES[wording.name]
        return f"No {what_en} on record", f"没有{what_zh}记录"
    if wording.name.startswith(("gap_", "overdue_")):
        return "No repeat order on record", "没有复购记录"
    return f"{wording.label_en[0].upper()}{wording.label_en[1:]}: not on record", f"{wording.label_zh}：暂无数据"


@lru_cache
def _number(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}".removesuffix(".0")
    return _nonzero(text, value, "0.1")


@lru_cache
def _money(value: float) -> str:
    return _nonzero(f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}", value, "0.01")


def _nonzero(text: str, value: float, least: str) -> str:
    """Never write as zero what is not."""
    if value == 0 or text.strip("-0."):
        return text
    return f"<{least}" if value > 0 else f">-{least}"


_SILENCES: Final[Mapping[str, tuple[str, str]]] = {
    "recency_days": ("order", "下单"),
    "days_since_visit": ("visit", "访问"),
    "days_since_cart": ("cart addition", "加购"),
    "days_since_full_price": ("full-price order", "原价购买"),
    "days_since_return": ("return", "退货"),
    "last_offer_days": ("recall offer", "收到召回权益"),
    "last_assignment_days": ("assignment", "分配"),
}
"""Features that count the days since something, and that: bad news tells of silence, good news of the event."""

_MOVES: Final[Mapping[str, tuple[str, str]]] = {
    "gap_change": ("拉长", "缩短"),
    "open_rate_change": ("提高", "降低"),
    "journey_points_change_28d": ("提高", "降低"),
}
"""How what changed is said to rise and fall in Chinese, where it does not grow and shrink."""

_MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "次数": ("", "次"),
    "人数": ("", "人"),
    "天数": ("", "天"),
    "张数": ("", "张"),
    "订单数": ("订单", "笔"),
    "品类数": ("品类", "个"),
    "商品数": ("商品", "款"),
}
"""How Chinese labels of counts end, what stays of the ending before the number, and the measure word after it."""

_NO_ORDER: Final = ("No order on record", "没有下单记录")
_ABSENCES: Final[Mapping[str, tuple[str, str]]] = {
    "tenure_days": _NO_ORDER,
    "first_to_last_days": _NO_ORDER,
    "prior_overdue": _NO_ORDER,
    "last_offer_days": ("No recall offer on record", "没有召回权益发放记录"),
    "last_assignment_days": ("No assignment on record", "没有分配记录"),
    "days_since_unsubscribe": ("Never unsubscribed", "从未退订"),
    "new_category_days": ("No category on record", "没有品类购买记录"),
    "complaint_open_hours": ("No complaint is open", "没有未解决的投诉"),
    "complaint_wait_hours_364d": ("No complaint in a year", "近一年没有投诉"),
}
"""What it means that a feature is missing, where the label alone would not say."""

_PRIORS: Final = (
    Wording(
        "prior_p_alive", "share", "chance of not having left for good, by own order rhythm", "按下单规律推算，留存概率"
    ),
    Wording(
        "prior_expected_orders",
        "ratio",
        "orders expected in {d} days, by own order rhythm",
        "按下单规律推算，未来{d}天订单数",
    ),
    Wording(
        "prior_p_orders",
        "share",
        "chance of an order in {d} days, by own order rhythm",
        "按下单规律推算，未来{d}天下单概率",
    ),
    Wording("prior_value_per_order", "money", "value expected of an order", "预期单笔订单贡献价值"),
    Wording(
        "prior_expected_value",
        "money",
        "value expected in {d} days, by own order rhythm",
        "按下单规律推算，未来{d}天贡献价值",
    ),
    Wording(
        "prior_value_if_active",
        "money",
        "value expected in {d} days from a member who orders",
        "若再次下单，未来{d}天预期贡献价值",
    ),
    Wording("prior_overdue", "gaps", "time since the last order, in own usual gaps", "未下单时长（自身复购周期倍数）"),
)
