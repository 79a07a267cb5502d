"""The policy table: what each incentive did in each policy segment, and what each segment therefore gets."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Literal

from pydantic import Field

from serving.bundle import Record, digest

POLICY_FORMAT = 2
Evidence = Literal["randomised", "propensity", "observational", "none"]
Grounds = Literal["randomised", "propensity", "observational", "none", "bet"]
"""What a decision rests on: evidence, or a bet on what evidence does not show yet."""


class Estimate(Record):
    """An effect with its standard error; the simultaneous interval holds for all effects of the table at once."""

    value: float
    se: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float


class Pooled(Record):
    """What to expect of an effect, given the same incentive's effects in other segments too."""

    value: float
    se: float = Field(description="standard deviation of what the effect may be")


class Effect(Record):
    """What one incentive did in one policy segment, against control, per member."""

    policy_segment: str
    incentive_id: str
    n_treated: int
    n_control: int
    recall: Estimate = Field(description="added share of members who order again")
    margin: Estimate = Field(description="added value before the incentive's cost")
    net: Estimate = Field(description="added value after the incentive's cost")
    cost_per_member: float
    cost_se: float | None = Field(None, description="standard error of `cost_per_member`")
    redemption_rate: float
    effective_treated: float | None = Field(None, description="equally weighted offers that would tell as much")
    effective_control: float | None = Field(None, description="equally weighted control offers, likewise")
    e_value: float | None = Field(
        None,
        description="risk ratio with which something unseen must go with treatment and with ordering to explain the "
        "pointwise interval of recall away; 1: it reaches zero as it is",
    )
    pooled_recall: Pooled | None = Field(None, description="ranks, and decides nothing that counts as proven")
    pooled_net: Pooled | None = Field(None, description="likewise; what a bet rests on")
    verdict: str
    why: str


class Advantage(Record):
    """What a dearer effective incentive brings beyond a cheaper one in the same segment, compared directly."""

    policy_segment: str
    incentive_id: str
    over: str
    net: Estimate = Field(description="added value after cost, per member")


class Choice(Record):
    """The incentive a policy segment gets, or why it gets none."""

    incentive_id: str | None
    reason: str | None
    why: str = Field("", description="why no cheaper one and, if so, why a dearer one; or why nothing")
    needed_sample: int | None = Field(None, description="members per arm that a test would need")


class Paused(Record):
    """An incentive, by its channel, that surely lost money: in one policy segment, or in all where none is named."""

    policy_segment: str | None
    incentive_id: str


class MemberUplift(Record):
    """What an incentive is expected to bring members of a policy segment, each by their own features.

    In the programme's currency: level of the segment + order value there x added recall - cost.
    """

    incentive_id: str
    features: tuple[str, ...] = Field(description="what the trees read, in this order")
    recall: str = Field(description="LightGBM trees of the added chance of an order")
    recall_weight: float = Field(ge=0, description="by which these are held back")
    cost: str = Field(description="LightGBM trees of what sending it costs")
    order_value: dict[str, float] = Field(description="what an order brings, by policy segment")
    level: dict[str, float] = Field(description="what makes members of a segment come, on average, to its net value")


class PolicyTable(Record):
    """Effects and choices per policy segment, with the evidence they rest on."""

    format: int = POLICY_FORMAT
    created_at: datetime
    programme_name: str
    as_of: datetime
    evidence: Evidence
    response_days: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    offers: int = Field(0, description="offers measured, control included")
    maturing: int = Field(0, description="offers left out because their response window is still open")
    warnings: tuple[str, ...] = Field((), description="what is wrong with the offer log")
    effects: tuple[Effect, ...] = ()
    advantages: tuple[Advantage, ...] = ()
    choices: dict[str, Choice] = Field(default_factory=dict)
    paused: tuple[Paused, ...] = Field((), description="not to be sent, whatever was estimated")
    member_uplift: tuple[MemberUplift, ...] = Field(
        (), description="of incentives that members expected to lose money are not sent, because that was shown to pay"
    )

    @cached_property
    def version(self) -> str:
        """Hash of the content; when it was made and what is as by default are no part of it."""
        return digest(self.model_dump_json(exclude={"created_at"}, exclude_defaults=True))[:12]
