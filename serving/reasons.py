"""Why a churn probability is what it is: exact SHAP values, gathered into signals and put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundle import Floats, ModelBundle
from serving.records import Reason
from serving.scoring import join_inputs, predict, priors_of, refuse_unfit
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


def contributions(features: pd.DataFrame, bundle: ModelBundle) -> Contributions:
    """Return the exact SHAP values of the churn model, in log-odds."""
    refuse_unfit(features, bundle)
    return _contributions(_inputs(features, bundle), bundle)


def reasons(features: pd.DataFrame, bundle: ModelBundle, *, currency: str, top: int = 3) -> list[list[Reason]]:
    """Return each member's strongest reasons, strongest first.

    Features that tell of the same thing share a code and their SHAP values are added; the one that moved the risk most
    in the common direction speaks for them. Reasons alike to a thousandth keep the order of the features. What does not
    move the risk is no reason, so there may be fewer than ``top``. SHAP values are summed in whole millionths, which
    gives the same sums for a member alone and among all.
    """
    refuse_unfit(features, bundle)
    inputs = _inputs(features, bundle)
    moved = _contributions(inputs, bundle)
    told_as = [_TOLD_AS.get(name, name) for name in moved.columns]
    codes = [signal(name) for name in told_as]
    signals = list(dict.fromkeys(codes))
    belongs = np.array([[code == own for code in codes] for own in signals])
    whole = np.rint(moved.shap * MILLIONTHS).astype(np.int64)
    by_signal = whole @ belongs.T
    ranked = np.argsort(-_thousandths(by_signal), axis=1, kind="stable")[:, :top]
    seen = inputs[told_as].to_numpy(np.float64)
    words = vocabulary(bundle.windows, bundle.value_days)

    found: list[list[Reason]] = [[] for _ in range(len(features))]
    for group in ranked.T:
        strength = np.take_along_axis(by_signal, group[:, None], axis=1)[:, 0]
        toward = np.where(belongs[group], whole * np.sign(strength)[:, None], np.iinfo(np.int64).min)
        speaker = toward.argmax(axis=1)
        for row in np.flatnonzero(_thousandths(strength)):
            name, value = told_as[speaker[row]], float(seen[row, speaker[row]])
            en, zh = sentences(words[name], value, raises=bool(strength[row] > 0), currency=currency)
            reason = Reason(
                code=signals[group[row]],
                feature=name,
                feature_value=None if np.isnan(value) else value,
                shap_value=float(strength[row] / MILLIONTHS),
                en=en,
                zh=zh,
            )
            found[row].append(reason)
    return found


def signal(name: str) -> str:
    """Return the reason code of a feature; one that belongs to no known signal is its own, over all its windows."""
    known = (code for code, starts in SIGNALS.items() if name.startswith(starts))
    return next(known, re.sub(r"_\d+d$", "", name))


def _thousandths(millionths: Whole) -> Whole:
    return (np.abs(millionths) + ALIKE // 2) // ALIKE


def _inputs(features: pd.DataFrame, bundle: ModelBundle) -> pd.DataFrame:
    return pd.concat([features, priors_of(features, bundle)], axis=1)


def _contributions(inputs: pd.DataFrame, bundle: ModelBundle) -> Contributions:
    model = bundle.models["churn"]
    shap = predict(model, join_inputs(inputs, inputs, bundle.feature_names), pred_contrib=True)
    values, base = shap[:, :-1], float(shap[0, -1]) if len(shap) else 0.0
    if model.offset is None:
        return Contributions(bundle.feature_names, values, base)
    offset = model.offset_weight * (inputs[model.offset].to_numpy(np.float64) - model.offset_mean)
    start = model.offset_shift + model.offset_weight * model.offset_mean
    return Contributions((*bundle.feature_names, model.offset), np.column_stack([values, offset]), base + start)
