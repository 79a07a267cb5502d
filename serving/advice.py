"""What each member is advised to be sent, or why nothing, and what they are assigned. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.assignment import assign
from serving.budget import NOTHING
from serving.by_name import Members, numbers, size, texts
from serving.guardrails import Permits, permits
from serving.incentives import named_arms
from serving.member_uplift import NOT_MOVED
from serving.options import NONE, RECOMMENDED, at, options, worth_sending
from serving.policy_table import PolicyTable
from serving.ration import Ration, within

READ: Final = (
    "member_id",
    "tier",
    "state",
    "persona",
    "policy_segment",
    "order_count",
    "value_per_year",
    "value_if_active",
    "average_order_value",
    "last_assignment_days",
    "messages_per_week_28d",
)
"""The columns of members that advice depends on, beside those of :func:`serving.member_uplift.uplift_features`."""

_TOLD: Final = {
    "arm": "advised_arm",
    "recall": "expected_recall",
    "recall_low": "expected_recall_low",
    "recall_high": "expected_recall_high",
}
_NUMBERS: Final = ("expected_cost", "expected_recall", "expected_recall_low", "expected_recall_high")
_TEXTS: Final = frozenset(
    {
        "recommended_incentive",
        "channel",
        "evidence",
        "no_offer_reason",
        "assigned_by",
        "assigned_incentive",
        "assigned_channel",
    }
)


def decide(
    members: pd.DataFrame,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: Members | None,
    unsubscribed: Members | None = None,
    ration: Ration | None = None,
) -> pd.DataFrame:
    """Recommend and assign an incentive, or nothing and why, to every member.

    Parameters
    ----------
    members
        Features, scores and segments, one row per member: the columns that advice depends on, see `READ`.
    policy
        Effects per policy segment; ``None`` if they were never estimated.
    programme
        Incentives and guardrails.
    as_of
        Instant of the decision, naive UTC.
    contacts, unsubscribed
        As in :func:`serving.consent.consenting`.
    ration
        What set-up costs and a budget leave; ``None`` where they take nothing. Who gets nothing for want of budget is
        assigned nothing by exploration either.

    Returns
    -------
    pandas.DataFrame
        In the index of ``members``: ``member_id``, ``recommended_incentive`` and its ``channel``, ``expected_cost``,
        ``expected_recall`` with ``expected_recall_low`` and ``expected_recall_high`` (the simultaneous bounds, which
        decided), ``evidence``, ``no_offer_reason`` (the first that applies), ``assigned_incentive`` with
        ``assigned_channel`` and ``assigned_cost``, and the other columns of :func:`serving.assignment.assign`.
    """
    columns = decided_columns(
        members, policy, programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed, ration=ration
    )
    typed = {name: pd.array(values, dtype="str") if name in _TEXTS else values for name, values in columns.items()}
    return pd.DataFrame({"member_id": members["member_id"], **typed}, index=members.index)


def decided_columns(
    members: Members,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: Members | None,
    unsubscribed: Members | None,
    ration: Ration | None,
) -> dict[str, np.ndarray]:
    """Return what :func:`decide` does, without the ``member_id`` and as arrays; texts are objects."""
    allowed = permits(
        members,
        policy,
        programme,
        as_of=as_of,
        contacts=contacts,
        unsubscribed=unsubscribed,
        closed=ration.closed if ration else (),
    )
    advice = advise(members, allowed, policy, programme, ration)
    takes_part = ~pd.isna(texts(members, "policy_segment")) & (advice["no_offer_reason"] != "budget")
    assigned = assign(
        members["member_id"],
        arms=allowed.arms,
        advised=advice["advised_arm"],
        may_get=allowed.may_get & takes_part[:, None],
        last_assignment_days=numbers(members, "last_assignment_days"),
        as_of=programme.local_date(as_of),
        guardrails=programme.guardrails,
    )
    recommended, channel = named_arms(advice.pop("advised_arm"), programme)
    arms = assigned.pop("assigned_arm")
    assigned_incentive, assigned_channel = named_arms(arms, programme)
    return {
        "recommended_incentive": recommended,
        "channel": channel,
        **advice,
        **assigned,
        "assigned_incentive": assigned_incentive,
        "assigned_channel": assigned_channel,
        "assigned_cost": _cost_of(arms, allowed),
    }


def advise(
    members: Members, allowed: Permits, policy: PolicyTable | None, programme: Programme, ration: Ration | None
) -> dict[str, np.ndarray]:
    """Return, per member, the advised arm and what it is expected to do, or why there is none."""
    segments = texts(members, "policy_segment")
    reason, evidence = _grounds(segments, allowed, policy, programme)
    if policy is None:
        told = {"advised_arm": np.full(size(members), None), **dict.fromkeys(_NUMBERS, np.full(size(members), np.nan))}
    else:
        given = segments, allowed.may_get, allowed.cost
        offered = options(*given, policy, programme, not_moved=allowed.not_moved)
        reason[(reason == "") & (offered.place[:, RECOMMENDED] == NONE)] = NOT_MOVED
        chosen = np.full(size(members), RECOMMENDED)
        if ration is not None and ration.limit is not None:
            chosen, missed = within(offered, members, ration, ration.limit, programme.guardrails.seed)
            reason = np.where(missed == "", reason, missed)
        cells = np.arange(size(members)), chosen
        place = np.where(chosen == NOTHING, NONE, offered.place[cells])
        told = {
            **{ours: at(offered.told[theirs], place) for theirs, ours in _TOLD.items()},
            "expected_cost": np.where(place == NONE, np.nan, offered.cost[cells]),
        }
    return {**told, "evidence": evidence, "no_offer_reason": np.where(reason == "", np.array(None), reason)}


def _grounds(
    segments: np.ndarray, allowed: Permits, policy: PolicyTable | None, programme: Programme
) -> tuple[np.ndarray, np.ndarray]:
    """Tell for every member why nothing is advised, '' where something is, and what that rests on."""
    reason = np.where(pd.isna(segments), "not_lapsed", "insufficient_evidence").astype(object)
    evidence = np.full(len(segments), "none", dtype=object)
    codes, names = pd.factorize(segments)
    for number, segment in enumerate(names):
        if policy is None or segment not in policy.choices:
            continue
        rows = np.flatnonzero(codes == number)
        ranked = worth_sending(segment, policy, programme)
        evidence[rows] = "bet" if ranked and ranked[0].verdict == "bet" else policy.evidence
        if ranked:
            reason[rows] = allowed.first_bite(rows, [allowed.arms.index(effect.incentive_id) for effect in ranked])
        else:
            reason[rows] = policy.choices[segment].reason or "insufficient_evidence"
    return reason, evidence


def _cost_of(arms: np.ndarray, allowed: Permits) -> np.ndarray:
    costs = np.full(len(arms), np.nan)
    for column, arm in enumerate(allowed.arms):
        costs = np.where(arms == arm, allowed.cost[:, column], costs)
    return costs
