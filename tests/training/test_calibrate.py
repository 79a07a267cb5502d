"""Calibration straightens probabilities, keeps them off 0 and 1, and believes only part of a level error."""

import numpy as np
import pytest
from scipy.special import expit, logit

from training.calibrate import LEVEL_SHARE, SMALLEST_PROBABILITY, fit_calibrator, level_factor


def overconfident(members=20_000):
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, members)
    outcome = (rng.random(members) < expit(log_odds)).astype(float)
    return expit(-1 + 2 * (log_odds + 1)), outcome


def test_overconfident_probabilities_are_drawn_together():
    probability, outcome = overconfident()
    calibrate = fit_calibrator(probability, outcome)
    slope = np.diff(logit(calibrate(expit(np.array([-2.0, 1.0]))))) / 3
    assert slope[0] == pytest.approx(0.5, abs=0.05)


def test_the_level_moves_part_of_the_way_to_the_observed_one():
    probability, outcome = overconfident()
    lower = np.minimum(outcome, np.random.default_rng(1).random(len(outcome)) < 0.5)
    calibrate = fit_calibrator(probability, lower)
    expected = (1 - LEVEL_SHARE) * probability.mean() + LEVEL_SHARE * lower.mean()
    assert calibrate(probability).mean() == pytest.approx(expected, rel=1e-3)


def test_a_calibrator_rises_strictly_and_never_says_certain():
    for outcome in (np.zeros(60), np.ones(60), np.tile([0.0, 1.0], 30)):
        calibrate = fit_calibrator(np.linspace(0, 1, 60), outcome)
        assert (np.diff(calibrate.y) >= 0).all()
        calibrated = calibrate(np.linspace(0, 1, 101))
        assert calibrated.min() >= SMALLEST_PROBABILITY * 0.999
        assert calibrated.max() <= 1 - SMALLEST_PROBABILITY * 0.999


def test_a_level_factor_is_a_root_of_the_ratio_and_one_where_there_is_none():
    assert level_factor(16.0, 1.0) == pytest.approx(16**LEVEL_SHARE)
    assert level_factor(0.0, 5.0) == level_factor(5.0, 0.0) == level_factor(-3.0, 5.0) == 1.0
