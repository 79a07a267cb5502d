"""The buy-till-you-die fits: published values on published data, and always an answer."""

from importlib.metadata import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.btyd import PENALTY, beta_geometric_log_likelihood, fit_beta_geometric, fit_gamma_gamma

HISTORIES = st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 1), st.floats(0, 2000)), max_size=12)
SPENDS = st.lists(st.tuples(st.integers(0, 2000), st.floats(-1e9, 1e9)), max_size=12)


@pytest.fixture(scope="module")
def cdnow_sample() -> pd.DataFrame:
    """The 1-in-10 sample of CDNOW's first quarter of 1997 that the papers use, in weeks."""
    name = "cdnow_customers_summary_with_transactions.csv"
    return pd.read_csv(next(file for file in files("lifetimes") if file.name == name).locate())


def test_cdnow_sample_gives_the_published_order_model(cdnow_sample):
    history = cdnow_sample["x"], cdnow_sample["t_x"], cdnow_sample["T"]
    model = fit_beta_geometric(*history, leaves_after_first=False, penalty=0)
    assert len(cdnow_sample) == 2357
    assert model.r == pytest.approx(0.2426, abs=1e-4)
    assert model.alpha == pytest.approx(4.414, abs=1e-3)
    assert model.a == pytest.approx(0.793, abs=1e-3)
    assert model.b == pytest.approx(2.426, abs=1e-3)
    assert beta_geometric_log_likelihood(model, *history) == pytest.approx(-9582.43, abs=0.005)


def test_cdnow_sample_gives_the_published_spend_model(cdnow_sample):
    model = fit_gamma_gamma(cdnow_sample["x"], cdnow_sample["zbar"], penalty=0)
    assert (cdnow_sample["x"] > 0).sum() == 946
    assert model.p == pytest.approx(6.25, abs=0.005)
    assert model.q == pytest.approx(3.74, abs=0.01)
    assert model.v == pytest.approx(15.44, abs=0.01)


def test_cdnow_sample_gives_the_order_model_of_other_implementations(cdnow_sample):
    """The parameters of MBG/NBD that the R package BTYDplus finds."""
    model = fit_beta_geometric(cdnow_sample["x"], cdnow_sample["t_x"], cdnow_sample["T"], penalty=0)
    assert model.leaves_after_first
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx((0.525, 6.183, 0.891, 1.614), abs=1e-3)


@pytest.mark.parametrize("leaves_after_first", [False, True])
def test_with_many_members_the_penalty_hardly_matters(cdnow_sample, leaves_after_first):
    history = cdnow_sample["x"], cdnow_sample["t_x"], cdnow_sample["T"]
    free, penalised = (
        beta_geometric_log_likelihood(
            fit_beta_geometric(*history, leaves_after_first=leaves_after_first, penalty=penalty), *history
        )
        for penalty in (0.0, PENALTY)
    )
    assert penalised == pytest.approx(free, abs=0.02)


@pytest.mark.parametrize("leaves_after_first", [False, True])
def test_no_other_parameters_fit_better(cdnow_sample, leaves_after_first):
    history = cdnow_sample["x"], cdnow_sample["t_x"], cdnow_sample["T"]
    best = fit_beta_geometric(*history, leaves_after_first=leaves_after_first, penalty=0)
    at_best = beta_geometric_log_likelihood(best, *history)
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.98, 1.02):
            beside = best.model_copy(update={name: getattr(best, name) * factor})
            assert beta_geometric_log_likelihood(beside, *history) < at_best


def test_simulated_parameters_are_recovered():
    rng = np.random.default_rng(1)
    members = 20_000
    spend_scale = rng.gamma(3.0, 1 / 20.0, members)
    frequency = rng.integers(1, 6, members)
    mean_value = rng.gamma(5.0 * frequency, 1 / (spend_scale * frequency))
    model = fit_gamma_gamma(frequency, mean_value)
    assert (model.p, model.q, model.v) == pytest.approx((5.0, 3.0, 20.0), rel=0.1)


def test_the_unit_of_time_scales_alpha_alone(cdnow_sample):
    frequency, recency, age = cdnow_sample["x"], cdnow_sample["t_x"], cdnow_sample["T"]
    weeks, days = fit_beta_geometric(frequency, recency, age), fit_beta_geometric(frequency, 7 * recency, 7 * age)
    assert (days.r, days.alpha / 7, days.a, days.b) == pytest.approx((weeks.r, weeks.alpha, weeks.a, weeks.b), rel=1e-4)


def test_the_currency_scales_v_alone(cdnow_sample):
    dollars = fit_gamma_gamma(cdnow_sample["x"], cdnow_sample["zbar"])
    cents = fit_gamma_gamma(cdnow_sample["x"], 100 * cdnow_sample["zbar"])
    assert (cents.p, cents.q, cents.v / 100) == pytest.approx((dollars.p, dollars.q, dollars.v), rel=1e-4)


@given(HISTORIES)
@example([(0, 0.0, 5e-309)])
@settings(max_examples=60, deadline=None)
def test_the_order_model_always_returns(histories):
    frequency = np.array([x for x, _, _ in histories], dtype=float)
    age = np.array([days / 7 for _, _, days in histories])
    recency = np.where(frequency > 0, age * [share for _, share, _ in histories], 0.0)
    model = fit_beta_geometric(frequency, recency, age)
    assert np.isfinite([model.r, model.alpha, model.a, model.b]).all()
    assert np.isfinite(beta_geometric_log_likelihood(model, frequency, recency, age))


@given(SPENDS)
@settings(max_examples=60, deadline=None)
def test_the_spend_model_always_returns_a_mean_near_the_observed(spends):
    frequency = np.array([x for x, _ in spends], dtype=float)
    mean_value = np.array([z for _, z in spends])
    model = fit_gamma_gamma(frequency, mean_value)
    usable = mean_value[(frequency > 0) & (mean_value >= 1e-6)]
    observed = usable.mean() if len(usable) else 1.0
    assert model.q > 1
    assert observed / 2.01 < model.p * model.v / (model.q - 1) < observed * 2.01


def test_members_who_all_order_weekly_are_seen_as_weekly():
    model = fit_beta_geometric([50.0] * 8, [50.0] * 8, [50.5] * 8)
    assert model.r / model.alpha == pytest.approx(1.0, rel=0.1)
    assert model.a / (model.a + model.b) < 0.02


def test_where_nobody_repeats_the_order_rate_is_low():
    model = fit_beta_geometric(np.zeros(500), np.zeros(500), np.full(500, 52.0))
    assert model.r / model.alpha * 52 < 0.1


def test_where_everybody_spends_the_same_so_does_the_model():
    model = fit_gamma_gamma([3.0] * 200, [40.0] * 200)
    assert model.p * model.v / (model.q - 1) == pytest.approx(40.0, rel=0.01)


def test_a_heavy_tail_does_not_inflate_the_mean_spend():
    rng = np.random.default_rng(3)
    mean_value = rng.lognormal(3.0, 1.5, 5000)
    model = fit_gamma_gamma(np.ones(5000), mean_value)
    assert model.p * model.v / (model.q - 1) <= 2.01 * mean_value.mean()


def test_rows_that_are_not_finite_are_left_out():
    with_gap = fit_beta_geometric([1.0, 2.0, np.nan], [3.0, 4.0, 1.0], [9.0, 9.0, 9.0])
    assert with_gap == fit_beta_geometric([1.0, 2.0], [3.0, 4.0], [9.0, 9.0])


def test_means_that_are_hardly_anything_are_left_out():
    assert fit_gamma_gamma([1, 2, 3], [5e-324, 10.0, 12.0]) == fit_gamma_gamma([2, 3], [10.0, 12.0])
    assert fit_gamma_gamma([1], [5e-324]) == fit_gamma_gamma([], [])
