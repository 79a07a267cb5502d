"""Reasons are exact, one per signal, strongest first, and the same alone and among all."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from bundles import INPUTS, make_bundle, make_features, make_model, model_matrix

from features.catalogue import catalogue
from features.errors import RefusedError
from features.settings_members import Windows
from serving import attribution
from serving.reasons import SIGNALS, contributions, signal
from serving.reasons import reasons as reasons_column
from serving.records import Reason
from serving.scoring import link_score, priors_of

CROWDED = (
    "recency_days",
    "visits_7d",
    "visits_28d",
    "visits_91d",
    "order_count",
    "prior_p_orders",
    "prior_churn_logit",
)


def reasons(*args, **options) -> list[list[Reason]]:
    return [[Reason(**reason) for reason in found] for found in reasons_column(*args, **options).to_pylist()]


def crowded_features(members: int = 60) -> pd.DataFrame:
    features = make_features(members)
    return features.assign(visits_7d=features["visits_28d"] // 4, visits_91d=features["visits_28d"] * 3 + 1)


@pytest.mark.parametrize("offset", ["prior_churn_logit", None])
def test_contributions_add_up_to_the_log_odds(offset):
    model = make_model(offset=offset, offset_mean=0.25 if offset else 0.0)
    bundle, features = make_bundle(models={**make_bundle().models, "churn": model}), make_features(80)
    moved = contributions(features, bundle)
    log_odds = link_score(model, model_matrix(features, bundle), priors_of(features, bundle))
    np.testing.assert_allclose(moved.base + moved.shap.sum(axis=1), log_odds, atol=1e-6)
    assert moved.columns == (*INPUTS, *([offset] if offset else []))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap 0.51 on matplotlib 3.11, when imported
def test_the_values_are_those_of_the_tree_explainer():
    import shap

    model = make_model(offset="prior_churn_logit", offset_mean=0.25)
    bundle, features = make_bundle(models={**make_bundle().models, "churn": model}), make_features(200)
    moved = contributions(features, bundle)
    explainer = shap.TreeExplainer(lgb.Booster(model_str=model.text))
    explainer.model.model_type = "internal"  # shap's own algorithm: for LightGBM it would ask LightGBM
    exact = explainer.shap_values(model_matrix(features, bundle))
    np.testing.assert_allclose(moved.shap[:, :-1], exact, atol=1e-4)
    assert moved.base - 0.25 == pytest.approx(float(np.ravel(explainer.expected_value)[-1]), abs=1e-4)


def test_the_offset_contributes_its_distance_from_the_mean():
    features, bundle = make_features(20), make_bundle()
    offset = priors_of(features, bundle)["prior_churn_logit"]
    np.testing.assert_allclose(contributions(features, bundle).shap[:, -1], offset - 0.25)


def test_reasons_are_at_most_three_of_different_codes_strongest_first():
    for found in reasons(make_features(100), make_bundle(), currency="EUR"):
        strengths = [round(abs(reason.shap_value), 3) for reason in found]
        assert 0 < len(found) <= 3
        assert strengths == sorted(strengths, reverse=True)
        assert len({reason.code for reason in found}) == len(found)


def test_windows_of_one_signal_give_one_reason_with_their_sum(monkeypatch):
    monkeypatch.setattr("bundles.make_features", lambda members, seed=1: crowded_features(members))
    features, bundle = crowded_features(), make_bundle(CROWDED)
    moved = contributions(features, bundle)
    visits = [moved.columns.index(name) for name in CROWDED if name.startswith("visits")]
    for row, found in enumerate(reasons(features, bundle, currency="EUR", top=9)):
        own = [reason for reason in found if reason.code == "visits"]
        total = moved.shap[row, visits].sum()
        assert len(own) == (abs(total) >= 0.0005)
        for reason in own:
            speaker = moved.shap[row, moved.columns.index(reason.feature)]
            assert reason.shap_value == pytest.approx(total, abs=1e-5)
            assert speaker == pytest.approx((moved.shap[row, visits] * np.sign(total)).max() * np.sign(total), abs=1e-6)


def test_each_reason_names_its_value_and_direction():
    features, bundle = make_features(100), make_bundle()
    seen = pd.concat([features, priors_of(features, bundle)], axis=1)
    for row, found in enumerate(reasons(features, bundle, currency="EUR")):
        for reason in found:
            value = seen.loc[row, reason.feature]
            assert reason.feature_value == (None if np.isnan(value) else value)
            assert ("raises" in reason.en) == ("上升" in reason.zh) == (reason.shap_value > 0)


def test_the_starting_point_speaks_as_the_chance_of_an_order():
    features = make_features(100)
    spoken = {reason.feature for found in reasons(features, make_bundle(), currency="EUR") for reason in found}
    assert "prior_p_orders" in spoken
    assert not any(name.endswith("_logit") for name in spoken)


def test_reasons_alike_keep_the_order_of_the_features(monkeypatch):
    shap = np.array([[0.1, -0.3001, 0.0001, 0.3004, 0.0, 0.0, 0.0]])
    monkeypatch.setattr("serving.attribution.predict", lambda *_, **__: np.column_stack([shap[:, :6], [0.0]]))
    bundle = make_bundle(models={**make_bundle().models, "churn": make_model()})
    found = reasons(make_features(1), bundle, currency="EUR")[0]
    assert [reason.feature for reason in found] == ["order_count", "open_rate_28d", "recency_days"]


def test_what_does_not_move_the_risk_is_no_reason(monkeypatch):
    monkeypatch.setattr("serving.attribution.predict", lambda *_, **__: np.array([[0.0, 0.2, 0, 0.0004, 0, 0, 1.0]]))
    bundle = make_bundle(models={**make_bundle().models, "churn": make_model()})
    assert [reason.code for reason in reasons(make_features(1), bundle, currency="EUR")[0]] == ["order_count"]


def test_a_member_alone_gets_the_reasons_they_get_among_all():
    features, bundle = make_features(300), make_bundle()
    together = reasons(features, bundle, currency="EUR")
    for row in range(0, 300, 23):
        assert reasons(features.loc[[row]], bundle, currency="EUR") == [together[row]]


def test_many_members_get_the_reasons_they_get_alone(monkeypatch):
    features, bundle = make_features(600, seed=3), make_bundle()
    one_by_one = reasons(features, bundle, currency="EUR")
    monkeypatch.setattr(attribution, "BULK_FROM_ROWS", 600)
    assert reasons(features, bundle, currency="EUR") == one_by_one


def test_nobody_has_no_reasons():
    assert reasons(make_features(3).iloc[:0], make_bundle(), currency="EUR") == []


def test_reasons_from_before_the_training_ended_are_refused():
    with pytest.raises(RefusedError, match="has seen what came after"):
        reasons(make_features(2, as_of=pd.Timestamp("2025-01-01")), make_bundle(), currency="EUR")


def test_all_windows_of_a_feature_share_a_code_and_every_code_is_used():
    codes = {}
    for feature in catalogue(Windows(days=(28, 56, 91, 364), short_days=(3, 7, 28, 91))):
        codes.setdefault(feature.name.rstrip("0123456789d").rstrip("_"), set()).add(signal(feature.name))
    assert all(len(of_one) == 1 for of_one in codes.values())
    assert set(SIGNALS) <= {code for of_one in codes.values() for code in of_one}
