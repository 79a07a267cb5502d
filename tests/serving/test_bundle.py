"""Bundles and policy tables survive a round trip, and anything that is not whole is refused with its cause."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from bundles import INPUTS, make_bundle, make_model, make_policy_table
from pydantic import ValidationError

from features.errors import RefusedError
from serving.bundle import Calibrator
from serving.bundle_files import load_bundle, load_policy_table, save_bundle, save_policy_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_bundle(make_bundle(), tmp_path / "bundle")
    return tmp_path / "bundle"


def edit_json(file: Path, **changed: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def test_a_bundle_comes_back_as_it_was(folder):
    assert load_bundle(folder) == make_bundle()
    assert load_bundle(folder).version == make_bundle().version


def test_a_bundle_is_json_and_text_and_nothing_else(folder):
    assert sorted(file.name for file in folder.iterdir()) == [
        "bundle.json",
        "manifest.json",
        "model_churn.txt",
        "model_value.txt",
    ]
    json.loads((folder / "bundle.json").read_text(), parse_constant=pytest.fail)


def test_a_metric_that_is_not_a_number_survives(tmp_path):
    save_bundle(make_bundle(metrics={"churn_auc": float("nan")}), tmp_path / "bundle")
    assert np.isnan(load_bundle(tmp_path / "bundle").metrics["churn_auc"])


def test_the_version_follows_the_content_and_not_the_clock_or_the_metrics():
    version = make_bundle().version
    assert make_bundle(created_at=datetime(2030, 1, 1), metrics={}).version == version
    assert make_bundle(value_factor=0.031).version != version
    assert make_bundle(models={**make_bundle().models, "churn": make_model(seed=2)}).version != version


def test_saving_replaces_the_bundle_and_leaves_nothing_beside_it(folder):
    save_bundle(make_bundle(programme_name="second"), folder)
    assert load_bundle(folder).programme_name == "second"
    assert [entry.name for entry in folder.parent.iterdir()] == ["bundle"]


def test_an_interrupted_save_leaves_the_old_bundle_whole(folder, monkeypatch):
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_bundle(make_bundle(programme_name="second"), folder)
    assert load_bundle(folder).programme_name == "test"


@pytest.mark.parametrize("name", ["bundle.json", "model_churn.txt", "model_value.txt"])
def test_an_altered_file_is_refused_by_name(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b"1", b"2", 1))
    with pytest.raises(RefusedError, match=f"{name} was altered"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "model_churn.txt", "model_value.txt"])
def test_a_truncated_file_is_refused_by_name(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:100])
    with pytest.raises(RefusedError, match=f"{name} is truncated: 100 of"):
        load_bundle(folder)


def test_a_truncated_manifest_is_refused(folder):
    (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes()[:50])
    with pytest.raises(RefusedError, match=r"manifest\.json is not whole JSON"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "manifest.json", "model_value.txt"])
def test_a_missing_file_is_refused_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(RefusedError, match=f"{name} is missing"):
        load_bundle(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="is missing"):
        load_bundle(tmp_path / "nowhere")


def test_a_newer_format_is_refused_before_anything_else_is_read(folder):
    edit_json(folder / "manifest.json", format=4, files="laid out differently")
    with pytest.raises(RefusedError, match="format 4, this program reads up to 3; upgrade winback"):
        load_bundle(folder)


def test_an_older_format_is_refused_with_what_to_do(folder, tmp_path):
    edit_json(folder / "manifest.json", format=1, files="laid out differently")
    with pytest.raises(RefusedError, match="format 1, of an earlier winback; this program reads 3: train again"):
        load_bundle(folder)
    save_policy_table(make_policy_table(), tmp_path / "policy.json")
    edit_json(tmp_path / "policy.json", format=1)
    with pytest.raises(RefusedError, match="run `winback effects` again"):
        load_policy_table(tmp_path / "policy.json")


def resealed(folder: Path, name: str, data: bytes) -> None:
    """Write a file of a bundle and make the manifest agree with it."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_json(folder / "manifest.json", **manifest)


def test_a_bundle_from_before_an_optional_field_is_read_and_keeps_its_version(folder):
    content = json.loads((folder / "bundle.json").read_text())
    del content["reference_profile"], content["models"]["churn"]["offset_shift"]
    resealed(folder, "bundle.json", json.dumps(content).encode())
    assert load_bundle(folder).version == make_bundle().version


@pytest.mark.parametrize(
    "changed",
    [
        {"files": []},
        {"files": {"bundle.json": "whole"}},
        {"files": {"bundle.json": {"bytes": "many", "sha256": 1}}},
        {"files": {"../elsewhere": {"bytes": 1, "sha256": "0"}}},
        {"version": 7},
    ],
)
def test_a_manifest_of_wrong_types_is_refused(folder, changed):
    edit_json(folder / "manifest.json", **changed)
    with pytest.raises(RefusedError, match=r"manifest\.json does not fit"):
        load_bundle(folder)


@pytest.mark.parametrize("models", [[], "churn", {"churn": 1}, None])
def test_models_of_wrong_types_are_refused(folder, models):
    content = {**json.loads((folder / "bundle.json").read_text()), "models": models}
    resealed(folder, "bundle.json", json.dumps(content).encode())
    with pytest.raises(RefusedError, match="does not fit: models"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "model_churn.txt"])
def test_what_is_not_utf_8_is_refused(folder, name):
    resealed(folder, name, b"tree\xff\n")
    with pytest.raises(RefusedError, match=r"is not whole JSON|models\.churn\.text"):
        load_bundle(folder)


def test_a_policy_table_that_is_no_table_is_refused(tmp_path):
    sealed = {"format": 2, "sha256": hashlib.sha256(b"[]").hexdigest(), "policy_table": []}
    (tmp_path / "policy.json").write_text(json.dumps(sealed))
    with pytest.raises(RefusedError, match=r"policy\.json does not fit"):
        load_policy_table(tmp_path / "policy.json")


def test_a_changed_copy_has_a_version_of_its_own():
    bundle = make_bundle()
    before = bundle.version
    assert bundle.model_copy(update={"value_factor": 0.031}).version == make_bundle(value_factor=0.031).version
    assert bundle.model_copy().version == before


@pytest.mark.parametrize("number", [None, 0, True, "2"])
def test_a_manifest_without_a_format_is_refused(folder, number):
    edit_json(folder / "manifest.json", format=number)
    with pytest.raises(RefusedError, match="does not say which format"):
        load_bundle(folder)


def test_content_that_does_not_hash_to_the_named_version_is_refused(folder):
    edit_json(folder / "manifest.json", version="0123456789ab")
    with pytest.raises(RefusedError, match="does not hash to version 0123456789ab"):
        load_bundle(folder)


def test_a_manifest_that_leaves_a_model_out_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["model_churn.txt"]
    edit_json(folder / "manifest.json", **manifest)
    with pytest.raises(RefusedError, match=r"models\.churn: the LightGBM text is not whole"):
        load_bundle(folder)


def test_models_trained_on_other_features_do_not_make_a_bundle():
    with pytest.raises(
        ValidationError,
        match="model churn was trained on other features than the bundle names: open_rate_28d, tenure_days",
    ):
        make_bundle(
            models={**make_bundle().models, "churn": make_model(inputs=(*INPUTS[:3], "tenure_days", *INPUTS[4:]))}
        )


def test_models_trained_on_another_order_of_features_do_not_make_a_bundle():
    with pytest.raises(ValidationError, match="their order"):
        make_bundle(feature_names=tuple(reversed(INPUTS)))


def test_different_horizons_need_a_model_of_orders():
    with pytest.raises(ValidationError, match="no model orders"):
        make_bundle(value_days=182)
    make_bundle(value_days=182, models={**make_bundle().models, "orders": make_model()})


def test_a_bundle_cannot_be_changed_and_knows_its_fields():
    with pytest.raises(ValidationError, match="frozen"):
        make_bundle().value_factor = 2.0
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        make_bundle(unknown=1)


def test_a_calibrator_interpolates_and_is_flat_beyond_its_ends():
    calibrator = Calibrator(x=(0.2, 0.6), y=(0.1, 0.9))
    np.testing.assert_allclose(calibrator(np.array([0.0, 0.2, 0.4, 0.6, 1.0])), [0.1, 0.1, 0.5, 0.9, 0.9])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, 1.0), (0.9, 0.1)),
        ((0.0, 1.0), (0.0, 0.5, 1.0)),
        ((0.0, 1.0), (0.0, 1.2)),
        ((0.5,), (0.5,)),
    ],
)
def test_a_calibrator_that_does_not_rise_is_refused(x, y):
    with pytest.raises(ValidationError):
        Calibrator(x=x, y=y)


def test_a_policy_table_comes_back_as_it_was(tmp_path):
    save_policy_table(make_policy_table(), tmp_path / "var" / "policy.json")
    save_policy_table(make_policy_table(), tmp_path / "var" / "policy.json")
    assert load_policy_table(tmp_path / "var" / "policy.json") == make_policy_table()
    assert [file.name for file in (tmp_path / "var").iterdir()] == ["policy.json"]


def test_the_policy_version_follows_the_content_and_not_the_clock():
    assert make_policy_table(created_at=datetime(2030, 1, 1)).version == make_policy_table().version
    assert make_policy_table(evidence="observational").version != make_policy_table().version


def test_a_policy_table_that_is_not_whole_is_refused_with_its_cause(tmp_path):
    file = tmp_path / "policy.json"
    with pytest.raises(RefusedError, match=r"policy\.json is missing"):
        load_policy_table(file)
    save_policy_table(make_policy_table(), file)
    whole = file.read_text()
    file.write_text(whole[:200])
    with pytest.raises(RefusedError, match="not whole JSON"):
        load_policy_table(file)
    file.write_text(whole.replace("randomised", "propensity"))
    with pytest.raises(RefusedError, match="was altered"):
        load_policy_table(file)
    file.write_text(whole)
    edit_json(file, format=3)
    with pytest.raises(RefusedError, match="format 3, this program reads up to 2"):
        load_policy_table(file)
    file.write_text("[]")
    with pytest.raises(RefusedError, match="not a JSON object"):
        load_policy_table(file)
