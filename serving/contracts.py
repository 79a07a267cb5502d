"""What goes over the wire: requests and answers, strict both ways."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from features.schemas import EVENTS
from serving.bundle import Evidence
from serving.records import AssignedBy, DecisionRecord, NoOfferReason, Probability, Strict

MAX_ITEMS = 1_000
MAX_ROWS = 20_000
MAX_FEATURES = 1_000
EARLIEST, LATEST = datetime(1970, 1, 2), datetime(2200, 1, 1)

ItemErrorCode = Literal["unknown_member", "not_eligible", "no_history", "duplicate_member", "invalid_history"]
ComputeErrorCode = Literal["invalid_features", "not_recomputed"]
WriteErrorCode = Literal["conflict", "budget", "in_future", "unknown_offer", "unknown_incentive"]
Source = Literal["published", "recomputed", "computed"]
MAX_REASONS = 10


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


def _iso(text: str) -> str:
    _within_reach(datetime.fromisoformat(text))
    return text


def _within_reach(value: datetime) -> datetime:
    if not EARLIEST <= value.replace(tzinfo=None) < LATEST:
        raise ValueError(f"must lie between {EARLIEST.date()} and {LATEST.date()}")
    return value


def _event(value: str) -> str:
    if value not in EVENTS:
        raise ValueError(f"must be one of {', '.join(EVENTS)}")
    return value


Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable), AfterValidator(_not_padded)]
"""As the input contract's ids are: with the spaces around them taken off, two of them could be one."""
Text = Annotated[str, Field(max_length=256), AfterValidator(_printable)]
Time = Annotated[datetime, BeforeValidator(_time, json_schema_input_type=datetime), AfterValidator(_within_reach)]
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
    probabilities: Annotated[str, Field(max_length=2000)] | None = None
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


class Features(Strict):
    """A member's features, all of the catalogue; null where there is no such value."""

    member_id: Id
    values: dict[Id, Annotated[float, Field(ge=-1e15, le=1e15)] | None] = Field(max_length=MAX_FEATURES)


class MembersRequest(Strict):
    """Members the store knows, members by their own rows, or by their features: exactly one of the three."""

    member_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    histories: Annotated[list[History], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    features: Annotated[list[Features], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    as_of: Annotated[str, Field(max_length=40), AfterValidator(_iso)] | None = Field(
        None,
        description="with histories or features: date or time to score at, local unless it says otherwise; "
        "absent: that of the current publication, else now",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(form is not None for form in (self.member_ids, self.histories, self.features)) != 1:
            raise ValueError("give either member_ids, histories or features")
        if self.as_of is not None and self.member_ids is not None:
            raise ValueError(
                "as_of goes with histories and features; stored decisions have the as_of of their publication"
            )
        return self


class ScoreRequest(MembersRequest):
    """Whom to score, and how many reasons to give in which language."""

    reasons: Annotated[int, Field(ge=0, le=MAX_REASONS)] = 3
    language: Literal["en", "zh", "both"] = "both"


class RecommendRequest(MembersRequest):
    """Whom to recommend something for."""


class ExplainRequest(MembersRequest):
    """Whose churn probability to explain."""


class ItemError(Strict):
    """Why one item of a call is not answered, or not written down."""

    code: ItemErrorCode | ComputeErrorCode | WriteErrorCode
    message: str
    field: str | None = None


class FailedItem(Strict):
    """One item's error; the other items are answered."""

    member_id: str
    error: ItemError


class Answer(Strict):
    """What every answer says of itself."""

    request_id: str
    model_version: str
    policy_version: str | None
    as_of: str = Field(description="ISO date or time the answer holds for", examples=["2026-01-31"])
    computed_at: str = Field(description="ISO time it was computed at")


class Found(Strict):
    """Whom a result is about, and where it comes from."""

    member_id: str
    source: Source = Field(
        description="`published` by the weekly job, `recomputed` from its rows and newer ones, `computed` from those "
        "the call brings"
    )
    as_of: str = Field(description="ISO date or time it holds for")
    computed_at: str = Field(description="ISO time it was computed at")


class ScoredItem(Found):
    """One item's decision."""

    decision: DecisionRecord


class ScoreAnswer(Answer):
    """The answer to a score request: one result per item, in the order asked."""

    results: list[ScoredItem | FailedItem]


class Considered(Strict):
    """What an incentive was shown to do in the member's policy segment."""

    incentive_id: str
    verdict: str
    why: str
    cost_per_member: float
    recall: float
    recall_low: float
    recall_high: float


class RecommendedItem(Found):
    """What to send one member, if anything, and why or why not."""

    policy_segment: str | None
    persona: str | None
    recommended_incentive: str | None
    channel: str | None
    assigned_incentive: str | None
    assigned_channel: str | None
    assigned_cost: float | None
    assigned_by: AssignedBy | None
    assigned_probability: Probability | None
    probabilities: dict[str, Probability]
    expected_cost: float | None
    expected_recall: float | None
    expected_recall_low: float | None
    expected_recall_high: float | None
    evidence: Evidence
    no_offer_reason: NoOfferReason | None
    why_en: str
    why_zh: str
    considered: list[Considered]


class RecommendAnswer(Answer):
    """One recommendation per item, in the order asked."""

    results: list[RecommendedItem | FailedItem]


class ExplainedItem(Found):
    """How far each input of the churn model moved the log-odds; `base` and all `shap_values` add up to `log_odds`."""

    churn_probability: Probability
    base: float
    log_odds: float = Field(description="before calibration")
    shap_values: dict[str, float]
    feature_values: dict[str, float | None]


class ExplainAnswer(Answer):
    """One explanation per item, in the order asked."""

    results: list[ExplainedItem | FailedItem]


class SegmentItem(Strict):
    """What is offered in a policy segment, and what was considered."""

    policy_segment: str
    incentive_id: str | None = Field(description="what is recommended; absent: nothing")
    no_offer_reason: str | None
    needed_sample: int | None
    considered: list[Considered]


class SegmentsAnswer(Answer):
    """The policy as served."""

    evidence: Evidence
    paused: bool
    segments: list[SegmentItem]


class PublicationInfo(Strict):
    """The decisions that are answered by member id."""

    as_of: str
    model_version: str
    policy_version: str | None
    members: int
    published_at: str


class ModelAnswer(Answer):
    """What the service answers with: the model, the policy, and the current publication."""

    programme: str
    currency: str
    trained_until: str
    churn_days: int
    value_days: int
    value_basis: str
    feature_names: list[str]
    evidence: Evidence
    paused_since: str | None
    pause_reason: str | None
    publication: PublicationInfo | None
    refused: dict[str, str] = Field(
        description="what newer (model, policy, keys) could not be taken over, and why; empty when all is well"
    )


class HealthAnswer(Strict):
    """Whether the service is as it should be; it answers either way."""

    status: Literal["ok", "degraded"]
    refused: list[str] = Field(description="what newer could not be taken over; /v1/model says why")


class ErrorBody(Strict):
    """What went wrong with a whole call."""

    code: str
    message: str
    field: str | None
    request_id: str


class ErrorAnswer(Strict):
    """The one error shape."""

    error: ErrorBody
