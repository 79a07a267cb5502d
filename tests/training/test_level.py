"""Totals follow the formulas fitted at the date, times what the same season was to them last year."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from builders import small_constants
from scipy.special import expit, logit

from training.churn import CHURN
from training.level import FORMULA_WEIGHT, SEASONAL, SHARE_OF_SEASON, level_margin, share_level, value_level
from training.snapshots import Snapshot

LAST_YEAR = datetime(2025, 1, 6)


def season(*, churned: float, value: float, formula_churn: float = 0.5, formula_value: float = 100.0) -> Snapshot:
    """Return a snapshot whose formulas expected one thing of its ten members while another happened."""
    members = 10
    return Snapshot(
        as_of=LAST_YEAR,
        features=pd.DataFrame(index=range(members)),
        priors=pd.DataFrame(
            {"prior_churn_logit": logit(formula_churn), "prior_expected_value": formula_value / members},
            index=range(members),
        ),
        constants=small_constants(LAST_YEAR),
        value_basis="revenue",
        weights=np.ones(members),
        labels=pd.DataFrame({"churned": np.arange(members) < churned * members, "value": value / members}),
        matured_at=LAST_YEAR + timedelta(days=28),
    )


AS_EXPECTED = [season(churned=0.5, value=100)]


def share(predicted: float, formula: float, snapshots=AS_EXPECTED, last_year=None) -> float:
    return share_level(predicted, formula, CHURN, snapshots, last_year)


def test_without_last_year_the_level_lies_between_model_and_formulas_nearer_the_formulas():
    assert logit(share(0.2, 0.4)) == pytest.approx((1 - FORMULA_WEIGHT) * logit(0.2) + FORMULA_WEIGHT * logit(0.4))
    assert value_level(100.0, 200.0, AS_EXPECTED, None) == pytest.approx(100 * 2**FORMULA_WEIGHT)


def test_agreement_is_left_alone():
    assert share(0.3, 0.3) == pytest.approx(0.3)
    assert value_level(80.0, 80.0, AS_EXPECTED, None) == pytest.approx(80.0)


def test_a_season_that_was_better_than_the_formulas_last_year_is_expected_to_be_again():
    assert share(0.3, 0.3, last_year=season(churned=0.5, value=100)) == pytest.approx(0.3)
    better = season(churned=0.2, value=200)
    half_again = SHARE_OF_SEASON * logit(0.2)
    assert share(0.3, 0.3, last_year=better) == pytest.approx(expit(logit(0.3) + FORMULA_WEIGHT * half_again))
    assert value_level(80.0, 80.0, AS_EXPECTED, better) == pytest.approx(80 * 2**FORMULA_WEIGHT)


def test_formulas_that_were_far_off_in_every_window_are_corrected_but_for_what_a_season_can_do():
    far_off = [season(churned=0.9, value=800)] * 3
    assert share(0.3, 0.3, far_off) == pytest.approx(expit(logit(0.3) + FORMULA_WEIGHT * (logit(0.9) - SEASONAL)))
    assert value_level(80.0, 80.0, far_off, None) == pytest.approx(80 * (8 / 1.5) ** FORMULA_WEIGHT)
    a_little_off = [season(churned=0.6, value=120)] * 3
    assert share(0.3, 0.3, a_little_off) == pytest.approx(0.3)


def test_a_window_in_which_all_or_nobody_churned_still_gives_a_probability():
    for everybody in (0.0, 1.0):
        snapshot = season(churned=everybody, value=100)
        assert 0 < share(everybody, 0.3, [snapshot], snapshot) < 1


@pytest.mark.parametrize(("predicted", "formula"), [(0.0, 5.0), (5.0, 0.0)])
def test_totals_that_cannot_be_compared_leave_the_model_alone(predicted, formula):
    assert value_level(predicted, formula, AS_EXPECTED, None) == predicted


def test_a_season_without_value_tells_nothing():
    assert value_level(5.0, 5.0, AS_EXPECTED, season(churned=0.5, value=-3)) == pytest.approx(5.0)


def windows(*values: float) -> list[Snapshot]:
    """Return snapshots 28 days apart whose windows do not overlap, of which the formulas expected 100."""
    return [
        replace(
            season(churned=0.5, value=value),
            as_of=LAST_YEAR + timedelta(days=28 * row),
            matured_at=LAST_YEAR + timedelta(days=28 * (row + 1)),
        )
        for row, value in enumerate(values)
    ]


def test_a_total_is_as_uncertain_as_past_windows_differed():
    steady, unsteady = level_margin(windows(100, 101, 99, 100), None), level_margin(windows(70, 130, 80, 140), None)
    assert 0.05 < steady < 0.15 < 0.4 < unsteady


def test_few_windows_make_a_total_more_uncertain_and_last_years_season_less():
    one, four = windows(80), windows(80, 80, 80, 80)
    assert level_margin(one, None) > level_margin(four, None) > level_margin(four, season(churned=0.5, value=80))
