"""Intervals hold what they say when values are drawn from the distribution they describe."""

import numpy as np
import pytest
from scipy.stats import kstest

from serving.bundle import ValueSpread
from serving.intervals import MEMBER_CONFIDENCE, total_interval, value_interval, value_quantile, value_rank

MEMBERS = 20_000
SHARES = np.linspace(0, 1, 201)
SPREAD = ValueSpread(
    probability_from=(0.0, 0.6),
    ratios=(tuple(2 * SHARES), tuple(0.5 + SHARES)),
)


@pytest.fixture(scope="module")
def drawn():
    """Members' probabilities and values if active, and values drawn by `SPREAD`."""
    rng = np.random.default_rng(3)
    chance, if_active = rng.uniform(0.2, 1.0, MEMBERS), rng.gamma(2, 50, MEMBERS)
    share = rng.random(MEMBERS)
    ratio = np.where(chance < 0.6, 2 * share, 0.5 + share)
    return chance, if_active, np.where(rng.random(MEMBERS) < chance, if_active * ratio, 0.0)


def test_intervals_cover_as_stated_with_and_without_zero_in_them(drawn):
    chance, if_active, value = drawn
    low, high = value_interval(chance, if_active, SPREAD)
    covered = (low <= value) & (value <= high)
    for part in (chance < 0.6, (chance > 0.6) & (chance < 0.9), chance > 0.9):
        assert covered[part].mean() == pytest.approx(MEMBER_CONFIDENCE, abs=0.02)
    assert (low[chance < 0.9] == 0).all()
    assert (low[chance > 0.91] > 0).all()
    assert (low <= high).all()


def test_ranks_are_uniform_and_no_longer_when_values_are_higher(drawn):
    chance, if_active, value = drawn
    assert kstest(value_rank(value, chance, if_active, SPREAD), "uniform").statistic < 0.015
    assert kstest(value_rank(1.5 * value, chance, if_active, SPREAD), "uniform").statistic > 0.1


def test_quantiles_are_zero_up_to_the_probability_of_no_order_and_rise_from_there():
    chance, if_active = np.full(5, 0.5), np.full(5, 10.0)
    quantiles = value_quantile(np.array([0.0, 0.5, 0.75, 0.9, 1.0]), chance, if_active, SPREAD)
    np.testing.assert_allclose(quantiles, [0, 0, 10, 16, 20])


def test_a_member_who_surely_orders_or_surely_not_has_an_interval_too():
    low, high = value_interval(np.array([0.0, 1.0]), np.array([10.0, 10.0]), SPREAD)
    np.testing.assert_allclose(low, [0, 6])
    np.testing.assert_allclose(high, [0, 14])


def test_totals_vary_by_chance_alone_as_much_as_stated(drawn):
    chance, if_active = (column[:200] for column in drawn[:2])
    total = total_interval(chance, if_active, SPREAD, level_margin=0.0)
    rng = np.random.default_rng(4)
    share = rng.random((2_000, 200))
    ratio = np.where(chance < 0.6, 2 * share, 0.5 + share)
    totals = (if_active * ratio * (rng.random(share.shape) < chance)).sum(axis=1)
    assert total.value == pytest.approx(totals.mean(), rel=0.02)
    assert ((total.low <= totals) & (totals <= total.high)).mean() == pytest.approx(0.9, abs=0.02)


def test_an_unsure_level_widens_totals_however_many_members_they_have(drawn):
    chance, if_active, _ = drawn
    total = total_interval(chance, if_active, SPREAD, level_margin=0.3)
    assert total.high / total.value == pytest.approx(np.exp(0.3), rel=0.01)
    assert total.value / total.low == pytest.approx(np.exp(0.3), rel=0.01)
    assert total_interval(chance[:0], if_active[:0], SPREAD, level_margin=0.3) == (0.0, 0.0, 0.0)
