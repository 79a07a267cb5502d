"""Bundles come back from MLflow as they went in, and a notebook's model gives exactly the scores of `score`."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from bundles import make_bundle, make_features, make_policy_table

from features.catalogue import feature_names
from features.errors import RefusedError
from features.programme import Programme, parse_programme
from features.settings_members import Windows
from serving.bundle import ModelBundle
from serving.bundle_files import save_bundle, save_policy_table
from serving.mlflow_home import connect
from serving.registry import (
    champion_number,
    load_champion,
    load_version,
    notes,
    register_bundle,
    roll_back,
    set_champion,
    version_numbers,
)
from serving.resolve import policy_file, resolve_bundle, resolve_policy_table
from serving.scoring import score


class Registry(NamedTuple):
    programme: Programme
    bundle: ModelBundle
    number: int


def make_programme(folder: Path) -> Programme:
    content = {"name": "test", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}}
    return parse_programme(content, folder=folder)


def make_feature_table() -> pd.DataFrame:
    features = make_features(50)
    others = {name: np.arange(50.0) for name in feature_names(Windows()) if name not in features}
    return pd.concat([features, pd.DataFrame(others)], axis=1)[["member_id", "as_of", *feature_names(Windows())]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    programme, bundle = make_programme(tmp_path_factory.mktemp("registry")), make_bundle()
    connect(programme)
    import mlflow

    with mlflow.start_run():
        return Registry(programme, bundle, register_bundle(bundle, programme))


def test_the_first_bundle_registered_is_champion_and_comes_back_as_it_was(registry):
    assert registry.number == 1
    assert load_champion(registry.programme) == registry.bundle
    assert resolve_bundle(registry.programme) == registry.bundle


def test_a_notebooks_model_gives_exactly_the_scores_of_score(registry):
    import mlflow

    features = make_feature_table()
    model = mlflow.pyfunc.load_model("models:/winback@champion")
    pd.testing.assert_frame_equal(model.predict(features), score(features, registry.bundle), check_exact=True)


def test_a_notebooks_model_demands_every_column_scoring_needs(registry):
    import mlflow

    model = mlflow.pyfunc.load_model("models:/winback@champion")
    with pytest.raises(mlflow.MlflowException, match="gap_count"):
        model.predict(make_feature_table().drop(columns="gap_count"))
    assert len(model.predict(make_feature_table().drop(columns="searches_28d"))) == 50


def test_nothing_registered_is_a_pickle(registry):
    files = [file for file in (registry.programme.folder / "mlruns" / "artifacts").rglob("*") if file.is_file()]
    assert {"bundle.json", "model_churn.txt", "MLmodel"} <= {file.name for file in files}
    assert not [file for file in files if file.suffix in (".pkl", ".pickle", ".joblib", ".py")]
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_a_later_bundle_waits_until_it_is_made_champion(registry):
    import mlflow

    challenger = make_bundle(value_factor=0.04)
    with mlflow.start_run():
        number = register_bundle(challenger, registry.programme)
    assert load_champion(registry.programme) == registry.bundle
    set_champion(registry.programme, number, reason="better in a test")
    assert load_champion(registry.programme) == challenger
    assert notes(registry.programme, number)["promoted"] == "better in a test"
    assert load_version(registry.programme, registry.number) == registry.bundle


def test_rolling_back_returns_to_the_champion_before_and_says_why(registry):
    taken_off, now = roll_back(registry.programme, reason="missed the level")
    assert (taken_off, now) == (2, 1) == (max(version_numbers(registry.programme)), champion_number(registry.programme))
    assert load_champion(registry.programme) == registry.bundle
    told = notes(registry.programme, taken_off)
    assert told["rolled_back"] == "missed the level"
    assert datetime.fromisoformat(told["rolled_back_at"]).tzinfo is not None


def test_there_is_nothing_to_go_back_to_before_the_first_champion(registry):
    with pytest.raises(RefusedError, match="no other champion to go back to"):
        roll_back(registry.programme, reason="again")


def test_a_version_that_is_not_there_is_refused_with_those_that_are(registry):
    with pytest.raises(RefusedError, match="no version 9; there are 1, 2"):
        load_version(registry.programme, 9)


def test_a_champion_whose_files_are_gone_is_refused(registry):
    artifacts = registry.programme.folder / "mlruns" / "artifacts"
    away = artifacts.rename(artifacts.with_name("away"))
    try:
        with pytest.raises(RefusedError, match="version 1 of model 'winback' has lost its files"):
            load_champion(registry.programme)
    finally:
        shutil.rmtree(artifacts, ignore_errors=True)
        away.rename(artifacts)


def test_without_a_champion_training_is_the_next_step(tmp_path):
    with pytest.raises(RefusedError, match=r"no champion of model 'winback'.*run `winback train` first"):
        load_champion(make_programme(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_served_without_mlflow(tmp_path):
    save_bundle(make_bundle(), tmp_path / "bundle")
    assert resolve_bundle(make_programme(tmp_path), tmp_path / "bundle") == make_bundle()
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_another_programmes_model_and_policy_table_are_refused_with_what_to_do(tmp_path):
    save_bundle(make_bundle(programme_name="first"), tmp_path / "bundle")
    programme = make_programme(tmp_path)
    with pytest.raises(RefusedError, match=r"programme 'first''s, not 'test''s; name a `model` .*`winback train`"):
        resolve_bundle(programme, tmp_path / "bundle")
    save_policy_table(make_policy_table(programme_name="first"), policy_file(programme))
    with pytest.raises(RefusedError, match=r"programme 'first''s, not 'test''s; .*`winback effects`"):
        resolve_policy_table(programme)


def test_the_policy_table_is_kept_beside_the_programme(tmp_path):
    programme = make_programme(tmp_path)
    assert resolve_policy_table(programme) is None
    save_policy_table(make_policy_table(), policy_file(programme))
    assert policy_file(programme) == tmp_path / "var" / "winback" / "policy.json"
    assert resolve_policy_table(programme) == make_policy_table()
