import numpy as np
import pandas as pd
import pytest

from training.uplift import Qini, own_effects, qini, uplift_scores

ALONE = np.arange(4)
ONE_STRATUM = np.zeros(4, dtype=int)


def test_own_effects_turn_control_around_weigh_by_the_odds_and_leave_third_arms_out() -> None:
    arm = np.array(["mail", "control", "gift"])
    effects = own_effects(
        np.array([1.0, 1.0, 1.0]), arm, np.array([0.5, 0.25, 0.25]), np.full(3, 0.2), treated="mail", control="control"
    )
    np.testing.assert_allclose(effects, [1.6, -3.2, 0.0])


def test_the_qini_of_a_right_ranking_is_the_area_above_treating_by_lot() -> None:
    effects = np.array([0.0, 0.0, 1.0, 1.0])
    right = qini(np.array([1.0, 2.0, 3.0, 4.0]), effects, ONE_STRATUM, ALONE)
    assert right.value == pytest.approx(1 / 8)  # the curve rises to 1/2 at half and stays; the diagonal goes there
    assert qini(np.array([4.0, 3.0, 2.0, 1.0]), effects, ONE_STRATUM, ALONE).value == pytest.approx(-right.value)


def test_a_ranking_that_ranks_nobody_is_worth_nothing_for_sure() -> None:
    assert qini(np.ones(4), np.array([0.0, 2.0, 1.0, 5.0]), ONE_STRATUM, ALONE) == Qini(0.0, 0.0)


def test_units_are_ranked_within_their_stratum_alone() -> None:
    effects = np.array([1.0, 1.0, 0.0, 0.0])
    by_stratum = qini(np.array([9.0, 9.0, 1.0, 1.0]), effects, np.array([0, 0, 1, 1]), ALONE)
    assert by_stratum.value == 0


def test_its_interval_covers_what_a_ranking_is_worth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    score = rng.uniform(size=(300, 600))
    effects = 0.5 * score + rng.standard_exponential(score.shape) - 1
    truth = 0.5 / 12  # covariance of the effect with the rank, both uniform
    covered = 0
    for scores, own in zip(score, effects, strict=True):
        low, high = qini(scores, own, np.zeros(600, dtype=int), np.arange(600)).interval(0.9)
        covered += low <= truth <= high
    assert 0.85 <= covered / 300 <= 0.95


def test_units_of_a_member_count_together() -> None:
    rng = np.random.default_rng(4)
    scores, effects = rng.uniform(size=500), rng.normal(size=500)
    once = qini(scores, effects, np.zeros(500, dtype=int), np.arange(500))
    twice = qini(*np.tile([scores, effects], 2), np.zeros(1000, dtype=int), np.tile(np.arange(500), 2))
    assert twice.value == pytest.approx(once.value, abs=1e-12)
    assert twice.se == pytest.approx(once.se, rel=1e-9)


def scored(moved: float) -> Qini:
    """Score a test of 9,000 members, half of whom are moved by so much and half not at all."""
    rng = np.random.default_rng(5)
    features = pd.DataFrame(rng.normal(size=(9_000, 3)), columns=["a", "b", "c"])
    arm = np.where(rng.random(9_000) < 0.5, "mail", "control")
    chance = 0.2 + moved * (features["a"] > 0) * (arm == "mail")
    outcome = (rng.random(9_000) < chance).to_numpy(dtype=float)
    members = pd.Series(np.arange(9_000).astype(str))
    scores, effects = uplift_scores(
        features, arm, outcome, np.full(9_000, 0.5), treated="mail", control="control", members=members, seed=1,
        threads=1,
    )  # fmt: skip
    return qini(scores, effects, np.zeros(9_000, dtype=int), np.arange(9_000))


def test_who_is_moved_more_is_found_on_members_not_learnt_from() -> None:
    found = scored(0.2)
    assert found.interval(0.95)[0] > 0
    assert found.value > 0.8 * 0.2 / 8  # of what the right ranking is worth


def test_where_nobody_is_moved_nothing_is_found() -> None:
    assert scored(0.0).interval(0.95)[0] <= 0
