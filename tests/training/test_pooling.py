import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from training.pooling import OF_INCENTIVE, OWN, SHARED, expected_recall, shrink, shrink_given

SEGMENTS, INCENTIVES = np.arange(12).repeat(5), np.tile(np.arange(5), 12)
CELLS = len(SEGMENTS)


def expect(values: np.ndarray, treated_error: float, control_error: float) -> tuple[np.ndarray, np.ndarray]:
    variances = {
        "treated_variances": np.full(CELLS, treated_error**2),
        "control_variances": np.full(CELLS, control_error**2),
    }
    return expected_recall(values, **variances, segments=SEGMENTS, incentives=INCENTIVES, detectable=0.02)


def draw(rng: np.random.Generator) -> np.ndarray:
    shared, of_incentive, own = (0.02 * spread for spread in (SHARED, OF_INCENTIVE, OWN))
    return np.asarray(rng.normal(0, shared) + rng.normal(0, of_incentive, 5)[INCENTIVES] + rng.normal(0, own, CELLS))


def test_what_offers_hardly_tell_is_expected_to_be_nothing_and_what_they_tell_well_stays() -> None:
    values = draw(np.random.default_rng(1))
    assert abs(expect(values, 10.0, 10.0)[0]).max() < 1e-4
    assert expect(values, 1e-6, 1e-6)[0] == pytest.approx(values, abs=1e-6)


def test_a_segment_in_which_all_seem_to_work_alike_is_taken_to_have_had_bad_luck_with_its_control_offers() -> None:
    values = np.where(SEGMENTS == 0, 0.05, 0.0)
    lucky, shared = (expect(values, *errors)[0][0] for errors in ((0.04, 0.0), (0.0, 0.04)))
    assert shared < lucky / 2


def test_an_incentive_that_works_elsewhere_is_expected_to_work_where_little_is_known() -> None:
    values = np.where((INCENTIVES == 0) & (SEGMENTS > 0), 0.03, 0.0)
    expected, _ = expect(values, 0.01, 0.005)
    assert expected[0] > expected[1] > 0


def test_expected_recall_is_calibrated_and_its_intervals_hold_the_truth() -> None:
    rng, inside, moved, foretold = np.random.default_rng(2), [], 0.0, 0.0
    for _ in range(200):
        truth = draw(rng)
        values = truth + rng.normal(0, 0.03, CELLS) - rng.normal(0, 0.02, 12)[SEGMENTS]
        expected, deviations = expect(values, 0.03, 0.02)
        inside.append((abs(expected - truth) < 1.644854 * deviations).mean())
        moved, foretold = moved + truth @ expected, foretold + expected @ expected
    assert 0.88 < np.mean(inside) < 0.92
    assert 0.9 < moved / foretold < 1.1


def test_with_a_known_spread_estimates_are_pulled_towards_their_mean_as_by_hand() -> None:
    values, errors = np.array([1.0, 3.0, 5.0, 7.0]), np.ones(4)
    means, variances, _ = shrink_given(values, errors, np.ones((4, 1)), 2.0)
    assert means == pytest.approx([4 - 3 * 0.8, 4 - 0.8, 4 + 0.8, 4 + 3 * 0.8])
    assert variances == pytest.approx(0.8 + 0.2**2 * 5 / 4)
    assert shrink_given(values, errors, np.ones((4, 1)), 0.0)[0] == pytest.approx(4)


def test_the_likelihood_of_a_spread_is_that_of_the_differences_between_estimates() -> None:
    values, errors = np.array([1.0, 4.0]), np.array([1.0, 2.0])
    likely = [shrink_given(values, errors, np.ones((2, 1)), spread)[2] for spread in (0.5, 1.5)]
    apart = [stats.norm.logpdf(3.0, scale=np.sqrt(5 + 2 * spread**2)) for spread in (0.5, 1.5)]
    assert likely[1] - likely[0] == pytest.approx(apart[1] - apart[0])


def test_estimates_no_further_apart_than_their_errors_say_come_together() -> None:
    means, _ = shrink(np.linspace(0.8, 1.2, 12), np.ones(12), np.repeat("coupon", 12))
    assert np.ptp(means) < 0.1


def test_groups_keep_their_own_means() -> None:
    means, _ = shrink(np.array([1.0, 1.1, 9.0, 9.1]), np.ones(4), np.array(["mail", "mail", "call", "call"]))
    assert means == pytest.approx([1.05, 1.05, 9.05, 9.05], abs=0.06)


def test_an_estimate_alone_stays_as_it_is() -> None:
    means, deviations = shrink(np.array([2.0]), np.array([0.7]), np.array(["mail"]))
    assert (means[0], deviations[0]) == pytest.approx((2.0, 0.7))


def test_pooled_intervals_hold_the_truth_and_are_nearer_to_it_than_the_estimates() -> None:
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(5), 12)
    inside, gain = [], []
    for _ in range(100):
        truth = rng.normal(0.5, 1.0, 5)[groups] + rng.normal(0, 0.5, 60)
        errors = rng.uniform(0.3, 2.0, 60)
        values = truth + errors * rng.normal(size=60)
        means, deviations = shrink(values, errors, groups)
        inside.append((abs(means - truth) < 1.959964 * deviations).mean())
        gain.append(((means - truth) ** 2).mean() / ((values - truth) ** 2).mean())
    assert 0.93 < np.mean(inside) < 0.97
    assert np.mean(gain) < 0.4


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 10)), min_size=1, max_size=20))
def test_pooling_never_leaves_the_range_of_the_estimates(rows: list[tuple[float, float]]) -> None:
    values, errors = np.array(rows).T
    means, deviations = shrink(values, errors, np.zeros(len(values)))
    assert values.min() - 1e-6 <= means.min() <= means.max() <= values.max() + 1e-6
    assert (deviations > 0).all()
