import numpy as np
import pytest

from serving.anytime import TIGHTEST_AT, anytime_reach

LOOKS = range(400, 12_001, 200)


def null_scores(runs: int, units: int) -> np.ndarray:
    """Scores of an incentive that does nothing: one in ten recalled either way, half of them treated."""
    rng = np.random.default_rng(3)
    recalled = (rng.random((runs, units)) < 0.1) - 0.1
    return np.where(rng.random((runs, units)) < 0.5, recalled, -recalled)


def alarms(scores: np.ndarray, reach_of) -> int:
    return sum(any(abs(run[:look].mean()) > reach_of(run[:look]) for look in LOOKS) for run in scores)


def test_over_many_looks_false_alarms_stay_below_the_error_permitted_where_single_look_intervals_lie() -> None:
    scores = null_scores(150, max(LOOKS))
    assert alarms(scores, lambda run: anytime_reach(run, confidence=0.95)) <= 15  # 99.7 % bound of 5 % of 150
    assert alarms(scores, lambda run: 1.96 * run.std() / np.sqrt(len(run))) > 30


def test_the_price_is_an_interval_half_as_wide_again_at_its_tightest() -> None:
    scores = np.tile([1.0, -1.0], TIGHTEST_AT // 2)
    assert anytime_reach(scores, confidence=0.95) * np.sqrt(TIGHTEST_AT) / 1.96 == pytest.approx(1.55, abs=0.02)


def test_surer_reaches_further_and_more_units_less_far() -> None:
    scores = null_scores(1, 4000)[0]
    assert anytime_reach(scores, confidence=0.99) > anytime_reach(scores, confidence=0.95)
    assert anytime_reach(scores, confidence=0.95) < anytime_reach(scores[:1000], confidence=0.95)


def test_one_unit_says_nothing() -> None:
    assert anytime_reach(np.array([1.0]), confidence=0.95) == float("inf")
