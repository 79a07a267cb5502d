"""The formulas agree with simulated members, and stay finite and coherent whatever the parameters."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from bundles import make_constants, make_features
from hypothesis import given
from hypothesis import strategies as st

from serving.bundle import BetaGeometric, GammaGamma
from serving.priors import (
    PRIOR_COLUMNS,
    days_until_order,
    expected_orders,
    expected_spend,
    next_order,
    orders_if_alive,
    p_alive,
    p_orders,
    p_orders_if_alive,
    prior_columns,
    typical_gap_days,
)

CDNOW = BetaGeometric(r=0.243, alpha=4.414, a=0.793, b=2.426, leaves_after_first=False)
BUSY = BetaGeometric(r=2.0, alpha=6.0, a=1.2, b=3.0, leaves_after_first=False)
FICKLE = BetaGeometric(r=0.7, alpha=5.0, a=0.9, b=1.6)
AGE, AHEAD = 30.0, 13.0


class Lives(NamedTuple):
    repeats: np.ndarray
    last: np.ndarray
    alive: np.ndarray
    ahead: np.ndarray
    wait: np.ndarray


def live(btyd: BetaGeometric, members: int, seed: int = 3) -> Lives:
    """Let members order and leave as BG/NBD or MBG/NBD says, for AGE weeks and then AHEAD more."""
    rng = np.random.default_rng(seed)
    rate, leaving = rng.gamma(btyd.r, 1 / btyd.alpha, members), rng.beta(btyd.a, btyd.b, members)
    repeats, last, ahead = np.zeros(members), np.zeros(members), np.zeros(members)
    wait = np.full(members, np.inf)
    alive_at_age = ~(btyd.leaves_after_first & (rng.random(members) < leaving))
    here = np.flatnonzero(alive_at_age)
    now = np.zeros(len(here))
    while len(here):
        now = now + rng.exponential(1 / np.maximum(rate[here], 1e-12))
        here, now = here[now < AGE + AHEAD], now[now < AGE + AHEAD]
        seen = now < AGE
        repeats[here[seen]] += 1
        last[here[seen]] = now[seen]
        ahead[here[~seen]] += 1
        wait[here[~seen]] = np.minimum(wait[here[~seen]], now[~seen] - AGE)
        stays = rng.random(len(here)) >= leaving[here]
        alive_at_age[here[seen & ~stays]] = False
        here, now = here[stays], now[stays]
    return Lives(repeats, last, alive_at_age, ahead, wait)


def assert_mean_agrees(expected: np.ndarray, observed: np.ndarray) -> None:
    error = (observed - expected).std() / np.sqrt(len(observed))
    assert abs((observed - expected).mean()) < 4 * error + 1e-9


@pytest.fixture(scope="module", params=[CDNOW, BUSY, FICKLE], ids=["rare", "busy", "fickle"])
def simulated(request):
    return request.param, live(request.param, 200_000)


@pytest.mark.parametrize("repeats", [0, 1, 2, 5, 8])
def test_formulas_agree_with_simulated_members_of_each_frequency(simulated, repeats):
    btyd, lives = simulated
    chosen = lives.repeats == repeats
    x, last, age = lives.repeats[chosen], lives.last[chosen], np.full(chosen.sum(), AGE)
    assert_mean_agrees(p_alive(x, last, age, btyd), lives.alive[chosen].astype(float))
    assert_mean_agrees(expected_orders(x, last, age, btyd, AHEAD), lives.ahead[chosen])
    assert_mean_agrees(p_orders(x, last, age, btyd, AHEAD), (lives.ahead[chosen] > 0).astype(float))


def test_formulas_agree_with_simulated_members_of_each_silence(simulated):
    btyd, lives = simulated
    for low, high in ((0, 10), (10, 20), (20, 30)):
        chosen = (lives.repeats >= 2) & (lives.last >= low) & (lives.last < high)
        x, last, age = lives.repeats[chosen], lives.last[chosen], np.full(chosen.sum(), AGE)
        assert_mean_agrees(expected_orders(x, last, age, btyd, AHEAD), lives.ahead[chosen])
        assert_mean_agrees(p_orders(x, last, age, btyd, AHEAD), (lives.ahead[chosen] > 0).astype(float))


def test_the_published_cdnow_example_comes_out():
    """Fader, Hardie and Lee: a member with 2 repeats, the last in week 30.43, seen for 38.86 weeks, next 39 weeks."""
    x, last, age = np.array([2.0]), np.array([30.43]), np.array([38.86])
    assert expected_orders(x, last, age, CDNOW, 39.0)[0] == pytest.approx(1.226, abs=5e-4)


def test_spend_agrees_with_simulated_members():
    rng, spend, repeats = np.random.default_rng(5), GammaGamma(p=6.25, q=3.74, v=15.44), 3
    scale = rng.gamma(spend.q, 1 / spend.v, 200_000)
    mean_value = rng.gamma(spend.p * repeats, 1 / (scale * repeats))
    mean_to_come = spend.p / scale
    x = np.full(len(scale), float(repeats))
    for low, high in ((5, 20), (20, 40), (40, 100)):
        chosen = (mean_value >= low) & (mean_value < high)
        assert_mean_agrees(expected_spend(x[chosen], mean_value[chosen], spend), mean_to_come[chosen])


def test_spend_without_repeats_is_the_population_mean():
    spend = GammaGamma(p=6.0, q=4.0, v=15.0)
    np.testing.assert_allclose(expected_spend(np.array([0.0]), np.array([np.nan]), spend), 30.0)


positive = st.floats(-4, 4).map(lambda exponent: 10.0**exponent)


@given(
    r=positive,
    alpha=positive,
    a=positive | st.just(1.0),
    b=positive | st.just(1.0),
    weeks=st.floats(0.15, 520),
    leaves_after_first=st.booleans(),
)
def test_formulas_are_finite_and_coherent_for_any_parameters(r, alpha, a, b, weeks, leaves_after_first):
    btyd = BetaGeometric(r=r, alpha=alpha, a=a, b=b, leaves_after_first=leaves_after_first)
    grid = np.array([(x, s, t) for x in (0, 1, 7, 5_000) for t in (0.0, 3.0, 2_000.0) for s in (0.0, 0.5, 1.0)])
    x, age = grid[:, 0], grid[:, 2]
    alive = p_alive(x, grid[:, 1] * age, age, btyd)
    some, orders = p_orders_if_alive(x, age, btyd, weeks), orders_if_alive(x, age, btyd, weeks)
    assert np.isfinite(alive).all()
    assert ((alive >= 0) & (alive <= 1)).all()
    assert ((some >= 0) & (some <= 1)).all()
    assert np.isfinite(orders).all()
    assert (orders >= some).all()
    assert (orders <= (r + x) * weeks / (alpha + age) * (1 + 1e-12)).all()


def test_where_the_hypergeometric_overflows_the_stand_in_is_close():
    x, age = np.array([0.0, 3.0, 40.0]), np.array([0.2, 2.0, 20.0])
    leaving = np.random.default_rng(2).beta(160.0, 480.0 + x, (100_000, 3))
    by_chance_of_leaving = -np.expm1(-(1.0 + x) * np.log1p(leaving * 150.0 / (1.0 + age))) / leaving
    orders = orders_if_alive(x, age, BetaGeometric(r=1.0, alpha=1.0, a=160.0, b=479.0), 150.0)
    np.testing.assert_allclose(orders, by_chance_of_leaving.mean(axis=0), rtol=0.01)


def test_longer_silence_never_raises_the_chance_of_an_order():
    features = make_features(1).loc[[0] * 30].reset_index(drop=True)
    silent = np.arange(30) * 20.0
    features = features.assign(
        repeat_order_days=6.0, first_to_last_days=200.0, recency_days=silent, tenure_days=200.0 + silent
    )
    priors = prior_columns(features, make_constants(), 91, 91)
    assert (np.diff(priors["prior_p_orders"]) < 0).all()
    assert (np.diff(priors["prior_churn_logit"]) > 0).all()


def test_columns_fit_together():
    features = make_features(200)
    priors = prior_columns(features, make_constants(), 56, 91)
    assert tuple(priors.columns) == PRIOR_COLUMNS
    assert (priors.dtypes == np.float64).all()
    logistic = 1 / (1 + np.exp(-priors["prior_orders_logit"]))
    np.testing.assert_allclose(logistic, priors["prior_p_orders"].clip(0.001, 0.999), rtol=1e-6)
    np.testing.assert_allclose(np.exp(priors["prior_log_value"]), priors["prior_value_if_active"], rtol=1e-6)
    np.testing.assert_allclose(
        priors["prior_expected_value"], priors["prior_p_orders"] * priors["prior_value_if_active"], rtol=1e-6, atol=1e-6
    )
    assert (1 / (1 + np.exp(priors["prior_churn_logit"])) <= priors["prior_p_orders"].clip(lower=0.001) + 1e-9).all()


def test_members_without_an_order_are_taken_as_if_joining_were_their_first():
    features = make_features(40)
    never = features["order_count"] == 0
    priors = prior_columns(features, make_constants(), 91, 91)
    assert np.isfinite(priors.drop(columns="prior_overdue")).all(axis=None)
    assert priors["prior_overdue"].isna().equals(never)
    assert (priors.loc[never, "prior_value_per_order"] == 30.0).all()
    once = features[never].assign(tenure_days=features["joined_days"], first_to_last_days=0.0, recency_days=5.0)
    like_once = prior_columns(once, make_constants(), 91, 91)
    pd.testing.assert_series_equal(priors.loc[never, "prior_p_orders"], like_once["prior_p_orders"])


def test_a_member_of_whom_nothing_is_known_gets_finite_columns():
    features = make_features(1).assign(
        **dict.fromkeys(
            ("recency_days", "tenure_days", "joined_days", "first_to_last_days", "repeat_value_mean"), np.nan
        ),
        order_count=0.0,
        repeat_order_days=0.0,
        gap_count=0.0,
        gap_median_days=np.nan,
    )
    assert np.isfinite(prior_columns(features, make_constants(), 91, 91).drop(columns="prior_overdue")).all(axis=None)


def test_a_negative_mean_value_counts_as_nothing():
    features = make_features(1).assign(repeat_order_days=4.0, repeat_value_mean=-50.0)
    per_order = prior_columns(features, make_constants(), 91, 91)["prior_value_per_order"][0]
    assert 0 < per_order < 30


def test_columns_do_not_depend_on_the_other_rows():
    features = make_features(60)
    together = prior_columns(features, make_constants(), 91, 182)
    alone = pd.concat([prior_columns(features.loc[[i]], make_constants(), 91, 182) for i in features.index])
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


@pytest.mark.parametrize(
    ("count", "own", "prior_gaps", "typical"),
    [(0, np.nan, 2, 28), (2, 10, 2, 19), (8, 10, 2, 13.6), (8, 10, 0, 10), (0, np.nan, 0, 28)],
)
def test_the_typical_gap_shrinks_to_the_programmes_median(count, own, prior_gaps, typical):
    features = pd.DataFrame({"gap_count": [float(count)], "gap_median_days": [float(own)]})
    constants = make_constants(fitted_at=datetime(2026, 1, 1), median_gap_days=28.0)
    assert typical_gap_days(features, constants, prior_gaps)[0] == pytest.approx(typical)


@pytest.mark.parametrize("btyd", [CDNOW, BUSY])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_who_is_still_there_orders_within_the_stated_days_as_often_as_stated(btyd, probability):
    lives = live(btyd, 60_000)
    days = days_until_order(lives.repeats, np.full(len(lives.repeats), AGE), btyd, probability)
    seen = lives.alive & (days <= 7 * AHEAD)
    assert seen.sum() > 300
    in_time = (7 * lives.wait[seen] <= days[seen]).mean()
    assert in_time == pytest.approx(probability, abs=4 * np.sqrt(probability * (1 - probability) / seen.sum()))


def test_the_next_order_lies_within_its_interval_and_no_date_lies_beyond_the_horizon():
    expected = pd.DataFrame(next_order(make_features(200), make_constants(), 91))
    days = expected[["next_order_low_days", "next_order_days", "next_order_high_days"]]
    assert (days.max() <= 91).all()
    assert days.notna().any(axis=None)
    stated = days.dropna()
    assert (stated.iloc[:, 0] < stated.iloc[:, 1]).all()
    assert (stated.iloc[:, 1] < stated.iloc[:, 2]).all()
    assert (days.iloc[:, 1].isna() <= days.iloc[:, 2].isna()).all()
    later = pd.DataFrame(next_order(make_features(200), make_constants(), 3650))
    assert (later.notna().sum() >= expected.notna().sum()).all()


def test_nothing_is_said_of_the_next_order_of_who_never_ordered():
    features = make_features(200)
    expected = pd.DataFrame(next_order(features, make_constants(), 91), features.index)
    assert expected[features["recency_days"].isna()].isna().all(axis=None)
    assert expected.loc[features["recency_days"].notna(), "active_probability"].between(0, 1).all()
