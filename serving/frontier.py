"""The budget frontier in figures that can be kept: what each budget would bring, and what it would send. Pure."""

from __future__ import annotations

from serving.bundle import Record
from serving.outlook import Outlook
from serving.plan import Plan


class Sent(Record):
    """What members of a policy segment would be sent, and what that is expected to cost, set-up left out."""

    policy_segment: str
    arm: str
    members: int
    cost: float


class Point(Record):
    """A budget, what it would bring, and what it would send, the most members first."""

    budget: float
    outlook: Outlook
    sent: tuple[Sent, ...]


class Frontier(Record):
    """Points from a tenth of what everything worth sending costs up to all of it; none where nothing is worth it."""

    policy_version: str
    points: tuple[Point, ...]
    not_earned_back: tuple[str, ...]


def frontier(plan: Plan, policy_version: str) -> Frontier:
    """Keep of a plan what any budget would do."""
    points = tuple(
        Point(
            budget=budget,
            outlook=outlook,
            sent=tuple(
                Sent(policy_segment=row.policy_segment, arm=row.arm, members=row.members, cost=row.cost)
                for row in sent.sort_values(["members", "policy_segment"], ascending=[False, True]).itertuples()
            ),
        )
        for (budget, outlook), sent in zip(plan.curve, plan.sent, strict=True)
    )
    return Frontier(
        policy_version=policy_version,
        points=points if plan.full_cost else (),
        not_earned_back=plan.not_earned_back,
    )
