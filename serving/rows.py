"""Rows of the input contract as they go over the wire: a member's history, checked as strictly as can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from features.schemas import EVENTS
from serving.records import Strict

MAX_ROWS = 20_000
EARLIEST, LATEST = datetime(1970, 1, 2), datetime(2200, 1, 1)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must consist of printable characters")
    return text


def _not_padded(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    return text


def _time(value: Any) -> Any:
    """Read a text; what is a time already was made in Python, where JSON has none."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time such as 2026-01-31T12:00:00")
    return datetime.fromisoformat(value)


def within_reach(value: datetime) -> datetime:
    """Refuse times that no programme has anything to do with."""
    if not EARLIEST <= value.replace(tzinfo=None) < LATEST:
        raise ValueError(f"must lie between {EARLIEST.date()} and {LATEST.date()}")
    return value


def _event(value: str) -> str:
    if value not in EVENTS:
        raise ValueError(f"must be one of {', '.join(EVENTS)}")
    return value


def chances_told(text: str) -> Mapping[str, float]:
    """Read the chances of an offer's arms.

    Raises
    ------
    ValueError
        If the text is no JSON object of chances.
    """
    try:
        chances = {str(arm): float(chance) for arm, chance in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        chances = {}
    if not chances or not all(0 <= chance <= 1 for chance in chances.values()):
        raise ValueError(f'{text[:80]!r} is no JSON object of chances such as {{"control": 0.1, "coupon_10": 0.9}}')
    return chances


def _chances(text: str) -> str:
    chances_told(text)
    return text


Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable), AfterValidator(_not_padded)]
"""As the input contract's ids are: with the spaces around them taken off, two of them could be one."""
Text = Annotated[str, Field(max_length=256), AfterValidator(_printable)]
Time = Annotated[datetime, BeforeValidator(_time, json_schema_input_type=datetime), AfterValidator(within_reach)]
Money = Annotated[float, Field(ge=-1e12, le=1e12)]
Event = Annotated[str, Field(json_schema_extra={"enum": list(EVENTS)}), AfterValidator(_event)]


class OrderRow(Strict):
    """An order or a return, as in the input contract."""

    order_id: Id
    ordered_at: Time
    net_amount: Money
    margin_amount: Money | None = None
    discount_amount: Money | None = None
    is_return: bool | None = None
    return_of: Id | None = None
    channel: Text | None = None
    store_id: Id | None = None
    recorded_at: Time | None = None


class ProductRow(Strict):
    """A product of the order it comes with."""

    product_id: Id
    line_id: Id | None = None
    category: Text | None = None
    quantity: Money | None = None
    net_amount: Money | None = None
    discount_amount: Money | None = None


class OrderLineRow(ProductRow):
    """A product of an order, as in the input contract."""

    order_id: Id


class EventRow(Strict):
    """Something the member did or was sent, in the event vocabulary."""

    occurred_at: Time
    event: Event
    event_id: Id | None = None
    channel: Text | None = None
    amount: Money | None = None
    order_id: Id | None = None
    recorded_at: Time | None = None


class OfferRow(Strict):
    """An offer the member got, or was kept from as control, as in the input contract."""

    offer_id: Id
    incentive_id: Id
    assigned_at: Time
    campaign_id: Id | None = None
    channel: Text | None = None
    propensity: Annotated[float, Field(gt=0, le=1)] | None = None
    cost_amount: Money | None = None
    redeemed_at: Time | None = None
    policy_segment: Text | None = None
    probabilities: Annotated[str, Field(max_length=2000), AfterValidator(_chances)] | None = None
    recorded_at: Time | None = None


class ContactRow(Strict):
    """Consent for one channel, as in the input contract."""

    channel: Text
    consent: bool
    updated_at: Time | None = None


class MemberRow(Strict):
    """What is known of the member, as in the input contract."""

    joined_at: Time | None = None
    language: Text | None = None
    birth_year: Annotated[int, Field(ge=1850, le=2200)] | None = None
    gender: Text | None = None
    channel: Text | None = None
    region: Text | None = None
    name: Text | None = None
    recorded_at: Time | None = None


class History(Strict):
    """Everything known of one member: the rows the weekly job would read from the programme's tables."""

    member_id: Id
    orders: list[OrderRow] = Field(default_factory=list, max_length=MAX_ROWS)
    order_lines: list[OrderLineRow] = Field(default_factory=list, max_length=MAX_ROWS)
    events: list[EventRow] = Field(default_factory=list, max_length=MAX_ROWS)
    offers: list[OfferRow] = Field(default_factory=list, max_length=MAX_ROWS)
    contacts: list[ContactRow] = Field(default_factory=list, max_length=MAX_ROWS)
    member: MemberRow | None = None

    @model_validator(mode="after")
    def _lines_of_own_orders(self) -> Self:
        own = {order.order_id for order in self.orders}
        if foreign := next((line.order_id for line in self.order_lines if line.order_id not in own), None):
            raise ValueError(f"an order line belongs to order {foreign!r}, which is not in the history")
        return self
