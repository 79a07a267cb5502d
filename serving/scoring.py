"""From features and a bundle to scores. Pure: the same function serves notebook, batch, endpoint and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.errors import RefusedError
from features.remember import remembered
from serving.bundle import FittedModel, Floats, ModelBundle, ModelName
from serving.by_name import KEYS, Members, numbers, size
from serving.intervals import value_interval
from serving.priors import PRIOR_COLUMNS, PRIOR_INPUTS, prior_columns, prior_values

PROBABILITIES: Final = ("churn_probability", "order_probability")
SCORE_COLUMNS: Final = (
    *KEYS,
    *PROBABILITIES,
    "value_if_active",
    "expected_value",
    "expected_value_low",
    "expected_value_high",
    "historic_value",
    "value_at_stake",
    "prior_expected_value",
)
ONE_THREAD_UP_TO_ROWS: Final = 1_000


class SenselessError(RefusedError):
    """Some members' features give scores that make no sense.

    Attributes
    ----------
    rows
        Of each member, whether they are one of them.
    """

    def __init__(self, message: str, rows: NDArray[np.bool_]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class Inputs:
    """What a bundle's models are given: the prior columns, and all inputs in the models' order, one row per member."""

    priors: Mapping[str, Floats]
    matrix: Floats


def inputs_of(features: Members, bundle: ModelBundle) -> Inputs:
    """Work out what the models are given; raises as :func:`score`."""
    refuse_unfit(features, bundle)
    priors = prior_values(features, bundle.constants, bundle.churn_days, bundle.value_days)
    return Inputs(priors, join_inputs(features, priors, bundle.feature_names))


def score(features: pd.DataFrame, bundle: ModelBundle, inputs: Inputs | None = None) -> pd.DataFrame:
    """Score a FeatureTable: one row per member, in its order, with the columns of `SCORE_COLUMNS`.

    ``inputs`` are those of the features, where they have been worked out already.

    Raises
    ------
    RefusedError
        If features are missing, or ``as_of`` is before ``bundle.trained_until``: the model has seen what came after.
    """
    numbers = score_numbers(features, bundle, inputs or inputs_of(features, bundle))
    return pd.DataFrame({**{key: features[key] for key in KEYS}, **numbers}, index=features.index)


def score_numbers(features: Members, bundle: ModelBundle, inputs: Inputs) -> dict[str, Floats]:
    """Return what :func:`score` does, without the `KEYS` and as arrays."""
    priors, matrix = inputs.priors, inputs.matrix
    churn = _probability("churn", bundle, matrix, priors)
    orders = _order_probability(churn, bundle, matrix, priors)
    value_if_active = bundle.value_factor * np.exp(link_score(bundle.models["value"], matrix, priors))
    expected_value = orders * value_if_active
    low, high = value_interval(orders, value_if_active, bundle.value_spread)
    scores = {
        "churn_probability": churn,
        "order_probability": orders,
        "value_if_active": value_if_active,
        "expected_value": expected_value,
        "expected_value_low": low,
        "expected_value_high": high,
        "historic_value": numbers(features, "value_total"),
        "value_at_stake": value_if_active - expected_value,
        "prior_expected_value": priors["prior_expected_value"],
    }
    _refuse_senseless(features["member_id"], scores)
    return scores


def priors_of(features: pd.DataFrame, bundle: ModelBundle) -> pd.DataFrame:
    """Return the prior columns by the bundle's constants and horizons."""
    return prior_columns(features, bundle.constants, bundle.churn_days, bundle.value_days)


def join_inputs(features: Members, priors: Mapping[str, Floats], feature_names: Sequence[str]) -> Floats:
    """Return the named columns of both as one matrix."""
    matrix = np.empty((size(features), len(feature_names)))
    for place, name in enumerate(feature_names):
        matrix[:, place] = priors[name] if name in PRIOR_COLUMNS else numbers(features, name)
    return matrix


def link_score(model: FittedModel, matrix: Floats, priors: Mapping[str, Floats]) -> Floats:
    """Predict on the link scale (log-odds or log), the offset included."""
    raw = predict(model, matrix, raw_score=True)
    if model.offset is None:
        return raw
    return raw + model.offset_shift + model.offset_weight * np.asarray(priors[model.offset])


def predict(model: FittedModel, matrix: Floats, **options: bool) -> Floats:
    """Run a model's trees. Small inputs use one thread: starting more costs more than it saves."""
    return predict_trees(model.text, matrix, **options)


def predict_trees(text: str, matrix: Floats, **options: bool) -> Floats:
    """Run the trees a text describes; see :func:`predict`."""
    threads = 1 if len(matrix) <= ONE_THREAD_UP_TO_ROWS else 0
    rows = matrix if len(matrix) else np.zeros((1, matrix.shape[1]))
    return np.asarray(booster(text).predict(rows, num_threads=threads, **options))[: len(matrix)]


@remembered
def needed_columns(bundle: ModelBundle) -> list[str]:
    """Return the columns of a FeatureTable that scoring reads."""
    own = (name for name in bundle.feature_names if name not in PRIOR_COLUMNS)
    return list(dict.fromkeys((*KEYS, "value_total", *PRIOR_INPUTS, *own)))


def refuse_unfit(features: Members, bundle: ModelBundle) -> None:
    """Refuse features the bundle cannot score rightly."""
    if missing := sorted(set(needed_columns(bundle)) - set(features)):
        raise RefusedError(
            f"model {bundle.version} needs features that are not there: {', '.join(missing)}; "
            "build them with the windows it was trained on, or train again"
        )
    instants = np.asarray(features["as_of"], "datetime64[us]")
    earlier = instants[instants < np.datetime64(bundle.trained_until, "us")]
    if len(earlier):
        earliest = pd.Timestamp(earlier.min())
        raise RefusedError(
            f"model {bundle.version} was trained on what was known until {bundle.trained_until:%Y-%m-%d %H:%M} UTC "
            f"and cannot score as of {earliest:%Y-%m-%d %H:%M} UTC: it has seen what came after; "
            "use a later as_of or a model trained earlier"
        )


@lru_cache(maxsize=64)
def booster(text: str) -> lgb.Booster:
    """Return the trees a text describes, parsed once."""
    return lgb.Booster(model_str=text)


def _probability(name: ModelName, bundle: ModelBundle, matrix: Floats, priors: Mapping[str, Floats]) -> Floats:
    probability = expit(link_score(bundle.models[name], matrix, priors))
    calibrator = bundle.calibrators.get(name)
    return calibrator(probability) if calibrator else np.asarray(probability)


def _order_probability(churn: Floats, bundle: ModelBundle, matrix: Floats, priors: Mapping[str, Floats]) -> Floats:
    """Probability of an order within the value horizon, kept coherent with that within the churn horizon."""
    if bundle.value_days == bundle.churn_days:
        return 1.0 - churn
    orders = _probability("orders", bundle, matrix, priors)
    bound = np.maximum if bundle.value_days > bundle.churn_days else np.minimum
    return np.asarray(bound(orders, 1.0 - churn))


def _refuse_senseless(member_ids: Any, numbers: Mapping[str, Floats]) -> None:
    """Refuse to hand out what is not finite, or is called a probability and is none."""
    for name, values in numbers.items():
        senseless = ~np.isfinite(values)
        if name in PROBABILITIES:
            senseless |= (values < 0) | (values > 1)
        if senseless.any():
            row = int(senseless.argmax())
            raise SenselessError(
                f"{name} makes no sense for {senseless.sum()} of {len(values)} members, "
                f"as {values[row]} for {np.asarray(member_ids, object)[row]!r}",
                senseless,
            )
