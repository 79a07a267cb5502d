"""The decision record - what the batch writes, the store keeps and the service answers - and its frames."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pandas as pd
import pandera.pandas as pa
import pyarrow
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from features.settings import State, Tier
from serving.history import HistoryLevel
from serving.policy_table import Grounds

NoOfferReason = Literal[
    "not_lapsed", "no_effect", "not_worth_it", "insufficient_evidence", "observational_only", "ineligible", "consent",
    "cooldown", "message_cap", "cost_cap", "not_moved", "setup_cost", "budget", "paused",
]  # fmt: skip
AssignedBy = Literal["policy", "exploration", "holdout"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Frozen; unknown fields, numbers as text, NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Reason(Strict):
    """One reason for a churn probability: what was seen, and how it moved the log-odds."""

    code: str
    feature: str
    feature_value: float | None = Field(description="absent when the member has no such value")
    shap_value: float = Field(description="above zero raises the churn probability")
    en: str | None = Field(description="absent when only Chinese was asked for")
    zh: str | None = Field(description="absent when only English was asked for")


class DecisionRecord(Strict):
    """Everything decided about one member as of a date: a row of the batch, an answer of the service."""

    member_id: str
    as_of: str = Field(description="ISO date in the programme's time zone", examples=["2026-01-31"])
    model_version: str
    policy_version: str | None = Field(description="absent when no policy table existed")
    currency: str
    churn_probability: Probability
    order_probability: Probability
    order_within: dict[str, Probability] = Field(
        description="probability of an order within each number of days in `more_days` of the programme file",
        examples=[{"28": 0.2, "182": 0.55}],
    )
    expected_value: float
    expected_value_low: float = Field(description="start of the 80 % interval; 0 where no order is likely enough")
    expected_value_high: float = Field(description="end of the 80 % interval")
    value_if_active: float
    historic_value: float
    value_at_stake: float
    active_probability: Probability | None = Field(description="of still being there; absent without an order")
    next_order_days: float | None = Field(
        description="median days from as_of to the next order, if active; absent when beyond the horizons"
    )
    next_order_low_days: float | None = Field(description="a tenth order sooner; absent when beyond the horizons")
    next_order_high_days: float | None = Field(description="a tenth order later; absent when beyond the horizons")
    history_level: HistoryLevel = Field(description="how much the member's orders say")
    tier: Tier
    state: State
    persona: str | None
    policy_segment: str | None
    reasons: list[Reason]
    recommended_incentive: str | None
    channel: str | None = Field(description="how the recommended incentive goes out")
    assigned_incentive: str | None = Field(description="what is to be sent")
    assigned_channel: str | None = Field(description="how it goes out")
    assigned_cost: float | None = Field(description="expected of it, per member")
    assigned_by: AssignedBy | None = Field(description="absent where nothing could be assigned, not even control")
    assigned_probability: Probability | None = Field(description="chance of coming to what is assigned")
    probabilities: dict[str, Probability] = Field(
        description="chance of control and of every arm the member may get; an arm is an incentive, or "
        "incentive@channel where it has several channels"
    )
    expected_cost: float | None
    expected_recall: float | None = Field(
        description="added probability of ordering again; of a bet, pooled over segments"
    )
    expected_recall_low: float | None = Field(
        description="start of the simultaneous interval that decided; of a bet, of the 95 % interval"
    )
    expected_recall_high: float | None = Field(description="its end")
    evidence: Grounds
    no_offer_reason: NoOfferReason | None


_OPTIONAL = {name for name, kind in get_type_hints(DecisionRecord).items() if NoneType in get_args(kind)}
_MAPS = {name for name, kind in get_type_hints(DecisionRecord).items() if get_origin(kind) is dict}
_NUMBERS = {
    name
    for name, kind in get_type_hints(DecisionRecord).items()
    if float in (kind, *get_args(kind)) and name not in _MAPS
}
TEXTS = frozenset(DecisionRecord.model_fields) - _NUMBERS - _MAPS - {"reasons"}
"""The fields that are texts."""
_PROBABILITIES = ("churn_probability", "order_probability", "active_probability", "assigned_probability")


def _column(name: str) -> pa.Column:
    if name == "reasons" or name in _MAPS:
        return pa.Column()
    checks = [pa.Check.in_range(0, 1)] if name in _PROBABILITIES else []
    return pa.Column(
        float if name in _NUMBERS else "str", checks, nullable=name in _OPTIONAL, unique=name == "member_id"
    )


Decisions = pa.DataFrameSchema(
    {name: _column(name) for name in DecisionRecord.model_fields}, strict=True, ordered=True, coerce=True
)
"""A frame of decision records, one row per member; ``reasons`` holds lists of mappings; maps are mappings; as objects
or Arrow's."""

_ARROW_REASON = pyarrow.struct(
    {name: pyarrow.float64() if name.endswith("_value") else pyarrow.string() for name in Reason.model_fields}
)


def _arrow_type(name: str) -> pyarrow.DataType:
    if name == "reasons":
        return pyarrow.list_(_ARROW_REASON)
    if name in _MAPS:
        return pyarrow.map_(pyarrow.string(), pyarrow.float64())
    if name == "as_of":
        return pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    return pyarrow.float64() if name in _NUMBERS else pyarrow.string()


DECISIONS_ARROW = pyarrow.schema({name: _arrow_type(name) for name in DecisionRecord.model_fields})
"""The same, as it is written to Parquet. ``as_of`` has the type that pandas gives a partition's folder name, so that a
whole folder can be read."""

_RECORDS = TypeAdapter(list[DecisionRecord])


def decision_table(decisions: pd.DataFrame) -> pyarrow.Table:
    """Check decisions and return them in the form they are written in; what is absent is null."""
    return _arrow(Decisions.validate(decisions))


def decision_records(decisions: pyarrow.Table | pd.DataFrame | Mapping[str, Any]) -> list[DecisionRecord]:
    """Return the rows of a decision table as records; columns not checked yet are checked as records."""
    table = decisions if isinstance(decisions, pyarrow.Table) else _arrow(decisions)
    return _RECORDS.validate_python(table.to_pylist(maps_as_pydicts="strict"))


def _arrow(decisions: pd.DataFrame | Mapping[str, Any]) -> pyarrow.Table:
    columns = [pyarrow.array(decisions[field.name], field.type, from_pandas=True) for field in DECISIONS_ARROW]
    return pyarrow.Table.from_arrays(columns, schema=DECISIONS_ARROW)
