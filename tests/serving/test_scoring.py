"""Scores are coherent, the same alone and among others, and refused where they would be wrong."""

from datetime import timedelta

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from bundles import INPUTS, TRAINED_UNTIL, make_bundle, make_features, make_model, model_matrix

from features.errors import RefusedError
from serving.bundle import Calibrator
from serving.priors import PRIOR_COLUMNS
from serving.scoring import SCORE_COLUMNS, link_score, priors_of, score


def test_scores_have_one_row_per_member_in_the_order_given():
    features = make_features(50).iloc[::-1]
    scores = score(features, make_bundle())
    assert tuple(scores.columns) == SCORE_COLUMNS
    pd.testing.assert_frame_equal(scores[["member_id", "as_of"]], features[["member_id", "as_of"]])
    pd.testing.assert_series_equal(scores["historic_value"], features["value_total"], check_names=False)


def test_scores_fit_together():
    scores = score(make_features(200), make_bundle())
    np.testing.assert_allclose(scores["order_probability"], 1 - scores["churn_probability"])
    np.testing.assert_allclose(scores["expected_value"], scores["order_probability"] * scores["value_if_active"])
    np.testing.assert_allclose(scores["value_at_stake"], scores["value_if_active"] - scores["expected_value"])
    assert scores["churn_probability"].between(0.02, 0.97).all()
    assert scores["churn_probability"].nunique() > 20
    assert (scores["value_if_active"] > 0).all()


def test_probability_and_value_follow_from_trees_offset_and_calibration():
    features, bundle = make_features(30), make_bundle()
    priors, scores = priors_of(features, bundle), score(features, bundle)
    inputs = pd.concat([features, priors], axis=1)[list(INPUTS)].to_numpy()
    churn_trees, value_trees = (lgb.Booster(model_str=bundle.models[name].text) for name in ("churn", "value"))
    log_odds = churn_trees.predict(inputs, raw_score=True) + priors["prior_churn_logit"]
    log_value = value_trees.predict(inputs, raw_score=True) + priors["prior_log_value"]
    calibrated = bundle.calibrators["churn"](1 / (1 + np.exp(-log_odds.to_numpy())))
    np.testing.assert_allclose(scores["churn_probability"], calibrated, rtol=1e-12)
    np.testing.assert_allclose(scores["value_if_active"], 0.03 * np.exp(log_value), rtol=1e-12)


def test_without_calibrator_and_offset_the_trees_speak_alone():
    bundle = make_bundle(calibrators={}, models={**make_bundle().models, "churn": make_model()})
    features = make_features(30)
    raw = lgb.Booster(model_str=make_model().text).predict(model_matrix(features, bundle), raw_score=True)
    np.testing.assert_allclose(score(features, bundle)["churn_probability"], 1 / (1 + np.exp(-raw)), rtol=1e-12)
    np.testing.assert_array_equal(
        link_score(make_model(), model_matrix(features, bundle), priors_of(features, bundle)), raw
    )


@pytest.mark.parametrize(("value_days", "at_least"), [(364, True), (28, False)])
def test_a_longer_horizon_never_holds_fewer_orders(value_days, at_least):
    models = {**make_bundle().models, "orders": make_model(seed=9, offset="prior_orders_logit")}
    calibrators = {"orders": Calibrator(x=(0.0, 1.0), y=(0.3, 0.6))}
    scores = score(make_features(300), make_bundle(value_days=value_days, models=models, calibrators=calibrators))
    difference = scores["order_probability"] - (1 - scores["churn_probability"])
    assert (difference >= 0).all() if at_least else (difference <= 0).all()
    assert (difference != 0).any()


def test_a_member_alone_gets_the_scores_they_get_among_all():
    features, bundle = make_features(1_200), make_bundle()
    alone = pd.concat([score(features.loc[[i]], bundle) for i in range(0, 1_200, 60)])
    pd.testing.assert_frame_equal(score(features, bundle).loc[alone.index], alone, check_exact=True)


def test_the_matrix_has_the_bundles_inputs_in_the_bundles_order():
    features, bundle = make_features(20), make_bundle()
    matrix = model_matrix(features[sorted(features.columns)], bundle)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix[:, 0], features["recency_days"])
    np.testing.assert_array_equal(matrix[:, 5], priors_of(features, bundle)["prior_overdue"])
    assert set(INPUTS) & set(PRIOR_COLUMNS) == {"prior_p_orders", "prior_overdue"}


def test_nobody_gets_no_scores():
    scores = score(make_features(5).iloc[:0], make_bundle())
    assert scores.empty
    assert tuple(scores.columns) == SCORE_COLUMNS


def test_an_as_of_before_the_training_ended_is_refused():
    features = make_features(3)
    features.loc[1, "as_of"] = TRAINED_UNTIL - timedelta(seconds=1)
    with pytest.raises(RefusedError, match="cannot score as of 2026-02-28 23:59 UTC: it has seen what came after"):
        score(features, make_bundle())


def test_the_instant_the_training_ended_can_be_scored():
    assert len(score(make_features(3, as_of=TRAINED_UNTIL), make_bundle())) == 3


def test_missing_features_are_refused_by_name():
    with pytest.raises(RefusedError, match="features that are not there: gap_count, open_rate_28d, value_total"):
        score(make_features(3).drop(columns=["value_total", "open_rate_28d", "gap_count"]), make_bundle())


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(RefusedError, match="historic_value makes no sense for 1 of 3 members, as inf for 'm00001'"):
        score(make_features(3).assign(value_total=[1.0, np.inf, 2.0]), make_bundle())
