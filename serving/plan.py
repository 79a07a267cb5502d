"""What a budget would buy: whom to send which proven incentive, and what comes of it. Publishes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Programme
from serving.assignment import in_holdout
from serving.budget import NOTHING, Steps, frontier_steps
from serving.bundle import Effect, PolicyTable
from serving.consent import consenting
from serving.guardrails import annual_value
from serving.incentives import eligible_incentives
from serving.policy import effective_by_cost

CURVE_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SMALLEST_COST: Final = 1e-6
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Outlook:
    """What sending so much is expected to bring; the interval is of the effects' errors, at 95 %."""

    members: int
    cost: float
    recalls: float
    net_value: float
    net_value_low: float
    net_value_high: float


@dataclass(frozen=True)
class Plan:
    """Whom to send what within a budget.

    Attributes
    ----------
    offers
        ``member_id``, ``policy_segment``, ``incentive_id`` and ``expected_cost`` of those who would get something.
    outlook
        What comes of it.
    multiplier
        Net value that one more unit of budget would bring.
    full_cost
        What it would cost to send everybody what is worth most.
    curve
        Budgets up to that, and what each would bring.
    """

    offers: pd.DataFrame
    outlook: Outlook
    multiplier: float
    full_cost: float
    curve: tuple[tuple[float, Outlook], ...]


@dataclass(frozen=True)
class _Candidates:
    """Members and what each may be sent, as arrays: one row per member, one column per incentive."""

    members: pd.DataFrame
    incentives: tuple[str, ...]
    cost: np.ndarray
    recall: np.ndarray
    margin: np.ndarray
    error: np.ndarray

    @property
    def net(self) -> np.ndarray:
        return np.asarray(self.margin - self.cost)


def plan_budget(
    members: pd.DataFrame,
    policy: PolicyTable,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: pd.DataFrame | None,
    unsubscribed: pd.DataFrame | None = None,
    budget: float,
) -> Plan:
    """Choose within a budget whom to send which effective incentive, so that net value is largest.

    Of a segment's effect on margin each member gets a share as large as their own value if active: those recalled spend
    like themselves. Cost and recall are the segment's. Guardrails hold as in decisions, and the holdout gets nothing.

    Parameters
    ----------
    members, as_of, contacts, unsubscribed
        As in :func:`serving.policy.decide`.
    policy
        Effects per policy segment.
    programme
        Incentives and guardrails.
    budget
        What offers may be expected to cost, set-up left out.
    """
    candidates = _candidates(members, policy, programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    steps = frontier_steps(cost=candidates.cost, value=candidates.net)
    taken = steps.within(budget)
    chosen = steps.choices(taken, len(members))
    full_cost = float(steps.cost.sum())
    return Plan(
        offers=_offers(candidates, chosen),
        outlook=_outlook(candidates, chosen),
        multiplier=steps.multiplier(taken),
        full_cost=full_cost,
        curve=tuple((share * full_cost, _at(share * full_cost, steps, candidates)) for share in CURVE_SHARES),
    )


def _candidates(
    members: pd.DataFrame,
    policy: PolicyTable,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: pd.DataFrame | None,
    unsubscribed: pd.DataFrame | None,
) -> _Candidates:
    rules, ids = programme.guardrails, tuple(arm.id for arm in programme.arms)
    consented = consenting(members["member_id"], programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    today = programme.local_date(as_of)
    held_out = in_holdout(members["member_id"], as_of=today, share=rules.holdout_share, seed=rules.seed)
    cooling = (members["last_assignment_days"] < rules.cooldown_days).to_numpy()
    fed_up = (members["messages_per_week_28d"] >= rules.messages_per_week).to_numpy()
    free = ~(held_out | cooling | fed_up)
    eligible = eligible_incentives(members, programme.arms)
    allowed = eligible[list(ids)].to_numpy(bool) & consented[list(ids)].to_numpy(bool) & free[:, None]
    cost, recall, margin, error = np.full((4, *allowed.shape), np.nan)
    likeness = _likeness(members, np.asarray(allowed.any(axis=1)))
    for segment in policy.choices:
        rows = np.flatnonzero(members["policy_segment"] == segment)
        for effect in effective_by_cost(_of(policy.effects, segment), programme.arms):
            column = ids.index(effect.incentive_id)
            cost[rows, column] = max(effect.cost_per_member, SMALLEST_COST)
            recall[rows, column] = effect.recall.value
            margin[rows, column] = effect.margin.value * likeness[rows]
            error[rows, column] = effect.net.se * likeness[rows]
    capped = cost > rules.cost_share * annual_value(members, programme).to_numpy()[:, None]
    margin[~allowed | capped] = np.nan
    return _Candidates(members, ids, cost, recall, margin, error)


def _of(effects: Sequence[Effect], segment: str) -> list[Effect]:
    return [effect for effect in effects if effect.policy_segment == segment]


def _likeness(members: pd.DataFrame, may_get_any: np.ndarray) -> np.ndarray:
    """Return each member's value if active over that of all in the segment who may get anything."""
    value = members["value_if_active"].where(may_get_any)
    typical = value.groupby(members["policy_segment"]).transform("mean")
    return np.asarray((value / typical).fillna(1.0), dtype=np.float64)


def _at(budget: float, steps: Steps, candidates: _Candidates) -> Outlook:
    return _outlook(candidates, steps.choices(steps.within(budget), len(candidates.members)))


def _outlook(candidates: _Candidates, chosen: np.ndarray) -> Outlook:
    """Add up what is chosen.

    One effect's error moves all who get that incentive together. Effects of a segment share its control group, so their
    errors are added as if they were one; segments are independent.
    """
    rows = np.flatnonzero(chosen != NOTHING)
    cells = rows, chosen[rows]
    net = float(candidates.net[cells].sum())
    segments = candidates.members["policy_segment"].to_numpy()[rows]
    errors = pd.Series(candidates.error[cells]).groupby(segments).sum()
    reach = float(norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((errors**2).sum()))
    return Outlook(
        members=len(rows),
        cost=float(candidates.cost[cells].sum()),
        recalls=float(candidates.recall[cells].sum()),
        net_value=net,
        net_value_low=net - reach,
        net_value_high=net + reach,
    )


def _offers(candidates: _Candidates, chosen: np.ndarray) -> pd.DataFrame:
    rows = np.flatnonzero(chosen != NOTHING)
    offers = candidates.members.iloc[rows][["member_id", "policy_segment"]].reset_index(drop=True)
    incentives = np.array(candidates.incentives, dtype=object)
    return offers.assign(
        incentive_id=pd.array(incentives[chosen[rows]], dtype="str"),
        expected_cost=candidates.cost[rows, chosen[rows]],
    )
