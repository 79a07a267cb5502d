"""The value model: what a member who orders again will be worth over the value horizon."""

from __future__ import annotations

from serving.priors import VALUE_FLOOR
from training.spec import GROWTH, ModelSpec

VALUE = ModelSpec(
    name="value",
    label="value",
    objective="tweedie",
    metric="tweedie",
    offset="prior_log_value",
    offset_weight=0.75,
    among="ordered",
    label_floor=VALUE_FLOOR,
    growth={**GROWTH, "tweedie_variance_power": 1.5},
)
"""Orders wholly returned leave no value or less; they are learnt from as `label_floor`."""
