import numpy as np
import pytest
from scipy import stats

from training.multiplicity import TESTS_SHARE, interval_z, step_down, thresholds

Z_OF_ONE = float(stats.norm.isf(TESTS_SHARE * 0.05))


def alone(comparisons: int) -> list[list[int]]:
    return [[number] for number in range(comparisons)]


def test_one_comparison_is_tested_at_the_tests_share_of_the_error() -> None:
    assert thresholds(np.array([2.0]), 0.05) == pytest.approx([stats.norm.isf(0.05)])


@pytest.mark.parametrize(
    "separations", [np.full(60, 1.3), np.linspace(0, 9, 60), np.r_[np.zeros(30), np.full(30, 20.0)]]
)
def test_thresholds_spend_the_whole_error_and_no_more(separations: np.ndarray) -> None:
    assert stats.norm.sf(thresholds(separations, 0.04)).sum() == pytest.approx(0.04)


def test_error_goes_where_the_detectable_effect_can_be_found() -> None:
    small, medium, large, larger = thresholds(np.array([0.2, 3.0, 9.0, 20.0]), 0.04)
    assert small > medium
    assert large == pytest.approx(larger)
    assert large <= medium


def test_comparisons_alike_share_alike() -> None:
    assert thresholds(np.full(10, 2.5), 0.04) == pytest.approx(stats.norm.isf(0.004))


def test_a_smaller_family_never_raises_a_threshold() -> None:
    separations = np.linspace(0.3, 6, 12)
    whole = thresholds(separations, 0.04)
    for left_out in range(12):
        assert (thresholds(np.delete(separations, left_out), 0.04) <= np.delete(whole, left_out) + 1e-9).all()


def test_what_is_found_makes_the_next_step_easier() -> None:
    ratios, first = np.array([9.0, 1.95, 0.0]), stats.norm.isf(TESTS_SHARE * 0.05 / 3)
    assert Z_OF_ONE < 1.95 < first
    found = step_down(np.full(3, 3.0), lambda number, z: ratios[number] > z, 0.95, alone(3))
    assert found.tolist() == [True, False, False]
    found = step_down(np.full(2, 3.0), lambda number, z: ratios[number] > z, 0.95, alone(2))
    assert found.tolist() == [True, True]


def test_without_comparisons_nothing_is_found() -> None:
    assert step_down(np.array([]), lambda number, z: True, 0.95, []).tolist() == []


def test_intervals_reach_further_the_more_must_hold_at_once() -> None:
    assert interval_z(1, 0.95) < interval_z(2, 0.95) < interval_z(60, 0.95)


def test_all_that_is_said_holds_at_once_where_half_do_nothing_and_half_surely_work() -> None:
    # the hard case: what works is found and leaves its share of the error to what does nothing
    rng, programmes, comparisons = np.random.default_rng(1), 1000, 20
    truth = np.r_[np.zeros(comparisons // 2), np.full(comparisons // 2, 8.0)]
    reach = interval_z(comparisons, 0.95)
    wrong = 0
    for _ in range(programmes):
        seen = truth + rng.normal(size=comparisons)
        found = step_down(
            np.full(comparisons, 3.0), lambda number, z, seen=seen: seen[number] > z, 0.95, alone(comparisons)
        )
        wrong += (found & (truth <= 0)).any() or (np.abs(seen - truth) > reach).any()
    assert wrong <= stats.binom.ppf(0.999, programmes, 0.05)


def test_a_chain_is_tested_in_its_order_at_the_price_of_one_comparison() -> None:
    ratios = np.array([2.1, 2.1, 1.0, 9.0])
    assert Z_OF_ONE < 2.1 < stats.norm.isf(TESTS_SHARE * 0.05 / 3)

    def found(*chains: list[int]) -> list[bool]:
        return step_down(np.full(4, 3.0), lambda number, z: ratios[number] > z, 0.95, chains).tolist()

    assert found([0, 1, 2, 3]) == [True, True, False, False]  # what comes after the first not found is not tested
    assert found([2, 0, 1, 3]) == [False] * 4
    assert found(*alone(4)) == [False, False, False, True]


def test_chains_keep_the_error_where_the_deepest_works_and_the_others_do_nothing() -> None:
    # the hard case: each chain surely gets past its first comparison, and some are found whole
    rng, programmes = np.random.default_rng(2), 1000
    chains = [[3 * number, 3 * number + 1, 3 * number + 2] for number in range(8)]
    truth = np.tile([8.0, 0.0, 0.0], 8)
    truth[:6] = 8.0
    wrong = 0
    for _ in range(programmes):
        seen = truth + rng.normal(size=24)
        found = step_down(np.full(24, 3.0), lambda number, z, seen=seen: seen[number] > z, 0.95, chains)
        wrong += (found & (truth == 0)).any()
    assert stats.binom.ppf(0.001, programmes, 0.03) <= wrong <= stats.binom.ppf(0.999, programmes, TESTS_SHARE * 0.05)
