"""What may be sent to whom, and which guardrail keeps a member from getting anything. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.by_name import Members, numbers, size, texts
from serving.consent import consenting
from serving.incentives import eligible_incentives, expected_cost
from serving.member_uplift import not_moved
from serving.policy_table import PolicyTable


@dataclass(frozen=True)
class Permits:
    """Which arms each member may get: one row per member, one column per arm.

    Attributes
    ----------
    arms
        Ids, in the order of the programme file.
    cost
        Expected cost per member, in the programme's currency.
    eligible, consented, affordable
        By the arm's own rules, by its channel, and by what the member is worth.
    paused
        Found to lose money, and paused.
    closed
        Per arm: its set-up would not be earned back.
    cooling, fed_up
        Per member: assigned something lately, or sent too many messages.
    not_moved
        Expected to lose money with this member. No guardrail: exploration may try it.
    """

    arms: tuple[str, ...]
    cost: np.ndarray
    eligible: np.ndarray
    consented: np.ndarray
    affordable: np.ndarray
    paused: np.ndarray
    closed: np.ndarray
    cooling: np.ndarray
    fed_up: np.ndarray
    not_moved: np.ndarray

    @property
    def may_get(self) -> np.ndarray:
        """Whether no guardrail stands between a member and an arm."""
        free = ~(self.cooling | self.fed_up)
        going = ~self.paused & ~self.closed
        return np.asarray(self.eligible & self.consented & self.affordable & going & free[:, None])

    def first_bite(self, members: np.ndarray, arms: Sequence[int]) -> np.ndarray:
        """Name for each of these members the first guardrail that leaves none of these arms; '' where one is left."""
        columns = np.array(arms)
        cells = members[:, None], columns
        going = ~self.paused[cells]
        earning = going & ~self.closed[columns]
        eligible = earning & self.eligible[cells]
        consented = eligible & self.consented[cells]
        affordable = consented & self.affordable[cells]
        bites = {
            "paused": ~going.any(axis=1),
            "setup_cost": ~earning.any(axis=1),
            "ineligible": ~eligible.any(axis=1),
            "consent": ~consented.any(axis=1),
            "cooldown": self.cooling[members],
            "message_cap": self.fed_up[members],
            "cost_cap": ~affordable.any(axis=1),
        }
        return np.select(list(bites.values()), list(bites), "")


def permits(
    members: Members,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: Members | None,
    unsubscribed: Members | None = None,
    closed: Collection[str] = (),
) -> Permits:
    """Apply every guardrail to every member and arm, and close incentives; see :func:`serving.advice.decide`."""
    rules, arms = programme.guardrails, programme.arms
    consented = consenting(members["member_id"], programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    cost = arm_costs(members, policy, programme)
    cap = rules.cost_share * annual_value(members, programme)
    return Permits(
        arms=tuple(arm.id for arm in arms),
        cost=cost,
        eligible=eligible_incentives(members, arms),
        consented=consented,
        affordable=np.asarray(cost <= cap[:, None]),
        paused=_paused(texts(members, "policy_segment"), policy, programme),
        closed=closed_arms(closed, programme),
        cooling=numbers(members, "last_assignment_days") < rules.cooldown_days,
        fed_up=numbers(members, "messages_per_week_28d") >= rules.messages_per_week,
        not_moved=not_moved(members, policy, programme),
    )


def arm_costs(members: Members, policy: PolicyTable | None, programme: Programme) -> np.ndarray:
    """Return the expected cost of every arm for every member.

    It is what the arm cost per member of the policy segment. Where a redemption costs a share of the order, it is the
    cost model's for the member's own average order, redeemed as often as in the segment. Where it is not known how many
    redeem, all are taken to; where a member's average order is not known, the cost is not either (NaN).
    """
    codes, names = pd.factorize(texts(members, "policy_segment"))
    known = {(one.policy_segment, one.incentive_id): one for one in policy.effects} if policy else {}
    costs = np.empty((size(members), len(programme.arms)))
    for column, arm in enumerate(programme.arms):
        effects = [known.get((name, arm.id)) for name in names]
        if arm.face_share > 0:
            rates = np.nan_to_num([one.redemption_rate if one else np.nan for one in effects] + [1.0], nan=1.0)
            basket = numbers(members, "average_order_value").clip(min=0)
            costs[:, column] = expected_cost(arm, redemption_rate=rates[codes], basket=basket)
        else:
            worst = expected_cost(arm, redemption_rate=1.0, basket=0.0)
            means = [one.cost_per_member if one else np.nan for one in effects] + [worst]
            costs[:, column] = np.nan_to_num(means, nan=worst)[codes]
    return costs


def closed_arms(incentives: Collection[str], programme: Programme) -> np.ndarray:
    """Tell of every arm whether it is one of these incentives."""
    return np.array([one.id in incentives for one in programme.incentives for _ in one.arms], dtype=bool)


def _paused(segments: np.ndarray, policy: PolicyTable | None, programme: Programme) -> np.ndarray:
    """Tell for every member and arm whether the policy pauses it in the member's policy segment."""
    paused = np.zeros((len(segments), len(programme.arms)), dtype=bool)
    ids = [arm.id for arm in programme.arms]
    for one in policy.paused if policy else ():
        if one.incentive_id in ids:
            rows = True if one.policy_segment is None else segments == one.policy_segment
            paused[:, ids.index(one.incentive_id)] |= rows
    return paused


def annual_value(members: Members, programme: Programme) -> np.ndarray:
    """Historic value per year, and twelve months of the value if active."""
    historic, if_active = (numbers(members, name) for name in ("value_per_year", "value_if_active"))
    return np.asarray(np.nan_to_num(historic) + if_active * 365 / programme.horizons.value_days)
