"""Metrics agree with scikit-learn and SciPy; tables add up."""

import numpy as np
import pytest
from predictions import scored_members, spending_members
from scipy import stats
from sklearn import metrics as peer

from training import evaluate
from training.reliability import reliability_table


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
    assert reliability_table([], []).empty


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


def test_coverage_counts_both_ends_and_ranks_are_judged_by_their_distance_from_uniform():
    assert evaluate.interval_coverage([1, 2, 3, 4], [1, 0, 4, 0], [2, 2, 5, 3]) == 0.5
    assert evaluate.uniformity_distance((np.arange(100) + 0.5) / 100) == pytest.approx(0.005)
    assert evaluate.uniformity_distance(np.full(10, 0.5)) == pytest.approx(0.5)
    assert np.isnan(evaluate.uniformity_distance([]))
