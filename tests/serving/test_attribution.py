"""Looked up or walked, SHAP values are the same numbers."""

import lightgbm as lgb
import numpy as np
import pytest

from serving import attribution
from serving.attribution import shap_values
from serving.bundle import FittedModel

MEMBERS = 400


def inputs(*, seed: int = 0) -> np.ndarray:
    """Numbers, counts, a column with gaps and one of zeros and ones."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(MEMBERS, 6))
    matrix[:, 1] = rng.poisson(2, MEMBERS)
    matrix[rng.random(MEMBERS) < 0.4, 2] = np.nan
    matrix[:, 3] = rng.random(MEMBERS) < 0.5
    return matrix


def grown(matrix: np.ndarray, rounds: int = 20, categorical: list[int] | str = "auto", **settings) -> FittedModel:
    label = np.nan_to_num(matrix[:, 0] * matrix[:, 1] + 2 * np.isnan(matrix[:, 2]) - matrix[:, 3])
    chosen = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, **settings}
    data = lgb.Dataset(matrix, label, feature_name=[f"c{i}" for i in range(6)], categorical_feature=categorical)
    return FittedModel(text=lgb.train(chosen, data, rounds).model_to_string(), objective="gamma")


def both(model: FittedModel, matrix: np.ndarray, monkeypatch) -> tuple:
    walked = shap_values(model, matrix)
    monkeypatch.setattr(attribution, "BULK_FROM_ROWS", 1)
    return walked, shap_values(model, matrix)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_leaves": 2},
        {"num_leaves": 31},
        {"num_leaves": 12, "max_depth": 12, "min_data_in_leaf": 1},
        {"use_missing": False},
        {"min_data_in_leaf": 1000},
    ],
)
def test_looked_up_values_are_those_of_walking(settings, monkeypatch):
    matrix = inputs()
    (walked, base), (looked_up, base_again) = both(grown(matrix, **settings), inputs(seed=1), monkeypatch)
    np.testing.assert_allclose(looked_up, walked, rtol=0, atol=1e-12)
    assert base_again == pytest.approx(base, abs=1e-12)


@pytest.mark.parametrize("settings", [{"zero_as_missing": True}, {"categorical": [3]}, {"num_leaves": 80}])
def test_trees_that_cannot_be_looked_up_are_walked(settings, monkeypatch):
    matrix = inputs()
    model = grown(matrix, **settings)
    walked, again = both(model, matrix, monkeypatch)
    np.testing.assert_array_equal(again[0], walked[0])


def test_where_many_are_looked_up_few_are_walked(monkeypatch):
    matrix = inputs()
    model = grown(matrix)
    called = []
    monkeypatch.setattr(attribution, "predict", lambda *_, **__: called.append(1) or np.zeros((MEMBERS, 7)))
    shap_values(model, matrix)
    assert called
    monkeypatch.setattr(attribution, "BULK_FROM_ROWS", MEMBERS)
    called.clear()
    shap_values(model, matrix)
    assert not called
