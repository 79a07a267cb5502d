"""The programme file's sections on incentives: what may be sent, to whom, at what cost, and when it counts as shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from features.settings import Amount, Days, Identifier, Settings, Share, State, Tier

BETTING_HOLDOUT = 0.2
"""What was not proven beforehand has to be measured afterwards."""


class IncentiveEligibility(Settings):
    """Who may get an incentive. Empty means no restriction."""

    tiers: tuple[Tier, ...] = Field((), description="only members of these tiers")
    states: tuple[State, ...] = Field((), description="only members in these states")
    exclude_personas: tuple[Identifier, ...] = Field((), description="not for these personas")
    min_orders: Annotated[int, Field(ge=0)] = Field(0, description="only members with so many orders")


class IncentiveChannel(Settings):
    """One of several channels an incentive may go by."""

    channel: Identifier = Field(description="how it is sent; consent is asked for this channel")
    contact_cost: Amount = Field(0.0, description="per member contacted through it, channel fee included")


class Incentive(Settings):
    """Something that can be sent to bring a member back, and what it costs."""

    id: Identifier = Field(description="as in the offer log")
    name_en: str = Field(description="name shown in English")
    name_zh: str = Field(description="name shown in Chinese")
    channel: Identifier = Field("email", description="how it is sent; consent is asked for this channel")
    contact_cost: Amount = Field(0.0, description="per member contacted, channel fee included")
    channels: tuple[IncentiveChannel, ...] = Field(
        (), description="instead of `channel` and `contact_cost` where there is a choice of channels"
    )
    face_value: Amount = Field(0.0, description="per redemption, at cost to the programme")
    face_share: Share = Field(
        0.0, description="per redemption, a share of the order's amount, at cost to the programme; 0.1 is 10 % off"
    )
    setup_cost: Amount = Field(
        0.0, description="once for all its offers at most 91 days apart, whatever their campaign"
    )
    ladder: Identifier | None = Field(
        None, description="incentives of one ladder differ in face value alone; deeper ones recall no fewer"
    )
    eligible: IncentiveEligibility = Field(IncentiveEligibility(), description="who may get it")

    @model_validator(mode="after")
    def _one_way_to_say_channels(self) -> Incentive:
        if self.channels and {"channel", "contact_cost"} & self.model_fields_set:
            raise ValueError("give either `channels`, or `channel` and `contact_cost`")
        if len({one.channel for one in self.channels}) < len(self.channels):
            raise ValueError("`channels` names a channel twice")
        return self

    @property
    def arms(self) -> tuple[Incentive, ...]:
        """What can be assigned: itself, or where it has several channels one incentive `id@channel` for each."""
        if not self.channels:
            return (self,)
        alike = {name: getattr(self, name) for name in type(self).model_fields if name != "channels"}
        return tuple(
            Incentive.model_construct(**{**alike, "id": f"{self.id}@{by.channel}", **by.model_dump()})
            for by in self.channels
        )


class Guardrails(Settings):
    """Limits no recommendation may cross, and how sure we must be."""

    mode: Literal["proven", "best_bet"] = Field(
        "proven", description="send what was proven to work; or, where nothing was, what is expected to pay, as a bet"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="familywise, of the effect on recall")
    recall_floor: Share = Field(0.0, description="an effect on recall must be above this to count")
    detectable_recall: Annotated[float, Field(gt=0, le=1)] = Field(
        0.02, description="the effect on recall, above the floor, that a test should be able to show"
    )
    loss_tolerance: Amount = Field(0.0, description="money per member the lower bound of net value may fall below zero")
    upgrade_margin: Amount = Field(
        0.0, description="money per member a dearer incentive must surely bring beyond the cheapest effective one"
    )
    min_treated: Annotated[int, Field(ge=1)] = Field(200, description="fewer offers than this are no evidence")
    min_control: Annotated[int, Field(ge=1)] = Field(200, description="fewer controls than this are no evidence")
    response_days: Days = Field(28, description="window in which an order counts as a response to an offer")
    cooldown_days: Days = Field(28, description="from one assignment to the next; at least `response_days`")
    messages_per_week: Annotated[float, Field(gt=0)] = Field(5.0, description="no offer to members sent more than this")
    cost_share: Share = Field(0.08, description="of historic annual value plus 12-month value if active")
    consent_default: bool | None = Field(
        None, description="consent where there is no contacts table; must be stated then"
    )
    accept_observational: bool = Field(False, description="let effects of unrandomised offers decide")
    control_id: str = Field("control", description="the incentive id that stands for 'nothing sent' in the offer log")
    holdout_share: Share = Field(
        0.05, description="of members, never treated, drawn anew each quarter; by default 0.2 where bets are made"
    )
    exploration_share: Share = Field(
        0.05, description="of assignments, drawn evenly among all a member may get, control included; 0: none"
    )
    pause_losers: bool = Field(
        False,
        description="stop sending what was measured to lose money, until the end of the next quarter",
    )
    member_uplift: bool = Field(
        True,
        description="do not send what works in a segment to members for whom it is expected to lose money, once "
        "leaving such members out was shown to pay",
    )
    seed: str = Field("winback", description="salt of the hashes that draw the holdout and the assignments")

    @model_validator(mode="before")
    @classmethod
    def _bets_are_measured(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("mode") == "best_bet":
            return {"holdout_share": BETTING_HOLDOUT, **given}
        return given

    @model_validator(mode="after")
    def _cooldown_covers_response(self) -> Guardrails:
        if self.cooldown_days < self.response_days:
            raise ValueError(
                "cooldown_days must be at least response_days, or one offer is measured in another's window"
            )
        return self


class Phases(Settings):
    """What share of a planned budget goes to which phase of a campaign."""

    test: Share = Field(0.1, description="first, to members drawn by lot")
    burst: Share = Field(0.7, description="then to those who bring most per unit of cost")
    tail: Share = Field(0.2, description="last, to the others")

    @model_validator(mode="after")
    def _add_up(self) -> Phases:
        if abs(self.test + self.burst + self.tail - 1) > 1e-9:
            raise ValueError("test, burst and tail must add up to 1")
        return self
