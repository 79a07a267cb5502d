"""What is fitted on a member base, and that it holds for any member base."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.programme import Programme, parse_programme
from serving.bundle import FittedConstants
from serving.priors import PRIOR_COLUMNS, prior_columns
from training import constants
from training.constants import fit_constants

AS_OF = datetime(2026, 1, 5)


def programme(**tiers) -> Programme:
    return parse_programme(
        {"name": "shop", "currency": "CNY", "data": {"orders": {"path": "orders.csv"}}, "tiers": tiers}
    )


def features_of(order_days, value_per_order, tenure_days, last_day_share=0.8) -> pd.DataFrame:
    """Features of members with evenly spaced order days, all alike in what the arrays do not say."""
    days, value, tenure, share = (
        np.asarray(column, dtype=float)
        for column in np.broadcast_arrays(order_days, value_per_order, tenure_days, last_day_share)
    )
    ordered, repeats = days > 0, np.maximum(days - 1, 0)
    first_to_last = np.where(repeats > 0, np.maximum(np.floor(tenure * share), repeats), 0.0)
    tenure = np.maximum(tenure, first_to_last)
    gap = np.where(repeats > 0, first_to_last / np.maximum(repeats, 1), np.nan)
    return pd.DataFrame(
        {
            "member_id": [f"m{row:06}" for row in range(len(days))],
            "as_of": pd.Series(AS_OF, index=range(len(days)), dtype="datetime64[us]"),
            "order_days": days,
            "repeat_order_days": repeats,
            "first_to_last_days": np.where(ordered, first_to_last, np.nan),
            "tenure_days": np.where(ordered, tenure, np.nan),
            "joined_days": tenure,
            "recency_days": np.where(ordered, tenure - first_to_last, np.nan),
            "repeat_value_mean": np.where(repeats > 0, value, np.nan),
            "value_total": days * value,
            "value_per_year": days * value * 365 / np.maximum(tenure, 91),
            "gap_count": repeats,
            "gap_median_days": gap,
        }
    )


def shop_features(members=2000, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return features_of(
        order_days=rng.negative_binomial(1, 0.3, members),
        value_per_order=rng.lognormal(3, 0.7, members),
        tenure_days=rng.integers(30, 700, members),
        last_day_share=rng.beta(2, 2, members),
    )


def is_usable(fitted: FittedConstants, features: pd.DataFrame) -> bool:
    prior = prior_columns(features, fitted, churn_days=91, value_days=182)
    return bool(np.isfinite(prior[list(PRIOR_COLUMNS)].drop(columns="prior_overdue").to_numpy()).all())


def test_tiers_take_the_stated_shares_of_the_members_with_orders():
    features = shop_features()
    fitted = fit_constants(features, programme(high_share=0.1, mid_share=0.4), AS_OF)
    buyers = features[features["order_days"] > 0]
    high = buyers["value_per_year"] >= fitted.high_value_per_year
    mid = ~high & (buyers["value_per_year"] >= fitted.mid_value_per_year)
    assert high.mean() == pytest.approx(0.1, abs=0.002)
    assert mid.mean() == pytest.approx(0.4, abs=0.002)


def test_potential_is_the_top_of_what_members_could_be_worth():
    features = shop_features()
    fitted = fit_constants(features, programme(), AS_OF)
    buyers = features[features["order_days"] > 0]
    could_be = prior_columns(buyers, fitted, churn_days=91, value_days=91)["prior_value_if_active"]
    assert (could_be >= fitted.potential_value_if_active).mean() == pytest.approx(0.2, abs=0.01)


def test_every_member_has_one_vote_in_the_typical_gap():
    features = features_of(order_days=[2, 2, 2, 41], value_per_order=10, tenure_days=[75, 100, 125, 100])
    assert fit_constants(features, programme(), AS_OF).median_gap_days == 70.0


def test_time_is_fitted_in_weeks():
    features = features_of(order_days=np.full(300, 53), value_per_order=10, tenure_days=364, last_day_share=1)
    fitted = fit_constants(features, programme(), AS_OF)
    assert fitted.btyd.r / fitted.btyd.alpha == pytest.approx(1.0, rel=0.05)


def test_members_without_orders_change_nothing():
    features = shop_features()
    buyers = features[features["order_days"] > 0]
    assert fit_constants(features, programme(), AS_OF) == fit_constants(buyers, programme(), AS_OF)


def test_where_nobody_repeats_spend_is_learnt_from_first_orders():
    features = features_of(order_days=np.ones(50), value_per_order=np.linspace(30, 50, 50), tenure_days=100)
    fitted = fit_constants(features, programme(), AS_OF)
    assert fitted.spend.p * fitted.spend.v / (fitted.spend.q - 1) == pytest.approx(40, rel=0.1)
    assert fitted.mean_value_per_order == pytest.approx(40)
    assert fitted.median_gap_days == programme().horizons.churn_days


def test_a_base_that_never_ordered_reaches_no_tier():
    features = features_of(order_days=np.zeros(5), value_per_order=0, tenure_days=30)
    fitted = fit_constants(features, programme(), AS_OF)
    assert not (features["value_per_year"] >= fitted.mid_value_per_year).any()
    assert fitted.potential_value_if_active == np.inf
    assert is_usable(fitted, features)


def test_a_large_base_is_fitted_on_a_part_that_is_always_the_same(monkeypatch):
    features = shop_features()
    whole = fit_constants(features, programme(), AS_OF)
    monkeypatch.setattr(constants, "FITTED_MEMBERS", 500)
    part = fit_constants(features, programme(), AS_OF)
    assert part == fit_constants(features, programme(), AS_OF)
    assert part.btyd != whole.btyd
    assert part.btyd.r == pytest.approx(whole.btyd.r, rel=0.5)
    assert part.high_value_per_year == whole.high_value_per_year


def test_features_of_another_day_are_refused():
    with pytest.raises(ValueError, match="need features made for that instant"):
        fit_constants(shop_features(50), programme(), datetime(2026, 1, 6))


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.floats(-1e5, 1e6), st.integers(0, 4000), st.floats(0, 1)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_constants_of_any_small_base_are_usable(members):
    features = features_of(*map(np.array, zip(*members, strict=True)))
    fitted = fit_constants(features, programme(), AS_OF)
    assert is_usable(fitted, features)
    assert fitted.high_value_per_year >= fitted.mid_value_per_year > 0
