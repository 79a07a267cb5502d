"""What a model is: what it predicts, for whom, from which start, and how it is grown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from serving.bundle import ModelName, Offset

GROWTH: Mapping[str, Any] = {
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "feature_fraction": 0.6,
}
"""How trees are grown, for every programme. Small trees keep explaining a score cheap."""

Bend = tuple[float, float]
"""Weights of the log of a probability and of the negative log of its complement in calibrated log-odds; (1, 1) leaves
the probability as it is."""

Growth = Mapping[ModelName, Mapping[str, Any]]
"""LightGBM parameters by model."""


@dataclass(frozen=True)
class ModelSpec:
    """One LightGBM model.

    Attributes
    ----------
    name
        What the bundle calls it.
    label
        Column of the labels it predicts.
    objective, metric
        LightGBM's, for growing and for choosing the number of rounds.
    offset, offset_weight
        Prior column on the link scale, and the share of it that the trees start from: the formulas are surer of
        themselves than they are right, most of all of who orders (docs/models.md).
    among
        Label column that must be 1 for a row to be learnt from; None takes all.
    label_floor
        Labels below count as this: a log link knows no zero and no negative value.
    bend
        Of a classifier: how its probabilities usually have to be bent, on the development back-tests (docs/models.md).
    growth
        Further LightGBM parameters.
    """

    name: ModelName
    label: str
    objective: str
    metric: str
    offset: Offset
    offset_weight: float
    among: str | None = None
    label_floor: float | None = None
    bend: Bend = (1.0, 1.0)
    growth: Mapping[str, Any] = field(default_factory=lambda: GROWTH)

    def grown(self, growth: Growth) -> ModelSpec:
        """Return the same model with these parameters instead of its own where they say so."""
        return replace(self, growth={**self.growth, **growth.get(self.name, {})})
