"""What is estimated from a whole member base as of a date, for the formulas that serve one member at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.bundle import BetaGeometric, FittedConstants, GammaGamma
from serving.priors import DAYS_PER_WEEK, VALUE_FLOOR, prior_columns
from training.btyd import fit_beta_geometric, fit_gamma_gamma

FITTED_MEMBERS: Final = 100_000
"""The buy-till-you-die models are fitted to at most so many members, drawn at random and always the same ones."""


def fit_constants(features: pd.DataFrame, programme: Programme, as_of: datetime) -> FittedConstants:
    """Fit the constants of a member base to its feature table.

    Members who never ordered take no part. Where there is nothing to learn from, nobody's value reaches a tier, the
    typical gap is the churn horizon and an order is worth the smallest amount.

    Parameters
    ----------
    features
        The feature table of all members, made for ``as_of``.
    programme
        Whose horizons and tiers apply.
    as_of
        The instant from which on nothing was seen.
    """
    if not features["as_of"].eq(as_of).all():
        raise ValueError(f"constants as of {as_of} need features made for that instant")
    buyers = features[features["order_days"] > 0]
    sample = buyers.sample(FITTED_MEMBERS, random_state=0) if len(buyers) > FITTED_MEMBERS else buyers
    high_share, mid_share = programme.tiers.high_share, programme.tiers.mid_share
    constants = FittedConstants(
        fitted_at=as_of,
        btyd=order_model(sample),
        spend=_spend_model(sample),
        median_gap_days=_typical_gap_days(buyers, otherwise=programme.horizons.churn_days),
        mean_value_per_order=_value_per_order_day(buyers),
        high_value_per_year=_cut(buyers["value_per_year"], high_share),
        mid_value_per_year=_cut(buyers["value_per_year"], high_share + mid_share),
        potential_value_if_active=np.inf,
    )
    prior = prior_columns(buyers, constants, programme.horizons.churn_days, programme.horizons.value_days)
    potential = _cut(prior["prior_value_if_active"], high_share)
    return constants.model_copy(update={"potential_value_if_active": potential})


def order_model(buyers: pd.DataFrame, *, leaves_after_first: bool = True) -> BetaGeometric:
    """Fit MBG/NBD, or BG/NBD, to the orders in a feature table of members who have ordered."""
    return fit_beta_geometric(
        buyers["repeat_order_days"],
        buyers["first_to_last_days"] / DAYS_PER_WEEK,
        buyers["tenure_days"] / DAYS_PER_WEEK,
        leaves_after_first=leaves_after_first,
    )


def _spend_model(buyers: pd.DataFrame) -> GammaGamma:
    """Fit to repeat orders; where there are none of positive value, to all orders."""
    if (buyers["repeat_value_mean"] > 0).any():
        return fit_gamma_gamma(buyers["repeat_order_days"], buyers["repeat_value_mean"])
    return fit_gamma_gamma(buyers["order_days"], buyers["value_total"] / buyers["order_days"])


def _typical_gap_days(buyers: pd.DataFrame, *, otherwise: float) -> float:
    """Return the median over members of their own median gap: one vote each, or regulars would speak for all."""
    gaps = buyers["gap_median_days"].dropna()
    return float(gaps.median()) if len(gaps) else float(otherwise)


def _value_per_order_day(buyers: pd.DataFrame) -> float:
    order_days = buyers["order_days"].sum()
    return max(float(buyers["value_total"].sum() / order_days), VALUE_FLOOR) if order_days else VALUE_FLOOR


def _cut(values: pd.Series, top_share: float) -> float:
    """Return the value from which on a member is among the top share; a member worth nothing never is."""
    known = values.dropna()
    return max(float(known.quantile(1 - top_share)), VALUE_FLOOR) if len(known) else np.inf
