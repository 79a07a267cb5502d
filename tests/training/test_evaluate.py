"""Metrics agree with scikit-learn, SciPy and hand-computed values; intervals mean what they say."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from training import evaluate


def scored_members(members=4000, seed=0):
    """Calibrated probabilities, rounded so that some tie, and the outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1.2, 2.0, members).round(2).clip(0.01, 0.99)
    return (rng.random(members) < probability).astype(float), probability


def spending_members(members=3000, seed=0):
    """Skewed values with many zeros, and predictions that know something about them."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(1.0, 30.0, members)
    value = np.where(rng.random(members) < 0.4, rng.gamma(2.0, level / 2), 0.0)
    return value, (0.4 * level).round(0)


def test_churn_metrics_agree_with_scikit_learn():
    churned, probability = scored_members()
    found = evaluate.churn_metrics(churned, probability)
    assert found["auc"] == pytest.approx(peer.roc_auc_score(churned, probability))
    assert found["average_precision"] == pytest.approx(peer.average_precision_score(churned, probability))
    assert found["log_loss"] == pytest.approx(peer.log_loss(churned, probability))
    assert found["brier"] == pytest.approx(peer.brier_score_loss(churned, probability))
    assert found["members"] == 4000
    assert found["churn_share"] == churned.mean()


def test_value_metrics_agree_with_scikit_learn_and_scipy():
    value, expected = spending_members()
    found = evaluate.value_metrics(value, expected)
    floored = np.maximum(expected, 0.01)
    assert found["rmse"] == pytest.approx(peer.root_mean_squared_error(value, expected))
    assert found["mae"] == pytest.approx(peer.mean_absolute_error(value, expected))
    assert found["tweedie_deviance"] == pytest.approx(peer.mean_tweedie_deviance(value, floored, power=1.5))
    assert found["spearman"] == pytest.approx(stats.spearmanr(value, expected).statistic)
    assert found["total_bias"] == pytest.approx(expected.sum() / value.sum() - 1)


def test_normalised_gini_by_hand():
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [1.0, 2.0, 3.0])["normalised_gini"] == pytest.approx(1.0)
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [3.0, 2.0, 1.0])["normalised_gini"] == pytest.approx(-1.0)
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [1.0, 3.0, 2.0])["normalised_gini"] == pytest.approx(1 / 3)


def test_negative_values_count_as_zero_in_the_tweedie_deviance():
    with_return = evaluate.value_metrics([-5.0, 20.0], [1.0, 10.0])["tweedie_deviance"]
    assert with_return == evaluate.value_metrics([0.0, 20.0], [1.0, 10.0])["tweedie_deviance"]


def test_a_constant_prediction_ranks_nobody():
    churned, _ = scored_members()
    value, _ = spending_members()
    constant = evaluate.churn_metrics(churned, np.full(len(churned), churned.mean()))
    assert constant["auc"] == pytest.approx(0.5)
    assert constant["ece"] == pytest.approx(0.0)
    level = evaluate.value_metrics(value, np.full(len(value), value.mean()))
    assert (level["normalised_gini"], level["spearman"], level["total_bias"]) == pytest.approx((0.0, 0.0, 0.0))


def test_metrics_are_undefined_rather_than_wrong():
    nobody_churned = evaluate.churn_metrics(np.zeros(50), np.full(50, 0.1))
    assert np.isnan(nobody_churned["auc"])
    assert np.isfinite(nobody_churned["log_loss"])
    assert np.isnan(evaluate.value_metrics(np.zeros(50), np.ones(50))["total_bias"])


def test_empty_columns_give_empty_results():
    assert np.isnan(evaluate.churn_metrics([], [])["auc"])
    assert np.isnan(evaluate.value_metrics([], [])["rmse"])
    assert evaluate.decile_table([], []).empty
    assert evaluate.reliability_table([], []).empty


def test_columns_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        evaluate.churn_metrics([1.0, 0.0], [0.5])
    with pytest.raises(ValueError, match="finite"):
        evaluate.value_metrics([1.0, 0.0], [0.5, np.nan])


def test_calibration_error_by_hand():
    # two bins: predicted .2 and observed 0, predicted .8 and observed .5
    assert evaluate.expected_calibration_error([0, 0, 1, 0], [0.2, 0.2, 0.8, 0.8], bins=2) == pytest.approx(0.25)


def test_a_calibrated_model_lies_in_its_band_and_a_distorted_one_does_not():
    inside = 0
    for seed in range(20):
        churned, probability = scored_members(seed=seed)
        band = evaluate.ece_band(probability)
        inside += band.low <= evaluate.expected_calibration_error(churned, probability) <= band.high
    assert inside >= 15
    distorted = np.sqrt(probability)
    assert evaluate.expected_calibration_error(churned, distorted) > evaluate.ece_band(distorted).high


def test_the_band_narrows_with_more_members():
    _, few = scored_members(members=300)
    _, many = scored_members(members=30_000)
    assert evaluate.ece_band(many).high < evaluate.ece_band(few).high / 5


def test_reliability_intervals_hold_the_predicted_share_of_a_calibrated_model():
    table = evaluate.reliability_table(*scored_members(members=20_000))
    held = table["predicted_share"].between(table["observed_low"], table["observed_high"])
    assert len(table) == 10
    assert table["members"].sum() == 20_000
    assert held.sum() >= 8


def test_deciles_are_equal_groups_from_the_highest_prediction_down():
    value, expected = spending_members()
    table = evaluate.decile_table(value, expected)
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["members"].eq(300).all()
    assert table["predicted_mean"].is_monotonic_decreasing
    assert table["actual_total"].sum() == pytest.approx(value.sum())
    assert table["cumulative_share"].iloc[-1] == pytest.approx(1.0)
    assert table["lift"].iloc[0] == pytest.approx(table["actual_mean"].iloc[0] / value.mean())


def test_fewer_members_than_deciles_still_make_a_table():
    table = evaluate.decile_table([1.0, 0.0, 1.0], [0.9, 0.1, 0.5])
    assert table["members"].sum() == 3


def test_gain_runs_from_nothing_to_everything_and_never_beats_the_best():
    value, expected = spending_members()
    curve = evaluate.gain_curve(value, expected)
    assert curve["captured_share"].iloc[[0, -1]].tolist() == pytest.approx([0.0, 1.0])
    assert (curve["captured_share"] <= curve["best_share"] + 1e-12).all()
    assert (curve["captured_share"] >= curve["members_share"] - 0.02).all()


def test_a_model_does_not_differ_from_itself():
    churned, probability = scored_members(members=500)
    difference = evaluate.paired_bootstrap(evaluate.auc, churned, probability, probability)
    assert difference.value == 0
    assert (difference.interval.low, difference.interval.high) == (0, 0)


def test_a_worse_model_is_seen_to_be_worse():
    churned, probability = scored_members()
    noisy = np.clip(probability + np.random.default_rng(1).normal(0, 0.2, len(probability)), 0.01, 0.99)
    loss = evaluate.paired_bootstrap(evaluate.log_loss, churned, probability, noisy)
    ranking = evaluate.paired_bootstrap(evaluate.auc, churned, probability, noisy)
    assert loss.interval.low > 0
    assert ranking.interval.high < 0
    assert ranking.value == pytest.approx(peer.roc_auc_score(churned, noisy) - peer.roc_auc_score(churned, probability))


def test_the_bootstrap_interval_has_the_width_theory_gives():
    value, expected = spending_members()
    other = 0.9 * expected + 2
    difference = evaluate.paired_bootstrap(evaluate.squared_error, value, expected, other, draws=2000)
    per_member = (other - value) ** 2 - (expected - value) ** 2
    width = 2 * stats.norm.ppf(0.95) * per_member.std() / np.sqrt(len(value))
    assert difference.interval.high - difference.interval.low == pytest.approx(width, rel=0.1)


@pytest.mark.parametrize("metric", [evaluate.auc, evaluate.average_precision, evaluate.normalised_gini])
def test_counting_a_member_twice_equals_listing_it_twice(metric):
    churned, probability = scored_members(members=200)
    counts = np.random.default_rng(0).integers(0, 4, 200)
    listed = metric(churned.repeat(counts), probability.repeat(counts), np.ones((1, counts.sum())))
    assert metric(churned, probability, counts[None].astype(float)) == pytest.approx(listed)


def test_intervals_are_the_same_in_every_run():
    churned, probability = scored_members(members=300)
    assert evaluate.ece_band(probability, seed=5) == evaluate.ece_band(probability, seed=5)
    once, again = (
        evaluate.paired_bootstrap(evaluate.squared_error, churned, probability, probability**2) for _ in range(2)
    )
    assert once == again


def test_coverage_counts_both_ends_and_ranks_are_judged_by_their_distance_from_uniform():
    assert evaluate.interval_coverage([1, 2, 3, 4], [1, 0, 4, 0], [2, 2, 5, 3]) == 0.5
    assert evaluate.uniformity_distance((np.arange(100) + 0.5) / 100) == pytest.approx(0.005)
    assert evaluate.uniformity_distance(np.full(10, 0.5)) == pytest.approx(0.5)
    assert np.isnan(evaluate.uniformity_distance([]))
