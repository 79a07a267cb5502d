"""The spread of values around what was expected is learnt by bands, level apart."""

import numpy as np
import pytest

from training.spread import BANDS, FEWEST_IN_BAND, SHARES, fit_spread


def test_each_band_has_its_own_spread_and_the_mean_ratio_of_one():
    rng = np.random.default_rng(0)
    chance = rng.random(4_000)
    expected = rng.gamma(2, 30, 4_000)
    value = expected * 1.3 * np.where(chance < 0.5, rng.exponential(1, 4_000), rng.uniform(0.8, 1.2, 4_000))
    spread = fit_spread(chance, expected, value)
    assert len(spread.ratios) == BANDS
    widths = [np.interp([0.1, 0.9], SHARES, ratios) @ [-1, 1] for ratios in spread.ratios]
    assert widths[0] > 1.8 > 0.5 > widths[-1]
    assert [np.trapezoid(ratios, SHARES) for ratios in spread.ratios] == pytest.approx([1.0] * BANDS, abs=0.06)


def test_few_members_make_one_band():
    value = np.linspace(1, 9, 2 * FEWEST_IN_BAND - 1)
    assert fit_spread(np.linspace(0.1, 0.9, len(value)), np.full_like(value, 5.0), value).probability_from == (0.0,)


def test_members_alike_make_one_band():
    value = np.linspace(1, 9, 1_000)
    assert len(fit_spread(np.full_like(value, 0.7), np.full_like(value, 5.0), value).ratios) <= 2


@pytest.mark.parametrize("value", [[], [0.0, 0.0], [-3.0, -1.0]])
def test_without_any_value_the_spread_is_even(value):
    spread = fit_spread(np.full(len(value), 0.5), np.full(len(value), 5.0), np.array(value))
    np.testing.assert_allclose(spread.ratios[0], 2 * SHARES)
