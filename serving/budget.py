"""Whom to offer what within a budget: the linear multiple-choice knapsack, solved along each member's frontier. Pure.

Every member gets at most one candidate. A member's efficient frontier are the candidates on the upper concave hull of
value over cost; each step along it brings less per unit of cost than the one before. Taking all members' steps in order
of value per cost, until the budget is spent, is optimal for the linear relaxation, and differs from the whole-number
optimum by less than one step's value (Sinha and Zoltners, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

NOTHING: Final = -1
SMALLEST_COST: Final = 1e-6


@dataclass(frozen=True)
class Steps:
    """Steps along all members' frontiers, the most valuable per unit of cost first.

    Attributes
    ----------
    member, candidate
        Who would move to what.
    cost, value
        Beyond the step before; value per cost never rises from one step to the next.
    lot
        The member's; of steps with the same value per cost it rises.
    charge
        What each takes from a budget: its cost, unless something else goes with it.
    """

    member: np.ndarray
    candidate: np.ndarray
    cost: np.ndarray
    value: np.ndarray
    lot: np.ndarray
    charge: np.ndarray

    def within(self, budget: float) -> int:
        """Count the first steps a budget pays for."""
        return int(np.searchsorted(self._spent, budget * (1 + 1e-12), side="right"))

    def limit(self, taken: int) -> tuple[float, float]:
        """Return value per cost, and lot, of the first step not taken; 0 where nothing is left."""
        return (float(self._slope[taken]), float(self.lot[taken])) if taken < len(self.cost) else (0.0, 0.0)

    def beyond(self, multiplier: float, lots_below: float) -> int:
        """Count the first steps with more value per cost than a limit, or just as much and a lot below it."""
        slope = self._slope
        return int(((slope > multiplier) | ((slope == multiplier) & (self.lot < lots_below))).sum())

    @cached_property
    def is_first(self) -> np.ndarray:
        """Whether each is its member's first step."""
        places = np.arange(len(self.member))
        earliest = np.full(self.member.max(initial=-1) + 1, len(places))
        np.minimum.at(earliest, self.member, places)
        return np.asarray(earliest[self.member] == places)

    @cached_property
    def _slope(self) -> np.ndarray:
        return np.asarray(self.value / self.cost)

    @cached_property
    def _spent(self) -> np.ndarray:
        return np.cumsum(self.charge)

    def choices(self, taken: int, members: int) -> np.ndarray:
        """Return each member's candidate after so many steps, `NOTHING` for those who get none."""
        chosen = np.full(members, NOTHING)
        chosen[self.member[:taken]] = self.candidate[:taken]
        return chosen


def frontier_steps(*, cost: np.ndarray, value: np.ndarray, lot: np.ndarray) -> Steps:
    """Find all members' frontiers.

    Parameters
    ----------
    cost, value
        One row per member, one column per candidate; value after cost. Candidates a member may not get have no value
        (NaN). No cost is taken to be below `SMALLEST_COST`.
    lot
        One number per member, which decides between steps with the same value per cost.
    """
    cost = np.maximum(cost, SMALLEST_COST)
    members, candidates = value.shape
    at_cost, at_value = np.zeros(members), np.zeros(members)
    found: list[tuple[np.ndarray, ...]] = []
    for _ in range(candidates):
        extra = np.where(cost > at_cost[:, None], cost - at_cost[:, None], np.nan)
        slope = np.nan_to_num((value - at_value[:, None]) / extra, nan=-np.inf)
        steepest = slope.max(axis=1, initial=-np.inf)
        best = np.where(slope == steepest[:, None], cost, -np.inf).argmax(axis=1)
        moving = np.flatnonzero(steepest > 0)
        if not len(moving):
            break
        to = best[moving]
        new_cost, new_value = cost[moving, to], value[moving, to]
        found.append((moving, to, new_cost - at_cost[moving], new_value - at_value[moving]))
        at_cost[moving], at_value[moving] = new_cost, new_value
    if not found:
        nobody = np.zeros(0, dtype=int)
        return Steps(nobody, nobody, *np.zeros((4, 0)))
    member, candidate, step_cost, step_value = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((lot[member], -step_value / step_cost))
    sorted_cost = step_cost[order]
    return Steps(member[order], candidate[order], sorted_cost, step_value[order], lot[member][order], sorted_cost)
