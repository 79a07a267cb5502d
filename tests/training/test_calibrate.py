"""Calibration straightens probabilities, keeps them off 0 and 1, and gives them the level of the coming window."""

import numpy as np
import pytest
from scipy.special import expit, logit

from training.calibrate import SMALLEST_PROBABILITY, fit_calibrator
from training.churn import CHURN, ORDERS

AS_IT_IS = (1.0, 1.0)


def overconfident(members: int = 20_000):
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1, members)
    outcome = (rng.random(members) < expit(log_odds)).astype(float)
    return expit(-1 + 2 * (log_odds + 1)), outcome


def test_overconfident_probabilities_are_drawn_together():
    probability, outcome = overconfident()
    calibrate = fit_calibrator(probability, outcome, now=probability, level=outcome.mean(), usual=AS_IT_IS)
    slope = np.diff(logit(calibrate(expit(np.array([-2.0, 1.0]))))) / 3
    assert slope[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("level", [0.02, 0.3, 0.9])
def test_the_members_to_be_scored_get_the_level_to_expect(level):
    probability, outcome = overconfident()
    now = probability[:500]
    assert fit_calibrator(probability, outcome, now=now, level=level, usual=AS_IT_IS)(now).mean() == pytest.approx(
        level, rel=1e-2
    )


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_calibrator_rises_and_never_says_certain(level):
    for outcome in (np.zeros(60), np.ones(60), np.tile([0.0, 1.0], 30)):
        probability = np.linspace(0, 1, 60)
        calibrate = fit_calibrator(probability, outcome, now=probability, level=level, usual=AS_IT_IS)
        assert (np.diff(calibrate.y) >= 0).all()
        calibrated = calibrate(np.linspace(0, 1, 101))
        assert calibrated.min() >= SMALLEST_PROBABILITY * 0.999
        assert calibrated.max() <= 1 - SMALLEST_PROBABILITY * 0.999


def test_with_nobody_to_score_there_is_no_level_to_reach():
    truth = np.linspace(0.1, 0.9, 20_000)
    outcome = (np.random.default_rng(0).random(20_000) < truth).astype(float)
    calibrate = fit_calibrator(truth, outcome, now=np.empty(0), level=0.9, usual=AS_IT_IS)
    assert calibrate(truth) == pytest.approx(truth, abs=0.03)


def test_either_end_is_bent_by_its_own_measure():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.7, 0.7, 50_000).clip(1e-3, 1 - 1e-3)
    truth = expit(1.6 * np.log(probability) - 0.8 * np.log1p(-probability))
    outcome = (rng.random(50_000) < truth).astype(float)
    calibrate = fit_calibrator(probability, outcome, now=probability, level=truth.mean(), usual=AS_IT_IS)
    assert np.abs(calibrate(probability) - truth).max() < 0.02


def test_what_few_members_show_is_drawn_to_what_is_usual():
    probability, outcome = overconfident(members=40)
    usual = (1.2, 0.9)
    calibrate = fit_calibrator(probability, outcome, now=np.empty(0), level=0.5, usual=usual)
    some = np.array([0.05, 0.5, 0.95])
    assert calibrate(some) == pytest.approx(expit(1.2 * np.log(some) - 0.9 * np.log1p(-some)), abs=0.02)


def test_staying_and_ordering_are_bent_alike():
    assert ORDERS.bend == CHURN.bend[::-1]
