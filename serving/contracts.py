"""What goes over the wire: requests and answers, strict both ways."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from serving.policy_table import Evidence
from serving.records import AssignedBy, DecisionRecord, NoOfferReason, Probability, Strict
from serving.rows import History, Id, within_reach

MAX_ITEMS = 1_000
MAX_FEATURES = 1_000

ItemErrorCode = Literal["unknown_member", "not_eligible", "no_history", "duplicate_member", "invalid_history"]
ComputeErrorCode = Literal["invalid_features", "not_recomputed"]
WriteErrorCode = Literal["conflict", "budget", "in_future", "unknown_offer", "unknown_incentive", "unknown_cost"]
Source = Literal["published", "recomputed", "computed"]
MAX_REASONS = 10


def _iso(text: str) -> str:
    within_reach(datetime.fromisoformat(text))
    return text


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
    """Whom a result is about, and where it comes from.

    Its versions are those of the answer, unless it was recomputed by newer ones than published the rest.
    """

    member_id: str
    source: Source = Field(
        description="`published` by the weekly job, `recomputed` from its rows and newer ones, `computed` from those "
        "the call brings"
    )
    as_of: str = Field(description="ISO date or time it holds for")
    computed_at: str = Field(description="ISO time it was computed at")
    model_version: str
    policy_version: str | None


class ScoredItem(Found):
    """One item's decision."""

    decision: DecisionRecord


class ScoreAnswer(Answer):
    """The answer to a score request: one result per item, in the order asked."""

    results: list[ScoredItem | FailedItem]


class Considered(Strict):
    """What an incentive was shown to do in the member's policy segment; numbers are absent where it was not tried."""

    incentive_id: str
    verdict: str
    why: str
    cost_per_member: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None


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
