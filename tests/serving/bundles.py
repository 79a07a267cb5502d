"""Builders: small feature tables and bundles with really trained models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.settings_members import Windows
from serving.bundle import BetaGeometric, Calibrator, FittedConstants, FittedModel, GammaGamma, ModelBundle, ValueSpread
from serving.policy_table import Choice, Effect, Estimate, PolicyTable
from serving.priors import prior_columns
from serving.scoring import join_inputs, priors_of

TRAINED_UNTIL = datetime(2026, 3, 1)
AS_OF = datetime(2026, 3, 8)
INPUTS = ("recency_days", "order_count", "visits_28d", "open_rate_28d", "prior_p_orders", "prior_overdue")


def make_constants(**changed: Any) -> FittedConstants:
    values: dict[str, Any] = {
        "fitted_at": TRAINED_UNTIL,
        "btyd": BetaGeometric(r=0.243, alpha=4.414, a=0.793, b=2.426),
        "spend": GammaGamma(p=6.25, q=3.74, v=15.44),
        "median_gap_days": 28.0,
        "mean_value_per_order": 30.0,
        "high_value_per_year": 400.0,
        "mid_value_per_year": 100.0,
        "potential_value_if_active": 80.0,
    }
    return FittedConstants(**{**values, **changed})


def make_features(members: int = 40, *, as_of: datetime = AS_OF, seed: int = 1, **columns: Any) -> pd.DataFrame:
    """Make a FeatureTable with the columns the bundle of `make_bundle` needs; every fifth member never ordered."""
    rng = np.random.default_rng(seed)
    never = np.arange(members) % 5 == 4
    tenure = rng.integers(1, 700, members).astype(float)
    repeats = np.where(never, 0, rng.poisson(3, members) * (tenure > 30)).astype(float)
    recency = np.where(repeats > 0, np.floor(tenure * rng.uniform(0, 0.9, members)), tenure)
    value = rng.gamma(6, 6, members)
    table = pd.DataFrame(
        {
            "member_id": [f"m{i:05d}" for i in range(members)],
            "as_of": pd.Series([as_of] * members, dtype="datetime64[us]"),
            "recency_days": np.where(never, np.nan, recency),
            "tenure_days": np.where(never, np.nan, tenure),
            "joined_days": tenure + 3,
            "order_count": np.where(never, 0, repeats + 1),
            "repeat_order_days": repeats,
            "first_to_last_days": np.where(never, np.nan, tenure - recency),
            "repeat_value_mean": np.where(repeats > 0, value, np.nan),
            "value_total": np.where(never, 0, (repeats + 1) * value),
            "gap_count": repeats,
            "gap_median_days": np.where(repeats > 0, (tenure - recency) / np.maximum(repeats, 1), np.nan),
            "visits_28d": rng.poisson(4, members).astype(float),
            "open_rate_28d": np.where(rng.random(members) < 0.3, np.nan, rng.random(members).round(3)),
        }
    )
    return table.assign(**columns)


@cache
def train_text(objective: str, inputs: tuple[str, ...], seed: int) -> str:
    """Train a few trees on made-up members, most of whom stay if they ordered lately."""
    features = make_features(400, seed=seed)
    table = pd.concat([features, prior_columns(features, make_constants(), 91, 91)], axis=1)
    rng = np.random.default_rng(seed)
    if objective == "binary":
        label = (rng.random(400) < 1 / (1 + np.exp(-(table.recency_days.fillna(400) - 120) / 60))).astype(float)
    else:
        label = rng.gamma(2, 20, 400) * (1 + table.order_count)
    settings = {"objective": objective, "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": seed}
    data = lgb.Dataset(table[list(inputs)].to_numpy(), np.asarray(label), feature_name=list(inputs))
    return str(lgb.train({**settings, "deterministic": True, "force_row_wise": True}, data, 12).model_to_string())


def make_model(
    objective: str = "binary", inputs: Sequence[str] = INPUTS, *, seed: int = 1, **changed: Any
) -> FittedModel:
    return FittedModel(text=train_text(objective, tuple(inputs), seed), objective=objective, **changed)


def make_bundle(inputs: Sequence[str] = INPUTS, **changed: Any) -> ModelBundle:
    """Make a bundle of really trained models: churn and value, 91 days, from offsets, churn calibrated."""
    values: dict[str, Any] = {
        "created_at": datetime(2026, 3, 2, 4, 5, 6),
        "programme_name": "test",
        "trained_until": TRAINED_UNTIL,
        "churn_days": 91,
        "value_days": 91,
        "value_basis": "margin",
        "windows": Windows(),
        "feature_names": tuple(inputs),
        "constants": make_constants(),
        "models": {
            "churn": make_model(inputs=inputs, offset="prior_churn_logit", offset_mean=0.25),
            "value": make_model("gamma", inputs, offset="prior_log_value", offset_mean=4.0),
        },
        "calibrators": {"churn": Calibrator(x=(0.0, 0.4, 1.0), y=(0.02, 0.5, 0.97))},
        "value_factor": 0.03,
        "value_spread": ValueSpread(probability_from=(0.0, 0.5), ratios=((0.0, 0.5, 3.0), (0.2, 1.0, 2.0))),
        "level_margin": 0.2,
        "metrics": {"churn_auc": 0.8},
    }
    return ModelBundle(**{**values, **changed})


def make_estimate(value: float = 0.05, se: float = 0.01) -> Estimate:
    return Estimate(
        value=value,
        se=se,
        low=value - 2 * se,
        high=value + 2 * se,
        simultaneous_low=value - 3 * se,
        simultaneous_high=value + 3 * se,
    )


def make_policy_table(**changed: Any) -> PolicyTable:
    effect = Effect(
        policy_segment="high__recent",
        incentive_id="coupon_10",
        n_treated=1200,
        n_control=1100,
        recall=make_estimate(),
        margin=make_estimate(3.0, 0.4),
        net=make_estimate(1.8, 0.4),
        cost_per_member=1.2,
        redemption_rate=0.1,
        verdict="effective",
        why="recall rises by 5 points",
    )
    values: dict[str, Any] = {
        "created_at": datetime(2026, 3, 2),
        "programme_name": "test",
        "as_of": TRAINED_UNTIL,
        "evidence": "randomised",
        "response_days": 28,
        "confidence": 0.95,
        "effects": (effect,),
        "choices": {
            "high__recent": Choice(incentive_id="coupon_10", reason=None),
            "low__long": Choice(incentive_id=None, reason="insufficient_evidence", needed_sample=5200),
        },
    }
    return PolicyTable(**{**values, **changed})


def model_matrix(features: pd.DataFrame, bundle: ModelBundle) -> np.ndarray:
    """Return the models' inputs as scoring joins them."""
    return join_inputs(features, priors_of(features, bundle), bundle.feature_names)
