"""Why a churn probability is what it is: exact SHAP values, gathered into signals and put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serving.attribution import shap_values
from serving.bundle import Floats, ModelBundle
from serving.by_name import Members
from serving.scoring import Inputs, inputs_of, join_inputs
from serving.wording import sentences, vocabulary

Whole = NDArray[np.int64]

MILLIONTHS: Final = 1_000_000
ALIKE: Final = 1_000

SIGNALS: Final[Mapping[str, tuple[str, ...]]] = {
    "own_rhythm": ("recency_", "overdue_", "prior_p_", "prior_overdue", "prior_expected_orders"),
    "order_count": ("order_", "repeat_order_", "gap_count"),
    "cadence": ("gap_",),
    "value": ("value_", "net_amount_", "prior_expected_value", "prior_value_if_active"),
    "value_per_order": (
        "repeat_value_",
        "average_order_",
        "first_day_value",
        "largest_order_",
        "prior_value_per_order",
    ),
    "tenure": ("tenure_", "first_to_last_", "joined_", "join_to_"),
    "visits": ("visits_", "days_since_visit"),
    "carts": ("carts_", "days_since_cart", "checkouts_"),
    "messages": ("messages_", "days_since_unsubscribe"),
    "message_response": ("open_rate_", "click_rate_"),
    "discounts": ("discount", "days_since_full_price"),
    "coupons": ("coupons_",),
    "offers": ("offer", "last_offer_", "last_assignment_"),
    "products": ("product_count", "new_product_", "repeat_product_"),
    "categories": ("category_", "new_category_", "top_category_"),
    "returns": ("return_", "days_since_return"),
    "complaints": ("complaint",),
    "points": ("points_",),
    "journey": ("journey_",),
}
"""Reason codes, and how the names of the features begin that tell of the same thing."""

_TOLD_AS: Final[Mapping[str, str]] = {
    "prior_churn_logit": "prior_p_orders",
    "prior_orders_logit": "prior_p_orders",
    "prior_log_value": "prior_value_if_active",
}


@dataclass(frozen=True)
class Contributions:
    """How far each column moved each member's log-odds of churning.

    Attributes
    ----------
    columns
        The bundle's features, and the churn model's offset last when it has one.
    shap
        SHAP values, one row per member and one column per name in ``columns``.
    base
        What the log-odds would be without them: ``base`` and a row's values add up to the uncalibrated log-odds.
    """

    columns: tuple[str, ...]
    shap: Floats
    base: float


def contributions(features: Members, bundle: ModelBundle) -> Contributions:
    """Return the exact SHAP values of the churn model, in log-odds."""
    return _contributions(inputs_of(features, bundle), bundle)


def reasons(
    features: Members, bundle: ModelBundle, inputs: Inputs | None = None, *, currency: str, top: int = 3
) -> pa.ListArray:
    """Return each member's strongest reasons, strongest first: lists of the fields of :class:`serving.records.Reason`.

    Features that tell of the same thing share a code and their SHAP values are added; the one that moved the risk most
    in the common direction speaks for them. Reasons alike to a thousandth keep the order of the features. What does not
    move the risk is no reason, so there may be fewer than ``top``. SHAP values are summed in whole millionths, which
    gives the same sums for a member alone and among all. ``inputs`` are as in :func:`serving.scoring.score`.
    """
    inputs = inputs or inputs_of(features, bundle)
    moved = _contributions(inputs, bundle)
    told_as = tuple(_TOLD_AS.get(name, name) for name in moved.columns)
    by_signal = _by_signal(told_as)
    whole = np.rint(moved.shap * MILLIONTHS).astype(np.int64)
    sums = np.column_stack([whole[:, columns].sum(axis=1) for columns in by_signal.values()])
    ranked = np.argsort(-_thousandths(sums), axis=1, kind="stable")[:, :top]
    strengths = np.take_along_axis(sums, ranked, axis=1)
    speakers = _speakers(whole, ranked, strengths, list(by_signal.values()))

    moves = _thousandths(strengths) > 0
    rows, speaker, strength = np.nonzero(moves)[0], speakers[moves], strengths[moves]
    speaking, which = np.unique(speaker, return_inverse=True)
    values = join_inputs(features, inputs.priors, [told_as[column] for column in speaking])[rows, which]
    en, zh = _sentences(told_as, speaker, values, strength > 0, bundle, currency)
    fields = {
        "code": pa.array(list(by_signal)).take(pa.array(ranked[moves])),
        "feature": pa.array(told_as).take(pa.array(speaker)),
        "feature_value": pa.array(values, mask=np.isnan(values)),
        "shap_value": pa.array(strength / MILLIONTHS),
        "en": pa.array(en, pa.string()),
        "zh": pa.array(zh, pa.string()),
    }
    ends = np.concatenate([[0], np.cumsum(moves.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(list(fields.values()), list(fields)))


def signal(name: str) -> str:
    """Return the reason code of a feature; one that belongs to no known signal is its own, over all its windows."""
    known = (code for code, starts in SIGNALS.items() if name.startswith(starts))
    return next(known, re.sub(r"_\d+d$", "", name))


@lru_cache(maxsize=4)
def _by_signal(names: tuple[str, ...]) -> dict[str, Whole]:
    """Return each signal's code and the columns that tell of it, in the order of the first."""
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        columns.setdefault(signal(name), []).append(column)
    return {code: np.array(of_signal) for code, of_signal in columns.items()}


def _speakers(whole: Whole, ranked: Whole, strengths: Whole, by_signal: Sequence[Whole]) -> Whole:
    """Return, for each signal ranked, the column that moved the risk most in the direction of all."""
    speakers = np.zeros_like(ranked)
    for number in np.unique(ranked).tolist():
        columns = by_signal[number]
        rows, places = np.nonzero(ranked == number)
        toward = whole[np.ix_(rows, columns)] * np.sign(strengths[rows, places])[:, None]
        speakers[rows, places] = columns[toward.argmax(axis=1)]
    return speakers


def _sentences(
    names: Sequence[str], speaker: Whole, values: Floats, raises: NDArray[np.bool_], bundle: ModelBundle, currency: str
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Put reasons into words, English and Chinese; what is said of many is worded once."""
    words = vocabulary(bundle.windows, bundle.value_days)
    texts = np.empty((len(speaker), 2), dtype=object)
    for column in np.unique(speaker):
        for rises in (False, True):
            rows = np.flatnonzero((speaker == column) & (raises == rises))
            distinct, which = np.unique(values[rows], return_inverse=True)
            worded = [sentences(words[names[column]], float(v), raises=rises, currency=currency) for v in distinct]
            texts[rows] = np.array(worded, dtype=object).reshape(-1, 2)[which]
    return texts[:, 0], texts[:, 1]


def _thousandths(millionths: Whole) -> Whole:
    return (np.abs(millionths) + ALIKE // 2) // ALIKE


def _contributions(inputs: Inputs, bundle: ModelBundle) -> Contributions:
    model = bundle.models["churn"]
    values, base = shap_values(model, inputs.matrix)
    if model.offset is None:
        return Contributions(bundle.feature_names, values, base)
    offset = model.offset_weight * (np.asarray(inputs.priors[model.offset]) - model.offset_mean)
    start = model.offset_shift + model.offset_weight * model.offset_mean
    return Contributions((*bundle.feature_names, model.offset), np.column_stack([values, offset]), base + start)
