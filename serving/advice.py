"""What each member is advised to be sent, or why nothing, and what they are assigned. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from features.programme import Guardrails, Programme
from serving.assignment import assign
from serving.bundle import Advantage, Effect, Evidence, PolicyTable
from serving.guardrails import Permits, permits
from serving.incentives import named_arms
from serving.policy import best_bets, effective_by_cost, with_upgrade

_ADVICE: Final = {
    "advised_arm": "str",
    "expected_cost": "float64",
    "expected_recall": "float64",
    "expected_recall_low": "float64",
    "expected_recall_high": "float64",
    "evidence": "str",
    "no_offer_reason": "str",
}


def decide(
    members: pd.DataFrame,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: pd.DataFrame | None,
    unsubscribed: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Recommend and assign an incentive, or nothing and why, to every member.

    Parameters
    ----------
    members
        Features, scores and segments, one row per member: ``member_id``, ``tier``, ``state``, ``persona``,
        ``policy_segment``, ``order_count``, ``value_per_year``, ``value_if_active``, ``last_assignment_days`` and
        ``messages_per_week_28d``.
    policy
        Effects per policy segment; ``None`` if they were never estimated.
    programme
        Incentives and guardrails.
    as_of
        Instant of the decision, naive UTC.
    contacts, unsubscribed
        As in :func:`serving.consent.consenting`.

    Returns
    -------
    pandas.DataFrame
        In the index of ``members``: ``member_id``, ``recommended_incentive`` and its ``channel``, ``expected_cost``,
        ``expected_recall`` with ``expected_recall_low`` and ``expected_recall_high`` (the simultaneous bounds, which
        decided), ``evidence``, ``no_offer_reason`` (the first that applies), ``assigned_incentive`` with
        ``assigned_channel`` and ``assigned_cost``, and the other columns of :func:`serving.assignment.assign`.
    """
    allowed = permits(members, policy, programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    advice = advise(members, allowed, policy, programme)
    lapsed = members["policy_segment"].notna().to_numpy()
    assigned = assign(
        members["member_id"],
        advised=advice["advised_arm"],
        may_get=pd.DataFrame(allowed.may_get & lapsed[:, None], index=members.index, columns=list(allowed.arms)),
        last_assignment_days=members["last_assignment_days"],
        as_of=programme.local_date(as_of),
        guardrails=programme.guardrails,
    )
    recommended, channel = named_arms(advice.pop("advised_arm"), programme)
    cost = _cost_of(assigned["assigned_arm"], allowed)
    assigned_incentive, assigned_channel = named_arms(assigned.pop("assigned_arm"), programme)
    return pd.concat(
        [
            members[["member_id"]].assign(recommended_incentive=recommended, channel=channel),
            advice,
            assigned.assign(
                assigned_incentive=assigned_incentive, assigned_channel=assigned_channel, assigned_cost=cost
            ),
        ],
        axis=1,
    )


def advise(members: pd.DataFrame, allowed: Permits, policy: PolicyTable | None, programme: Programme) -> pd.DataFrame:
    """Return, in the index of ``members``, the advised arm and what it is expected to do, or why there is none."""
    segments = members["policy_segment"]
    parts = [_nothing(members.index[segments.isna()], reason="not_lapsed", evidence="none")]
    for segment in sorted(segments.dropna().unique()):
        rows = np.flatnonzero(segments == segment)
        parts.append(_advise_in(segment, members.index[rows], rows, allowed, policy, programme))
    return pd.concat(parts).reindex(index=members.index, columns=list(_ADVICE)).astype(_ADVICE)


def _advise_in(
    segment: str,
    index: pd.Index,
    rows: np.ndarray,
    allowed: Permits,
    policy: PolicyTable | None,
    programme: Programme,
) -> pd.DataFrame:
    if policy is None or segment not in policy.choices:
        return _nothing(index, reason="insufficient_evidence", evidence="none")
    effects = [effect for effect in policy.effects if effect.policy_segment == segment]
    proven = effective_by_cost(effects, programme.arms)
    ranked = proven or best_bets(effects, programme.arms)
    if not ranked:
        reason = policy.choices[segment].reason or "insufficient_evidence"
        return _nothing(index, reason=reason, evidence=policy.evidence)
    columns = [allowed.arms.index(effect.incentive_id) for effect in ranked]
    advantages = [advantage for advantage in policy.advantages if advantage.policy_segment == segment]
    best = _best(ranked, allowed.may_get[rows][:, columns], advantages, programme.guardrails)
    offers = _offers(ranked).iloc[best].set_index(index)
    first = pd.Series(allowed.first_bite(columns)[rows], index=index, dtype="str")
    free = first == ""
    advice: pd.DataFrame = offers.where(free)
    return advice.assign(evidence=policy.evidence if proven else "bet", no_offer_reason=first.mask(free))


def _best(
    ranked: Sequence[Effect], possible: np.ndarray, advantages: Sequence[Advantage], guardrails: Guardrails
) -> np.ndarray:
    """Choose for each member among what is possible; return places in ``ranked``, the first for want of any."""
    kinds, kind = np.unique(possible, axis=0, return_inverse=True)
    chosen = np.zeros(len(kinds), dtype=int)
    for number, one in enumerate(kinds):
        places = np.flatnonzero(one)
        if len(places):
            choice = with_upgrade([ranked[int(place)] for place in places], advantages, guardrails)
            chosen[number] = ranked.index(choice)
    return chosen[kind]


def _offers(effects: Sequence[Effect]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "advised_arm": effect.incentive_id,
            "expected_cost": effect.cost_per_member,
            "expected_recall": effect.recall.value,
            "expected_recall_low": effect.recall.simultaneous_low,
            "expected_recall_high": effect.recall.simultaneous_high,
        }
        for effect in effects
    )


def _nothing(index: pd.Index, *, reason: str, evidence: Evidence) -> pd.DataFrame:
    return pd.DataFrame({"evidence": evidence, "no_offer_reason": reason}, index=index)


def _cost_of(arms: pd.Series, allowed: Permits) -> pd.Series:
    columns = pd.Index(allowed.arms).get_indexer(pd.Index(arms))
    costs = allowed.cost[np.arange(len(arms)), columns] if allowed.arms else np.full(len(arms), np.nan)
    return pd.Series(costs, index=arms.index).where(columns >= 0)
