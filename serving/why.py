"""Why something is recommended, or nothing, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Final

from serving.contracts import Considered, SegmentItem
from serving.policy_table import Effect, PolicyTable
from serving.records import DecisionRecord, NoOfferReason

_WHY_NOT: Final[Mapping[NoOfferReason, tuple[str, str]]] = {
    "not_lapsed": ("The member is active: there is nobody to win back", "会员仍活跃，无需召回"),
    "no_effect": ("No incentive was shown to bring such members back", "没有权益被证明能召回此类会员"),
    "not_worth_it": ("What brings such members back costs more than it earns", "能召回此类会员的权益得不偿失"),
    "insufficient_evidence": ("Too little is known of what works for such members: test it", "证据不足，请先做测试"),
    "observational_only": ("Past offers were targeted, so they show no effect", "历史发放并非随机，无法证明效果"),
    "ineligible": ("The member may not get what works for such members", "会员不符合有效权益的发放条件"),
    "consent": ("The member has not agreed to be contacted there", "会员未同意通过该渠道联系"),
    "cooldown": ("The member was assigned an offer too lately", "会员近期已分配过权益，处于冷却期"),
    "message_cap": ("The member gets too many messages already", "会员近期收到的消息过多"),
    "cost_cap": ("The offer would cost too large a share of the member's value", "权益成本超出会员价值的允许比例"),
    "not_moved": (
        "What works for such members is expected to cost more than it brings with this one",
        "对此类会员有效的权益，预计在该会员身上得不偿失",
    ),
    "setup_cost": (
        "What works for such members would not earn back its set-up",
        "对此类会员有效的权益无法收回其启动成本",
    ),
    "budget": ("The budget goes further elsewhere", "预算用在其他会员身上更有价值"),
    "paused": ("Recommendations are paused", "推荐已暂停"),
}


def why(decision: DecisionRecord) -> tuple[str, str]:
    """Say in English and Chinese why a decision recommends what it does."""
    if decision.assigned_by == "exploration":
        return "Drawn by chance, to learn what works for such members", "随机分配，用于了解何种权益对此类会员有效"
    if decision.no_offer_reason is not None:
        return _WHY_NOT[decision.no_offer_reason]
    if decision.assigned_by == "holdout":
        return (
            "The cheapest shown to bring such members back; kept from this one to measure the programme",
            "这是被证明有效的最低成本权益；该会员属于对照组，不发放",
        )
    return "The cheapest incentive shown to bring such members back", "这是被证明能召回此类会员的最低成本权益"


def considered(policy_segment: str | None, policy_table: PolicyTable | None) -> list[Considered]:
    """Return what each incentive was shown to do in a policy segment, cheapest first; those never tried there last."""
    effects = policy_table.effects if policy_table else ()
    own = [effect for effect in effects if effect.policy_segment == policy_segment]
    return [
        Considered(
            incentive_id=effect.incentive_id,
            verdict=effect.verdict,
            why=effect.why,
            cost_per_member=_known(effect.cost_per_member),
            recall=_known(effect.recall.value),
            recall_low=_known(effect.recall.simultaneous_low),
            recall_high=_known(effect.recall.simultaneous_high),
        )
        for effect in sorted(own, key=_cheapest_first)
    ]


def _cheapest_first(effect: Effect) -> tuple[bool, float, str]:
    cost = _known(effect.cost_per_member)
    return cost is None, cost or 0.0, effect.incentive_id


def _known(number: float) -> float | None:
    return None if isnan(number) else number


def policy_segments(policy_table: PolicyTable | None, *, paused: bool) -> list[SegmentItem]:
    """Return the choice of every policy segment as it is served."""
    choices = policy_table.choices if policy_table else {}
    return [
        SegmentItem(
            policy_segment=segment,
            incentive_id=None if paused else choice.incentive_id,
            no_offer_reason="paused" if paused else choice.reason,
            needed_sample=choice.needed_sample,
            considered=considered(segment, policy_table),
        )
        for segment, choice in sorted(choices.items())
    ]
