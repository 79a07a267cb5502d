"""What of the policy each member may be sent: the cheapest that works for them, and what is recommended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from features.programme import Programme
from features.remember import remembered
from serving.outlook import expectations
from serving.policy import best_bets, effective_by_cost, with_upgrade
from serving.policy_table import Effect, PolicyTable

NONE: Final = -1
CHEAPEST: Final = 0
RECOMMENDED: Final = 1


@dataclass(frozen=True)
class Options:
    """Every member's options.

    Attributes
    ----------
    told
        What each is expected to do, as of :func:`serving.outlook.expectations`.
    place
        Rows of ``told``, `NONE` where there is none. One row per member, columns `CHEAPEST` and `RECOMMENDED`: the same
        but where an upgrade is recommended.
    cost
        What each is expected to cost for that member; NaN where there is none.
    """

    told: pd.DataFrame
    place: np.ndarray
    cost: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Look up a number of ``told`` for every option; NaN where there is none."""
        return at(self.told[name], self.place)

    def net(self, weight: np.ndarray) -> np.ndarray:
        """Return what every option is expected to bring after cost, to members who weigh so much in their segment."""
        return np.asarray(self.of("margin") * weight[:, None] - self.cost)


def at(told: pd.Series, place: np.ndarray) -> np.ndarray:
    """Look up values at places; missing, NaN or None, at `NONE`."""
    missing: Any = np.nan if told.dtype.kind == "f" else None
    return np.asarray(np.append(told.to_numpy(np.asarray(missing).dtype), missing)[place])


def options(
    segments: pd.Series | np.ndarray,
    may_get: np.ndarray,
    cost: np.ndarray,
    policy: PolicyTable,
    programme: Programme,
    *,
    not_moved: np.ndarray,
) -> Options:
    """Find every member's options.

    Parameters
    ----------
    segments
        Policy segments; missing where there is none.
    may_get
        One row per member, one column per arm of the programme: what no guardrail forbids.
    cost
        Likewise: what the arm is expected to cost for the member.
    policy, programme
        Effects, and what may be sent at all.
    not_moved
        Like ``may_get``: what is expected to lose money. A member to whom that would be recommended has no option.
    """
    told = expectations(policy, programme)
    places = _places(told)
    arms = [arm.id for arm in programme.arms]
    place = np.full((len(segments), 2), NONE)
    codes, names = pd.factorize(segments)
    for number, segment in enumerate(names):
        if ranked := worth_sending(segment, policy, programme):
            rows = np.flatnonzero(codes == number)
            columns = np.array([arms.index(effect.incentive_id) for effect in ranked])
            possible = may_get[rows[:, None], columns]
            to_told = np.array([*(places[segment, effect.incentive_id] for effect in ranked), NONE])
            place[rows] = to_told[_ranks(possible, ranked, segment, policy, programme)]
    columns = np.array([*(arms.index(arm) for _, arm in places), NONE])
    losing = np.take_along_axis(np.column_stack([not_moved, np.zeros(len(segments), bool)]), columns[place], axis=1)
    place[losing[:, CHEAPEST], CHEAPEST] = place[losing[:, CHEAPEST], RECOMMENDED]
    place[losing[:, RECOMMENDED]] = NONE
    or_none = np.column_stack([cost, np.full(len(segments), np.nan)])
    return Options(told, place, np.take_along_axis(or_none, columns[place], axis=1))


@remembered
def _places(told: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return the row of each policy segment and arm, in the order of the rows."""
    return {pair: number for number, pair in enumerate(zip(told["policy_segment"], told["arm"], strict=True))}


def worth_sending(segment: str, policy: PolicyTable, programme: Programme) -> list[Effect]:
    """Return what works in a segment, the cheapest first; where nothing is proven the bets, the best first."""
    if segment not in policy.choices:
        return []
    effects = [effect for effect in policy.effects if effect.policy_segment == segment]
    return effective_by_cost(effects, programme.arms) or best_bets(effects, programme.arms)


def _ranks(
    possible: np.ndarray, ranked: list[Effect], segment: str, policy: PolicyTable, programme: Programme
) -> np.ndarray:
    """Return, of what is possible for each member, the ranks of the cheapest and of what is recommended, or `NONE`.

    Members for whom the same is possible are the same kind, told by the bits of a number.
    """
    advantages = [advantage for advantage in policy.advantages if advantage.policy_segment == segment]
    kind, kinds = pd.factorize(possible @ (1 << np.arange(len(ranked))))
    by_kind = np.full((len(kinds), 2), NONE)
    for number, bits in enumerate(kinds.tolist()):
        left = [rank for rank in range(len(ranked)) if bits >> rank & 1]
        if left:
            chosen = with_upgrade([ranked[rank] for rank in left], advantages, programme.guardrails)
            by_kind[number] = left[0], ranked.index(chosen)
    return by_kind[kind]
