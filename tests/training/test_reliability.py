"""Calibration errors by hand; bands and intervals mean what they say."""

import numpy as np
import pytest
from predictions import scored_members

from training.reliability import at_level, ece_band, expected_calibration_error, reliability_table


def test_calibration_error_by_hand():
    # two bins: predicted .2 and observed 0, predicted .8 and observed .5
    assert expected_calibration_error([0, 0, 1, 0], [0.2, 0.2, 0.8, 0.8], bins=2) == pytest.approx(0.25)


def test_a_calibrated_model_lies_in_its_band_and_a_distorted_one_does_not():
    inside = 0
    for seed in range(20):
        churned, probability = scored_members(seed=seed)
        band = ece_band(probability)
        inside += band.low <= expected_calibration_error(churned, probability) <= band.high
    assert inside >= 15
    distorted = np.sqrt(probability)
    assert expected_calibration_error(churned, distorted) > ece_band(distorted).high


def test_the_band_narrows_with_more_members():
    _, few = scored_members(members=300)
    _, many = scored_members(members=30_000)
    assert ece_band(many).high < ece_band(few).high / 5


def test_reliability_intervals_hold_the_predicted_share_of_a_calibrated_model():
    table = reliability_table(*scored_members(members=20_000))
    held = table["predicted_share"].between(table["observed_low"], table["observed_high"])
    assert len(table) == 10
    assert table["members"].sum() == 20_000
    assert held.sum() >= 8


def test_at_the_right_level_only_a_wrong_shape_is_left():
    churned, probability = scored_members(members=20_000)
    higher = at_level(probability, 0.7)
    assert higher.mean() == pytest.approx(0.7)
    assert expected_calibration_error(churned, higher) > 0.2
    assert at_level(higher, probability.mean()) == pytest.approx(probability)
    bent = at_level(probability**3, churned.mean())
    assert expected_calibration_error(churned, bent) > ece_band(bent).high


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_level_nobody_can_have_is_approached(share):
    assert at_level([0.2, 0.7], share).mean() == pytest.approx(share, abs=1e-5)
