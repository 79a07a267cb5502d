"""What the CRM writes down over the wire, and what it gets back: orders, events, offers, outcomes, alerts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from serving.contracts import MAX_ITEMS, Answer, ItemError
from serving.records import Probability, Strict
from serving.rows import EventRow, Id, OfferRow, OrderRow, ProductRow, Time

MAX_LINES = 500

Cost = Annotated[float, Field(ge=0, le=1e12)]


class NewOrder(OrderRow):
    """An order or a return of a member, with its lines. It is known from the moment it is received."""

    member_id: Id
    lines: list[ProductRow] = Field(default_factory=list, max_length=MAX_LINES)
    recorded_at: None = None

    @model_validator(mode="after")
    def _signs(self) -> Self:
        returned = self.is_return or self.return_of is not None
        if self.net_amount < 0 and not returned:
            raise ValueError("net_amount is negative, but the order is no return")
        if self.net_amount > 0 and returned:
            raise ValueError("net_amount is positive, but the order is a return")
        if (self.discount_amount or 0) < 0 and not returned:
            raise ValueError("discount_amount is negative; write discounts positive")
        return self


class NewEvent(EventRow):
    """Something a member did or was sent. It is known from the moment it is received."""

    member_id: Id
    event_id: Id
    recorded_at: None = None


class NewOffer(OfferRow):
    """An offer a member gets, or is kept from as control."""

    member_id: Id
    redeemed_at: None = None
    recorded_at: None = None
    cost_amount: Cost | None = Field(
        None,
        description="what it will cost; absent: contact cost and face value of the incentive, or, where a redemption "
        "costs a share of the order, what the member's decision expects",
    )


class NewOutcome(Strict):
    """What became of an offer: when it was redeemed, what it cost in the end."""

    outcome_id: Id
    offer_id: Id
    redeemed_at: Time | None = None
    cost_amount: Cost | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.redeemed_at is None and self.cost_amount is None:
            raise ValueError("give redeemed_at, cost_amount or both")
        return self


class EventsRequest(Strict):
    """New orders and events; at most 1,000 in all."""

    orders: list[NewOrder] = Field(default_factory=list, max_length=MAX_ITEMS)
    events: list[NewEvent] = Field(default_factory=list, max_length=MAX_ITEMS)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not 0 < len(self.orders) + len(self.events) <= MAX_ITEMS:
            raise ValueError(f"give 1 to {MAX_ITEMS:,} orders and events in all")
        return self


class OffersRequest(Strict):
    """Offers made."""

    offers: list[NewOffer] = Field(min_length=1, max_length=MAX_ITEMS)


class OutcomesRequest(Strict):
    """What became of offers."""

    outcomes: list[NewOutcome] = Field(min_length=1, max_length=MAX_ITEMS)


class WrittenItem(Strict):
    """An item that is written down, now or before."""

    id: str
    status: Literal["recorded", "known"] = Field(description="`known`: the same was written down before")


class RefusedItem(Strict):
    """An item that is not written down; the others are."""

    id: str
    error: ItemError


Written = WrittenItem | RefusedItem


class AlertItem(Strict):
    """A member whose churn probability rose to the programme's threshold."""

    cursor: int
    member_id: str
    churn_probability: Probability
    churn_probability_before: Probability | None = Field(description="absent when the member was not known before")
    threshold: Probability
    raised_at: str


class EventsAnswer(Answer):
    """What was written down, in the order given, and the alerts it raised."""

    orders: list[Written]
    events: list[Written]
    alerts: list[AlertItem]
    alerts_complete: bool = Field(
        description="false where members could not be brought up to date now; their alerts come with /v1/alerts"
    )


class OffersAnswer(Answer):
    """What was written down, in the order given."""

    offers: list[Written]


class OutcomesAnswer(Answer):
    """What was written down, in the order given."""

    outcomes: list[Written]


class AlertsAnswer(Answer):
    """Alerts in the order they were raised."""

    alerts: list[AlertItem]
    next: int = Field(description="ask for those after this next time")
