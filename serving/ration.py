"""What set-up costs and a budget leave of the policy's recommendations. Pure.

It is worked out over all members at once and published with the decisions it led to, so that a member decided about
alone gets what they would get among all.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from pydantic import Field

from features.programme import Programme
from serving.assignment import MemberIds, lots
from serving.budget import NOTHING, Steps, frontier_steps
from serving.bundle import Record
from serving.by_name import Members, numbers, size, texts
from serving.options import NONE, RECOMMENDED, Options
from serving.outlook import weights
from serving.phases import PhaseName


class Limit(Record):
    """By what a budget is kept to. An offer, or a step to a dearer one, has to bring more per cost than the multiplier.

    Where it brings just as much, lots decide. In the test of a campaign lots decide about everything.
    """

    budget: float = Field(ge=0, description="what is assigned may be expected to cost, set-up and exploration included")
    phase: PhaseName | None = Field(None, description="of the campaign the budget is for; None: all of it at once")
    multiplier: float = Field(ge=0, description="net value that one more unit of budget would bring")
    lots_below: float = Field(ge=0, le=1, description="at the multiplier itself, members whose lot is below this")
    drawn_below: float = Field(1.0, ge=0, le=1, description="in a test, members whose lot is below this; others wait")


class Ration(Record):
    """What may be recommended, and to whom, beyond what guardrails allow."""

    closed: tuple[str, ...] = Field(
        (), description="incentives whose set-up would not be earned back, or is too dear just to try them"
    )
    paid: tuple[str, ...] = Field(
        (), description="incentives whose set-up is paid: they are running, or an earlier phase of the campaign paid it"
    )
    typical_values: dict[str, float] = Field(
        default_factory=dict, description="mean value if active per policy segment, of members who may be sent anything"
    )
    limit: Limit | None = Field(None, description="None where there is no budget")


def set_up_paid(programme: Programme, incentives: Collection[str]) -> Programme:
    """Return the programme with nothing left to pay for setting these incentives up."""
    left = tuple(
        one.model_copy(update={"setup_cost": 0.0}) if one.id in incentives else one for one in programme.incentives
    )
    return programme.model_copy(update={"incentives": left})


def steps(offered: Options, net: np.ndarray, lot: np.ndarray) -> Steps:
    """Find the steps along members' frontiers; see :func:`serving.budget.frontier_steps`."""
    return frontier_steps(cost=offered.cost, value=net, lot=lot)


def member_lots(member_ids: MemberIds, seed: str) -> np.ndarray:
    """Draw what decides between members who would bring just as much per cost."""
    return lots(f"{seed}|budget|", member_ids)


def within(
    offered: Options, members: Members, ration: Ration, limit: Limit, seed: str
) -> tuple[np.ndarray, np.ndarray]:
    """Keep to a budget.

    Returns
    -------
    tuple
        The column of the option that is left to each member, or `NOTHING`; and why those get none who would have:
        `budget`, or `not_worth_it` where to them it would bring less than it costs.
    """
    values, segments = pd.Series(numbers(members, "value_if_active")), pd.Series(texts(members, "policy_segment"))
    weight = weights(values, pd.Series(1.0, values.index), segments, ration.typical_values).to_numpy()
    net, lot = offered.net(weight), member_lots(texts(members, "member_id"), seed)
    taken = steps(offered, net, lot)
    chosen = taken.choices(taken.beyond(limit.multiplier, limit.lots_below), size(members))
    chosen = np.where(lot < limit.drawn_below, chosen, NOTHING)
    missed = (chosen == NOTHING) & (offered.place[:, RECOMMENDED] != NONE)
    pays = (net > 0).any(axis=1)
    return chosen, np.select([missed & pays, missed], ["budget", "not_worth_it"], "")
