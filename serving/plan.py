"""What a budget would buy: whom to send which incentive, and what comes of it. Publishes nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.assignment import in_holdout
from serving.budget import NOTHING, Steps
from serving.by_name import Members
from serving.exploring import exploration
from serving.guardrails import closed_arms, permits
from serving.incentives import named_arms
from serving.options import NONE, RECOMMENDED, Options, options
from serving.outlook import Outlook, outlook, typical_values, weights
from serving.phases import Phase, divide
from serving.policy_table import PolicyTable
from serving.ration import Limit, Ration, member_lots, steps

CURVE_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NEGLIGIBLE: Final = 1e-9
"""As a share of a budget: costs that are only rounded differently are the same."""


@dataclass(frozen=True)
class Plan:
    """Whom to send what within a budget.

    Attributes
    ----------
    offers
        ``member_id``, ``policy_segment``, ``incentive_id``, ``channel``, ``evidence`` (`bet` where it is one),
        ``expected_cost`` and ``phase`` of those who would get something.
    outlook
        What comes of it.
    ration
        What decisions keep to the plan by.
    assigned_cost, exploration_cost
        What all that is assigned is expected to cost, set-up and lots included, and the lots alone.
    full_cost
        The budget that sends everybody what is worth most; 0 where nothing is worth sending.
    curve
        Budgets up to that, and what each would bring.
    sent
        What each of these budgets would send: ``policy_segment``, ``arm``, ``members``, ``weight``, the sum of their
        weights in the effect on margin, and ``cost`` without set-up.
    phases
        What is spent when, set-up apart.
    """

    offers: pd.DataFrame
    outlook: Outlook
    ration: Ration
    multiplier: float
    assigned_cost: float
    exploration_cost: float
    full_cost: float
    curve: tuple[tuple[float, Outlook], ...]
    sent: tuple[pd.DataFrame, ...]
    phases: tuple[Phase, ...]

    @property
    def not_earned_back(self) -> tuple[str, ...]:
        """Incentives left out because sending them brings less than their set-up costs, or trying them is too dear."""
        return self.ration.closed


@dataclass(frozen=True)
class Contenders:
    """Those among whom a budget is divided.

    Attributes
    ----------
    members
        ``member_id``, ``policy_segment``, ``value_if_active``, ``held`` (in the holdout) and ``lot``.
    may_get, cost
        One row per member and one column per arm: what no guardrail forbids, and what it is expected to cost.
    not_moved
        Likewise: what is expected to lose money and therefore not recommended.
    """

    members: pd.DataFrame
    may_get: np.ndarray
    cost: np.ndarray
    not_moved: np.ndarray


@dataclass(frozen=True)
class _Candidates:
    """What every contender may be sent, and the net value of it: missing where there is none, and for the holdout."""

    offered: Options
    net: np.ndarray
    weight: np.ndarray
    typical: dict[str, float]


@dataclass(frozen=True)
class _Solution:
    """Members' columns, `NOTHING` for those sent nothing; what is sent, what all and its lots cost, where it ends."""

    chosen: np.ndarray
    sent: frozenset[str]
    cost: float
    explored: float
    limit: tuple[float, float]


def contend(
    members: pd.DataFrame,
    policy: PolicyTable,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: Members | None,
    unsubscribed: Members | None = None,
) -> Contenders:
    """Return those who may be sent anything; parameters as in :func:`serving.advice.decide`."""
    allowed = permits(members, policy, programme, as_of=as_of, contacts=contacts, unsubscribed=unsubscribed)
    may_get, rules = allowed.may_get, programme.guardrails
    rows = np.flatnonzero(may_get.any(axis=1) & members["policy_segment"].notna().to_numpy())
    own = members[["member_id", "policy_segment", "value_if_active"]].iloc[rows].reset_index(drop=True)
    today = programme.local_date(as_of)
    held = in_holdout(own["member_id"], as_of=today, share=rules.holdout_share, seed=rules.seed)
    lot = member_lots(own["member_id"], rules.seed)
    return Contenders(own.assign(held=held, lot=lot), may_get[rows], allowed.cost[rows], allowed.not_moved[rows])


def together(parts: Sequence[Contenders]) -> Contenders:
    """Join contenders found in parts."""
    members = pd.concat([part.members for part in parts], ignore_index=True)
    may_get, cost, not_moved = (
        np.vstack([getattr(part, name) for part in parts]) for name in ("may_get", "cost", "not_moved")
    )
    return Contenders(members, may_get, cost, not_moved)


def plan_budget(contenders: Contenders, policy: PolicyTable, programme: Programme, *, budget: float) -> Plan:
    """Choose within a budget whom to send what of the policy's recommendations, so that net value is largest.

    A member may get what the policy recommends to them, or, where that is an upgrade, the cheapest that works; with
    money enough they get what is recommended, unless for them that brings less than it costs. Of a segment's effect on
    margin each member gets a share as large as their own value if active: those recalled spend like themselves. Recall
    is the segment's, cost each member's own (:func:`serving.guardrails.arm_costs`). The holdout gets nothing.

    Parameters
    ----------
    contenders
        See :func:`contend`.
    policy
        Effects per policy segment.
    programme
        Incentives and guardrails.
    budget
        What is assigned may be expected to cost, set-up and exploration included.
    """
    everything = _settled(_Solver(contenders, policy, programme), np.inf)
    best = _settled(everything.solver, budget)
    multiplier, lots_below = best.solution.limit

    budgets = [share * everything.solution.cost for share in CURVE_SHARES]
    solved = [everything.solver.solve(money, everything.solution.sent).chosen for money in budgets]
    sent = tuple(_sent(everything.solver.candidates, chosen) for chosen in solved)
    offers, phases = divide(_offers(contenders.members, best, programme), programme)
    return Plan(
        offers=offers,
        outlook=outlook(_sent(best.solver.candidates, best.solution.chosen), policy, programme),
        ration=Ration(
            closed=tuple(sorted(best.solver.closed)),
            typical_values=best.solver.candidates.typical,
            limit=Limit(budget=budget, multiplier=multiplier, lots_below=lots_below),
        ),
        multiplier=multiplier,
        assigned_cost=best.solution.cost,
        exploration_cost=best.solution.explored,
        full_cost=everything.solution.cost if (everything.solution.chosen != NOTHING).any() else 0.0,
        curve=tuple((money, outlook(each, policy, programme)) for money, each in zip(budgets, sent, strict=True)),
        sent=sent,
        phases=phases,
    )


def ration_set_up(contenders: Contenders, policy: PolicyTable, programme: Programme) -> Ration:
    """Close, without any budget, incentives whose set-up those they are recommended to would not earn back.

    The one that loses most is closed first, and what was recommended instead of it may then earn back another's.
    """
    setup = pd.Series({one.id: one.setup_cost for one in programme.incentives}, dtype="float64")
    closed: frozenset[str] = frozenset()
    while True:
        candidates = _candidates(contenders, policy, programme, closed)
        place, net = candidates.offered.place[:, RECOMMENDED], candidates.net[:, RECOMMENDED]
        sent = ~np.isnan(net)
        incentives = candidates.offered.told["incentive_id"].to_numpy()[place[sent]]
        worth = pd.Series(net[sent]).groupby(incentives).sum()
        losing = (worth - setup.reindex(worth.index))[lambda left: (left < 0) & (setup.reindex(left.index) > 0)]
        if losing.empty:
            return Ration(closed=tuple(sorted(closed)), typical_values=candidates.typical)
        closed |= {str(losing.idxmin())}


@dataclass(frozen=True)
class _Settled:
    solver: _Solver
    solution: _Solution


def _settled(solver: _Solver, budget: float) -> _Settled:
    """Solve, and where incentives are not worth their set-up solve again with what is recommended instead of them.

    What only comes up by lot is not tried where its set-up is beyond the budget, the dearest first.
    """
    solution = solver.solve(budget, solver.incentives)
    dropped = solver.incentives - solution.sent
    if not dropped and solution.cost > budget * (1 + NEGLIGIBLE):
        dropped = solver.dearest_to_try()
    return _settled(solver.without(dropped), budget) if dropped else _Settled(solver, solution)


class _Solver:
    """Solves for a budget; set-up makes that a fixed-charge problem, for which this is a heuristic.

    The set-up of all incentives is paid first, and the lots of members who explore in any case; the knapsack is solved
    with what is left. A member's steps are charged with their lot, and ordered without it. Then the incentive without
    which most net value is left is dropped, and so on, as long as that brings more than keeping it.
    """

    def __init__(
        self, contenders: Contenders, policy: PolicyTable, programme: Programme, closed: frozenset[str] = frozenset()
    ) -> None:
        self._given = (contenders, policy, programme)
        self._lot = contenders.members["lot"].to_numpy()
        self._setup = {one.id: one.setup_cost for one in programme.incentives}
        self._steps: dict[frozenset[str], Steps] = {}
        self.closed = closed
        self.candidates = _candidates(contenders, policy, programme, closed)
        found = np.unique(self.candidates.offered.place[~np.isnan(self.candidates.net)])
        self.incentives = frozenset(self.candidates.offered.told["incentive_id"].iloc[found])
        open_arms = contenders.may_get & ~closed_arms(closed, programme)
        self._lots = exploration(contenders.members, open_arms, contenders.cost, programme)
        self._only_tried = self._lots.incentives - self.incentives

    def without(self, incentives: frozenset[str]) -> _Solver:
        """Close more incentives."""
        return _Solver(*self._given, self.closed | incentives)

    def dearest_to_try(self) -> frozenset[str]:
        """Return the incentive that only comes up by lot and costs most to set up; empty where none costs anything."""
        tried = {one: self._setup[one] for one in sorted(self._only_tried) if self._setup[one] > 0}
        return frozenset([max(tried, key=lambda one: tried[one])] if tried else [])

    def solve(self, budget: float, incentives: frozenset[str]) -> _Solution:
        """Choose for every member among the candidates that are of these incentives."""
        without = [incentives - {one} for one in sorted(incentives) if self._setup[one] > 0]
        best = max([incentives, *without], key=lambda some: self._worth(budget, some))
        if best is not incentives:
            return self.solve(budget, best)
        steps_, fixed = self._frontier(incentives), self._fixed(incentives)
        taken = self._taken(budget, incentives)
        chosen = steps_.choices(taken, len(self.candidates.net))
        explored = self._lots.of_others(steps_) + self._lots.of_those(steps_, taken)
        return _Solution(chosen, incentives, fixed + float(steps_.charge[:taken].sum()), explored, steps_.limit(taken))

    def _worth(self, budget: float, incentives: frozenset[str]) -> float:
        return float(self._frontier(incentives).value[: self._taken(budget, incentives)].sum()) - self._setup_of(
            incentives
        )

    def _taken(self, budget: float, incentives: frozenset[str]) -> int:
        return self._frontier(incentives).within(budget * (1 + NEGLIGIBLE) - self._fixed(incentives))

    def _setup_of(self, incentives: frozenset[str]) -> float:
        return sum(self._setup[one] for one in incentives)

    def _fixed(self, incentives: frozenset[str]) -> float:
        """Return what is spent before anything is recommended: set-up, and the lots of those who explore anyway."""
        return self._setup_of(incentives | self._only_tried) + self._lots.of_others(self._frontier(incentives))

    def _frontier(self, incentives: frozenset[str]) -> Steps:
        if incentives not in self._steps:
            given = self.candidates
            is_open = np.append(given.offered.told["incentive_id"].isin(incentives), False)[given.offered.place]
            found = steps(given.offered, np.where(is_open, given.net, np.nan), self._lot)
            self._steps[incentives] = self._lots.charged(found)
        return self._steps[incentives]


def _candidates(
    contenders: Contenders, policy: PolicyTable, programme: Programme, closed: frozenset[str]
) -> _Candidates:
    members = contenders.members
    may_get = contenders.may_get & ~closed_arms(closed, programme)
    given = members["policy_segment"], may_get, contenders.cost
    offered = options(*given, policy, programme, not_moved=contenders.not_moved)
    advised = members[offered.place[:, RECOMMENDED] != NONE]
    alone = pd.Series(1.0, members.index)
    typical = typical_values(advised["value_if_active"], alone[advised.index], advised["policy_segment"])
    weight = weights(members["value_if_active"], alone, members["policy_segment"], typical).to_numpy()
    net = np.where(members["held"].to_numpy()[:, None], np.nan, offered.net(weight))
    return _Candidates(offered, net, weight, typical)


def _sent(candidates: _Candidates, chosen: np.ndarray) -> pd.DataFrame:
    rows = np.flatnonzero(chosen != NOTHING)
    told = candidates.offered.told
    places = candidates.offered.place[rows, chosen[rows]]
    members = np.bincount(places, minlength=len(told))
    weight = np.bincount(places, candidates.weight[rows], minlength=len(told))
    cost = np.bincount(places, candidates.offered.cost[rows, chosen[rows]], minlength=len(told))
    return told[["policy_segment", "arm"]].assign(members=members, weight=weight, cost=cost)[members > 0]


def _offers(members: pd.DataFrame, settled: _Settled, programme: Programme) -> pd.DataFrame:
    chosen, candidates = settled.solution.chosen, settled.solver.candidates
    rows = np.flatnonzero(chosen != NOTHING)
    told = candidates.offered.told.iloc[candidates.offered.place[rows, chosen[rows]]].reset_index(drop=True)
    incentives, channels = named_arms(told["arm"].to_numpy(object), programme)
    return (
        members.iloc[rows][["member_id", "policy_segment"]]
        .reset_index(drop=True)
        .assign(
            incentive_id=pd.array(incentives, dtype="str"),
            channel=pd.array(channels, dtype="str"),
            evidence=told["evidence"],
            expected_cost=candidates.offered.cost[rows, chosen[rows]],
            expected_recall=told["recall"],
            expected_net=candidates.net[rows, chosen[rows]],
            lot=members["lot"].to_numpy()[rows],
        )
    )
