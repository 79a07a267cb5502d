"""The model bundle: everything that scoring needs, as training hands it over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from features.settings_members import Windows

BUNDLE_FORMAT = 3
Floats = NDArray[np.float64]
ModelName = Literal["churn", "orders", "value"]
Offset = Literal["prior_churn_logit", "prior_orders_logit", "prior_log_value"]


class Record(BaseModel):
    """Frozen, without unknown fields; infinities and NaN survive JSON as strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy with changes; what is worked out from the content is worked out anew."""
        copied = super().model_copy(update=update, deep=deep)
        for worked_out in set(copied.__dict__) - set(type(self).model_fields):
            del copied.__dict__[worked_out]
        return copied


class BetaGeometric(Record):
    """Parameters of MBG/NBD, or of BG/NBD, where nobody leaves before a repeat order; time is in weeks."""

    r: float = Field(gt=0)
    alpha: float = Field(gt=0)
    a: float = Field(gt=0)
    b: float = Field(gt=0)
    leaves_after_first: bool = Field(True, description="whether members may leave after their first order already")


class GammaGamma(Record):
    """Gamma-Gamma parameters of the value per order day."""

    p: float = Field(gt=0)
    q: float = Field(gt=1, description="above 1, or the mean would not exist")
    v: float = Field(gt=0)


class FittedConstants(Record):
    """What is estimated from the whole member base, from rows before ``fitted_at``."""

    fitted_at: datetime
    btyd: BetaGeometric
    spend: GammaGamma
    median_gap_days: float = Field(gt=0, description="of all gaps between order days")
    mean_value_per_order: float = Field(description="per order day; stands in for members without a repeat order")
    high_value_per_year: float = Field(description="tier high from here")
    mid_value_per_year: float = Field(description="tier mid from here")
    potential_value_if_active: float = Field(description="tier potential from here, by the prior's value if active")


class Calibrator(Record):
    """A rising, piecewise linear map from the model's probability to the observed one."""

    x: tuple[float, ...] = Field(min_length=2)
    y: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.x) != len(self.y) or np.any(np.diff(self.x) <= 0) or np.any(np.diff(self.y) < 0):
            raise ValueError("a calibrator needs as many y as x, x rising strictly and y never falling")
        if min(self.y) < 0 or max(self.y) > 1:
            raise ValueError("a calibrator's y are probabilities")
        return self

    def __call__(self, probability: Floats) -> Floats:
        """Map probabilities; those outside the learnt range get the value at its end."""
        return np.interp(probability, self.x, self.y)


class FittedModel(Record):
    """One LightGBM model as text, and the column that was its starting point.

    LightGBM's own predictions leave the offset out; scoring adds it.
    """

    text: str = Field(repr=False)
    objective: str
    offset: Offset | None = None
    offset_weight: float = Field(1.0, ge=0, le=1, description="share of the offset that the trees started from")
    offset_shift: float = Field(0.0, description="what was added to it, so that the start had the right level")
    offset_mean: float = Field(0.0, description="mean offset of the rows trained on")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs the text says it was trained on, in order."""
        start = "feature_names="
        names = next((line for line in self.text.splitlines() if line.startswith(start)), start)
        return tuple(names.removeprefix(start).split())

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.text.startswith("tree\n") or "\nend of trees\n" not in self.text:
            raise ValueError("the LightGBM text is not whole")
        return self


class ValueSpread(Record):
    """How the values of members who order spread around the value if active, as ratios to it, seen out of time."""

    probability_from: tuple[float, ...] = Field(min_length=1, description="bands of the order probability start here")
    ratios: tuple[tuple[float, ...], ...] = Field(description="per band, the ratio at evenly spaced shares from 0 to 1")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.probability_from[0] != 0 or np.any(np.diff(self.probability_from) <= 0):
            raise ValueError("bands start at 0 and rise")
        if len(self.ratios) != len(self.probability_from) or len({len(ratios) for ratios in self.ratios}) != 1:
            raise ValueError("every band needs as many ratios")
        if any(len(ratios) < 2 or ratios[0] < 0 or np.any(np.diff(ratios) < 0) for ratios in self.ratios):
            raise ValueError("ratios are not negative and never fall")
        return self

    @cached_property
    def shares(self) -> Floats:
        """The shares that the ratios belong to."""
        return np.linspace(0, 1, len(self.ratios[0]))

    def of_members(self, order_probability: Floats) -> Iterator[tuple[NDArray[np.bool_], tuple[float, ...]]]:
        """Yield the members of each band, and its ratios."""
        band = np.searchsorted(self.probability_from, order_probability, side="right") - 1
        for number, ratios in enumerate(self.ratios):
            yield band == number, ratios


class ColumnProfile(Record):
    """How a feature was distributed where the models were trained."""

    quantiles: tuple[float, ...]
    missing_share: float = Field(ge=0, le=1)


class ModelBundle(Record):
    """Everything scoring needs: models, calibrators, constants, and what they were trained on."""

    format: int = BUNDLE_FORMAT
    created_at: datetime
    programme_name: str
    trained_until: datetime = Field(description="nothing from this instant on was seen; naive UTC")
    churn_days: int = Field(ge=1)
    value_days: int = Field(ge=1)
    value_basis: str = Field(description="what value is measured in: margin, or revenue where margin is unknown")
    windows: Windows
    feature_names: tuple[str, ...] = Field(min_length=1, description="model inputs in order, prior columns included")
    constants: FittedConstants
    models: dict[ModelName, FittedModel]
    calibrators: dict[ModelName, Calibrator] = Field(default_factory=dict)
    value_factor: float = Field(1.0, gt=0, description="brings values to the level of the coming window")
    value_spread: ValueSpread
    level_margin: float = Field(ge=0, description="by which the log of a total may be off, either way, at 90 %")
    reference_profile: dict[str, ColumnProfile] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _models_fit(self) -> Self:
        needed = {"churn", "value"} | ({"orders"} if self.value_days != self.churn_days else set())
        if missing := sorted(needed - set(self.models)):
            raise ValueError(f"no model {', '.join(missing)}")
        for name, model in self.models.items():
            if model.feature_names != self.feature_names:
                differing = sorted(set(model.feature_names) ^ set(self.feature_names)) or ["their order"]
                raise ValueError(
                    f"model {name} was trained on other features than the bundle names: {', '.join(differing)}"
                )
        return self

    @cached_property
    def version(self) -> str:
        """Hash of the content; when it was made and how well it did are no part of it.

        Nor is what is as by default, so that an optional field added later leaves it as it was.
        """
        return digest(self.model_dump_json(exclude={"created_at", "metrics"}, exclude_defaults=True))[:12]


def digest(content: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
