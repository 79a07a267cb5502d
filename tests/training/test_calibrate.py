"""Calibration straightens probabilities, keeps them off 0 and 1, and gives them the level of the coming window."""

import numpy as np
import pytest
from scipy.special import expit, logit

from training.calibrate import SMALLEST_PROBABILITY, fit_calibrator


def overconfident(members: int = 20_000):
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, members)
    outcome = (rng.random(members) < expit(log_odds)).astype(float)
    return expit(-1 + 2 * (log_odds + 1)), outcome


def test_overconfident_probabilities_are_drawn_together():
    probability, outcome = overconfident()
    calibrate = fit_calibrator(probability, outcome, now=probability, level=outcome.mean())
    slope = np.diff(logit(calibrate(expit(np.array([-2.0, 1.0]))))) / 3
    assert slope[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("level", [0.02, 0.3, 0.9])
def test_the_members_to_be_scored_get_the_level_to_expect(level):
    probability, outcome = overconfident()
    now = probability[:500]
    assert fit_calibrator(probability, outcome, now=now, level=level)(now).mean() == pytest.approx(level, rel=1e-2)


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_calibrator_rises_and_never_says_certain(level):
    for outcome in (np.zeros(60), np.ones(60), np.tile([0.0, 1.0], 30)):
        probability = np.linspace(0, 1, 60)
        calibrate = fit_calibrator(probability, outcome, now=probability, level=level)
        assert (np.diff(calibrate.y) >= 0).all()
        calibrated = calibrate(np.linspace(0, 1, 101))
        assert calibrated.min() >= SMALLEST_PROBABILITY * 0.999
        assert calibrated.max() <= 1 - SMALLEST_PROBABILITY * 0.999


def test_with_nobody_to_score_the_level_is_left_alone():
    probability, outcome = overconfident()
    calibrate = fit_calibrator(probability, outcome, now=np.empty(0), level=0.5)
    assert calibrate(np.array([0.5])) == pytest.approx(0.5)
