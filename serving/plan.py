"""What a budget would buy: whom to send which incentive, and what comes of it. Publishes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.advice import advise
from serving.assignment import in_holdout
from serving.budget import NOTHING, Steps, frontier_steps
from serving.bundle import PolicyTable
from serving.guardrails import permits
from serving.incentives import named_arms
from serving.outlook import Outlook, expectations, outlook, weights

CURVE_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SMALLEST_COST: Final = 1e-6


@dataclass(frozen=True)
class Plan:
    """Whom to send what within a budget.

    Attributes
    ----------
    offers
        ``member_id``, ``policy_segment``, ``incentive_id``, ``channel``, ``evidence`` (`bet` where it is one) and
        ``expected_cost`` of those who would get something.
    outlook
        What comes of it.
    multiplier
        Net value that one more unit of budget would bring.
    full_cost
        What it would cost to send everybody what is worth most.
    curve
        Budgets up to that, and what each would bring.
    sent
        What each of these budgets would send: ``policy_segment``, ``arm``, ``members`` and ``cost`` without set-up.
    not_earned_back
        Incentives left out because sending them brings less than their set-up costs.
    """

    offers: pd.DataFrame
    outlook: Outlook
    multiplier: float
    full_cost: float
    curve: tuple[tuple[float, Outlook], ...]
    sent: tuple[pd.DataFrame, ...]
    not_earned_back: tuple[str, ...]


@dataclass(frozen=True)
class _Candidates:
    """What each member may be sent: the cheapest that works and what is recommended, one row per member.

    Attributes
    ----------
    told
        As of :func:`serving.outlook.expectations`.
    place
        Row of ``told``, -1 where there is none.
    net
        Expected net value, missing where the member may not be sent it.
    weight
        Each member's, see :func:`serving.outlook.weights`.
    """

    told: pd.DataFrame
    place: np.ndarray
    net: np.ndarray
    weight: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Look up a number of ``told`` for every candidate."""
        return np.asarray(np.append(self.told[name].to_numpy(), np.nan)[self.place])


@dataclass(frozen=True)
class _Solution:
    """Members' columns, `NOTHING` for those sent nothing; what is sent, what all costs, what more money would bring."""

    chosen: np.ndarray
    sent: frozenset[str]
    cost: float
    multiplier: float


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
    """Choose within a budget whom to send what of the policy's recommendations, so that net value is largest.

    A member may get what the policy recommends to them, or, where that is an upgrade, the cheapest that works; with
    money enough they get what is recommended, unless for them that brings less than it costs. Of a segment's effect on
    margin each member gets a share as large as their own value if active: those recalled spend like themselves. Cost
    and recall are the segment's. The holdout gets nothing.

    Parameters
    ----------
    members, as_of, contacts, unsubscribed
        As in :func:`serving.advice.decide`.
    policy
        Effects per policy segment.
    programme
        Incentives and guardrails.
    budget
        What offers may be expected to cost, set-up included.
    """
    allowed = permits(members, policy, programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    cheapest, recommended = (
        advise(members, allowed, table, programme)["advised_arm"]
        for table in (policy.model_copy(update={"advantages": ()}), policy)
    )
    rules, today = programme.guardrails, programme.local_date(as_of)
    held = in_holdout(members["member_id"], as_of=today, share=rules.holdout_share, seed=rules.seed)
    candidates = _candidates(members, cheapest, recommended, held, expectations(policy, programme))
    solver = _Solver(candidates, programme)
    everything = solver.solve(np.inf, solver.incentives)
    best = solver.solve(budget, everything.sent)
    budgets = [share * everything.cost for share in CURVE_SHARES]
    sent = [_sent(candidates, solver.solve(money, everything.sent).chosen) for money in budgets]
    return Plan(
        offers=_offers(members, candidates, best.chosen, programme),
        outlook=outlook(_sent(candidates, best.chosen), policy, programme),
        multiplier=best.multiplier,
        full_cost=everything.cost,
        curve=tuple((money, outlook(each, policy, programme)) for money, each in zip(budgets, sent, strict=True)),
        sent=tuple(_costed(each, candidates.told) for each in sent),
        not_earned_back=tuple(sorted(solver.incentives - best.sent)),
    )


class _Solver:
    """Solves for a budget; set-up makes that a fixed-charge problem, for which this is a heuristic.

    The set-up of all incentives is paid first, and the knapsack solved with what is left. Then the incentive without
    which most net value is left is dropped, and so on, as long as that brings more than keeping it.
    """

    def __init__(self, candidates: _Candidates, programme: Programme) -> None:
        self._candidates = candidates
        self._setup = {one.id: one.setup_cost for one in programme.incentives}
        self._steps: dict[frozenset[str], Steps] = {}
        found = np.unique(candidates.place[~np.isnan(candidates.net)])
        self.incentives = frozenset(candidates.told["incentive_id"].iloc[found])

    def solve(self, budget: float, incentives: frozenset[str]) -> _Solution:
        """Choose for every member among the candidates that are of these incentives."""
        without = [incentives - {one} for one in sorted(incentives) if self._setup[one] > 0]
        best = max([incentives, *without], key=lambda some: self._worth(budget, some))
        if best is not incentives:
            return self.solve(budget, best)
        steps, setup = self._frontier(incentives), self._setup_of(incentives)
        taken = steps.within(budget - setup)
        chosen = steps.choices(taken, len(self._candidates.net))
        return _Solution(chosen, incentives, setup + float(steps.cost[:taken].sum()), steps.multiplier(taken))

    def _worth(self, budget: float, incentives: frozenset[str]) -> float:
        steps, setup = self._frontier(incentives), self._setup_of(incentives)
        return float(steps.value[: steps.within(budget - setup)].sum()) - setup

    def _setup_of(self, incentives: frozenset[str]) -> float:
        return sum(self._setup[one] for one in incentives)

    def _frontier(self, incentives: frozenset[str]) -> Steps:
        if incentives not in self._steps:
            is_open = np.append(self._candidates.told["incentive_id"].isin(incentives), False)[self._candidates.place]
            self._steps[incentives] = frontier_steps(
                cost=np.maximum(self._candidates.of("cost"), SMALLEST_COST),
                value=np.where(is_open, self._candidates.net, np.nan),
            )
        return self._steps[incentives]


def _candidates(
    members: pd.DataFrame, cheapest: pd.Series, recommended: pd.Series, held: np.ndarray, told: pd.DataFrame
) -> _Candidates:
    advised = recommended.notna()
    weight = pd.Series(1.0, members.index)
    weight[advised] = weights(
        members.loc[advised, "value_if_active"], weight[advised], members.loc[advised, "policy_segment"]
    )
    places = told[["policy_segment", "arm"]].assign(place=np.arange(len(told)))
    found = [
        members[["policy_segment"]].assign(arm=arm).merge(places, how="left", on=["policy_segment", "arm"])["place"]
        for arm in (cheapest, recommended)
    ]
    place = np.column_stack([column.fillna(-1).to_numpy(dtype=int) for column in found])
    known = _Candidates(told, place, np.full(place.shape, np.nan), weight.to_numpy())
    net = known.of("margin") * known.weight[:, None] - known.of("cost")
    return replace(known, net=np.where(held[:, None], np.nan, net))


def _sent(candidates: _Candidates, chosen: np.ndarray) -> pd.DataFrame:
    rows = np.flatnonzero(chosen != NOTHING)
    places, every = candidates.place[rows, chosen[rows]], len(candidates.told)
    members = np.bincount(places, minlength=every)
    weight = np.bincount(places, candidates.weight[rows], minlength=every)
    return candidates.told[["policy_segment", "arm"]].assign(members=members, weight=weight)[members > 0]


def _costed(sent: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    known = sent.drop(columns="weight").merge(told[["policy_segment", "arm", "cost"]], on=["policy_segment", "arm"])
    return known.assign(cost=known["cost"] * known["members"])


def _offers(members: pd.DataFrame, candidates: _Candidates, chosen: np.ndarray, programme: Programme) -> pd.DataFrame:
    rows = np.flatnonzero(chosen != NOTHING)
    told = candidates.told.iloc[candidates.place[rows, chosen[rows]]].reset_index(drop=True)
    incentives, channels = named_arms(told["arm"], programme)
    offers = members.iloc[rows][["member_id", "policy_segment"]].reset_index(drop=True)
    return offers.assign(
        incentive_id=incentives, channel=channels, evidence=told["evidence"], expected_cost=told["cost"]
    )
