"""Churn probabilities taken apart: how far every input moved the log-odds, by exact SHAP values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from serving.bundle import ModelBundle
from serving.contracts import ItemError
from serving.known import Known, said_of
from serving.reasons import contributions
from serving.scoring import priors_of, score


@dataclass(frozen=True)
class Explanation:
    """One member's churn probability, and what it is made of.

    Attributes
    ----------
    churn_probability
        As in the decision, calibrated.
    base
        The log-odds without anything known.
    log_odds
        Before calibration: ``base`` and all of ``shap_values``.
    shap_values
        By input, in log-odds; an input that is also the model's offset counts once, with both.
    feature_values
        By input; None where there is no such value.
    """

    churn_probability: float
    base: float
    log_odds: float
    shap_values: dict[str, float]
    feature_values: dict[str, float | None]


def explain_known(known: Known, bundle: ModelBundle) -> dict[str, Explanation | ItemError]:
    """Return each member's explanation, or the error that stands in its place."""
    return said_of(known, lambda part: dict(_explain(part.features, bundle)))


def _explain(features: pd.DataFrame, bundle: ModelBundle) -> Iterator[tuple[str, Explanation]]:
    moved = contributions(features, bundle)
    churn = score(features, bundle)["churn_probability"].to_numpy(np.float64)
    names = list(dict.fromkeys(moved.columns))
    belongs = np.array([[column == name for column in moved.columns] for name in names], dtype=np.float64)
    by_name = moved.shap @ belongs.T
    seen = pd.concat([features, priors_of(features, bundle)], axis=1)[names].to_numpy(np.float64)
    for row, member_id in enumerate(features["member_id"]):
        yield (
            member_id,
            Explanation(
                churn_probability=float(churn[row]),
                base=moved.base,
                log_odds=float(moved.base + moved.shap[row].sum()),
                shap_values={name: float(value) for name, value in zip(names, by_name[row], strict=True)},
                feature_values={
                    name: None if np.isnan(value) else float(value)
                    for name, value in zip(names, seen[row], strict=True)
                },
            ),
        )
