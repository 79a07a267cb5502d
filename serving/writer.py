"""How pages for people write: every word in English and Chinese, amounts with their units, names for codes."""

from __future__ import annotations

from calendar import month_name
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from features.programme import Programme
from features.settings import Language
from serving.wording import vocabulary

Bilingual = tuple[str, str]
"""English and Chinese."""

NOTHING: Final = "–"
"""Stands where there is no figure."""

_TIERS: Final[Mapping[str, Bilingual]] = {
    "high": ("High value", "高价值"),
    "potential": ("Potential", "潜力"),
    "mid": ("Mid value", "中价值"),
    "low": ("Low value", "低价值"),
}
_STATES: Final[Mapping[str, Bilingual]] = {
    "new": ("New", "新会员"),
    "active": ("Active", "活跃"),
    "at_risk": ("At risk", "流失预警"),
    "lapsed_short": ("Lapsed ≤ {short} days", "流失 {short} 天内"),
    "lapsed_mid": ("Lapsed {short}–{mid} days", "流失 {short}–{mid} 天"),
    "lapsed_long": ("Lapsed > {mid} days", "流失 {mid} 天以上"),
    "unknown": ("Never ordered", "从未下单"),
}
_RHYTHMS: Final[Mapping[str, Bilingual]] = {
    "recent": ("at risk or lapsed ≤ {short} days", "预警或流失 {short} 天内"),
    "mid": ("lapsed {short}–{mid} days", "流失 {short}–{mid} 天"),
    "long": ("lapsed > {mid} days", "流失 {mid} 天以上"),
}
_CAUSES: Final[Mapping[str, Bilingual]] = {
    "price": ("Price", "价格"),
    "service": ("Service", "服务"),
    "mismatch": ("Mismatch", "商品不匹配"),
    "fatigue": ("Message fatigue", "触达疲劳"),
    "cadence": ("Fading rhythm", "节奏放缓"),
    "none": ("Nothing stands out", "无突出原因"),
}
_VERDICTS: Final[Mapping[str, Bilingual]] = {
    "chosen": ("Recommended", "推荐"),
    "effective": ("Works too", "同样有效"),
    "bet": ("A bet, not proven", "押注，尚未证明"),
    "no_effect": ("No effect", "无效"),
    "not_worth_it": ("Not worth it", "得不偿失"),
    "insufficient_evidence": ("Not known yet", "证据不足"),
    "observational_only": ("Cannot be known", "非随机，无法判断"),
    "not_offered": ("Not offered here", "不适用"),
}
_RESULTS: Final[Mapping[str, Bilingual]] = {
    "pays": ("Pays", "盈利"),
    "loses": ("Loses money", "亏损"),
    "open": ("Not settled yet", "尚无定论"),
    "too_few": ("Too few to tell", "样本太少"),
}
_EVIDENCE: Final[Mapping[str, Bilingual]] = {
    "randomised": ("randomised offers", "随机发放记录"),
    "propensity": ("offers with logged probabilities", "带发放概率的记录"),
    "observational": ("targeted offers, which cannot tell", "定向发放记录（不能证明效果）"),
    "none": ("no offers on record", "没有发放记录"),
}
_NO_OFFER: Final[Mapping[str, tuple[Bilingual, Bilingual]]] = {
    "not_lapsed": (
        ("Nothing to win back", "无需召回"),
        ("orders in the member's own rhythm", "仍按自己的节奏下单"),
    ),
    "no_effect": (
        ("No effect", "无效"),
        ("offers enough to tell, and none recalls this kind of member", "证据充分：现有权益都召不回这类会员"),
    ),
    "not_worth_it": (
        ("Not worth it", "得不偿失"),
        ("something recalls this kind of member, but costs more than it brings", "能召回，但成本高于收益"),
    ),
    "insufficient_evidence": (
        ("Not known yet", "证据不足"),
        ("too few randomised offers to this kind of member; a test would tell", "随机发放太少，需要先做测试"),
    ),
    "observational_only": (
        ("Cannot be known", "无法判断"),
        (
            "past offers were targeted, not randomised, so what they did cannot be known",
            "以往为定向发放而非随机，效果无从得知",
        ),
    ),
    "ineligible": (
        ("Not eligible", "不符合条件"),
        ("nothing that works is meant for this member", "有效的权益都不适用于该会员"),
    ),
    "consent": (
        ("No consent", "未同意触达"),
        ("the member has not agreed to be contacted on the channel", "会员未同意通过该渠道接收消息"),
    ),
    "cooldown": (
        ("Cooling down", "冷却期内"),
        ("got an offer lately; its response window must close first", "近期已分配权益，须等响应期结束"),
    ),
    "message_cap": (
        ("Enough messages", "触达已满"),
        ("already gets as many messages a week as the programme allows", "每周消息数已达上限"),
    ),
    "cost_cap": (
        ("Too dear", "成本超限"),
        ("the offer would cost too large a share of what the member is worth", "权益成本占会员价值的比例过高"),
    ),
    "not_moved": (
        ("Would lose money", "预计亏损"),
        (
            "what recalls this kind of member is expected to cost more than it brings with this one",
            "对此类会员有效的权益，预计在该会员身上得不偿失",
        ),
    ),
    "setup_cost": (
        ("Set-up too dear", "启动成本过高"),
        ("too few members would get it to earn back its set-up", "可发放会员太少，无法收回启动成本"),
    ),
    "budget": (("Budget spent", "预算用尽"), ("others bring more per unit of budget", "同样预算用在其他会员更划算")),
    "paused": (("Paused", "已暂停"), ("the incentive was paused", "该权益已暂停发放")),
}


@dataclass(frozen=True)
class Writer:
    """Writes for people in one language about one programme. Called with both texts, it returns the one to show."""

    language: Language
    programme: Programme

    def __call__(self, english: str, chinese: str) -> str:
        """Return the text in the writer's language."""
        return english if self.language == "en" else chinese

    def count(self, number: float | None, *, digits: int = 0) -> str:
        """Write a number."""
        return NOTHING if number is None or number != number else _minus(f"{number:,.{digits}f}")

    def money(self, amount: float | None, *, digits: int = 0) -> str:
        """Write an amount in the programme's currency."""
        if amount is None or amount != amount:
            return NOTHING
        text = self.count(amount, digits=digits)
        if self.language == "en":
            return f"{self.programme.currency} {text}"
        return f"{text} {'元' if self.programme.currency == 'CNY' else self.programme.currency}"

    def percent(self, share: float | None, *, digits: int = 0) -> str:
        """Write a share as per cent; what is more than nothing is never written as 0."""
        if share is None or share != share:
            return NOTHING
        least = 10.0**-digits
        return f"< {least:g} %" if 0 < 100 * share < least / 2 else f"{self.count(100 * share, digits=digits)} %"

    def points(self, share: float) -> str:
        """Write a difference of shares as percentage points, with its sign."""
        return _minus(f"{100 * share:+.1f}")

    def change(self, difference: float) -> str:
        """Write how far a number has moved, with its sign."""
        return _minus(f"{difference:+,.0f}") if round(difference) else "±0"

    def day(self, when: date) -> str:
        """Write a date."""
        return self(f"{when.day} {month_name[when.month]} {when.year}", f"{when.year}年{when.month}月{when.day}日")

    def tier(self, code: str) -> str:
        """Name a value tier."""
        return self(*_TIERS[code])

    def state(self, code: str) -> str:
        """Name a lifecycle state."""
        return self._days(_STATES[code])

    def segment(self, code: str) -> str:
        """Name a policy segment."""
        tier, rhythm = code.split("__")
        return f"{self.tier(tier)} · {self._days(_RHYTHMS[rhythm])}"

    def cause(self, code: str) -> str:
        """Name a cause of leaving."""
        return self(*_CAUSES[code])

    def verdict(self, code: str) -> str:
        """Name what an incentive was shown to do."""
        return self(*_VERDICTS[code])

    def result(self, code: str) -> str:
        """Name what a campaign's measurement says."""
        return self(*_RESULTS[code])

    def evidence(self, code: str) -> str:
        """Name what the offer log is good for."""
        return self(*_EVIDENCE[code])

    def no_offer(self, code: str) -> str:
        """Name a reason to send nothing."""
        return self(*_NO_OFFER[code][0])

    def no_offer_meaning(self, code: str) -> str:
        """Say what a reason to send nothing means."""
        return self(*_NO_OFFER[code][1])

    def feature(self, name: str) -> str:
        """Name a feature by its label; one that is none of ours keeps its name."""
        known = vocabulary(self.programme.windows, self.programme.horizons.value_days).get(name)
        return self(known.label_en, known.label_zh) if known else name

    def incentive(self, name: str) -> str:
        """Name an incentive or an arm by its id, an arm with its channel; what the programme no longer has keeps it."""
        incentives, arms = self.programme.incentives, self.programme.arms
        own = {arm.id: f"{self(arm.name_en, arm.name_zh)} ({arm.channel})" for arm in arms}
        own[self.programme.guardrails.control_id] = self("control, nothing sent", "对照，未发放")
        own |= {incentive.id: self(incentive.name_en, incentive.name_zh) for incentive in incentives}
        return own.get(name, name)

    def _days(self, texts: Bilingual) -> str:
        states = self.programme.states
        return self(*texts).format(short=states.short_days, mid=states.mid_days)


def _minus(text: str) -> str:
    return text.replace("-", "−")
