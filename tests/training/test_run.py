"""The jobs behind the commands, on a small programme with its own registry."""

import json

import pytest
from builders import small_frames, small_programme

from features.errors import RefusedError
from serving.bundle_files import load_policy_table
from serving.mlflow_home import connect
from serving.registry import load_champion
from serving.resolve import policy_file
from training import run

AS_OF = "2025-09-01"


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    programme = small_programme(tmp_path_factory.mktemp("shop"), small_frames(members=150))
    fewer = programme.training.model_copy(update={"snapshots": 1})
    horizons = programme.horizons.model_copy(update={"churn_days": 91})
    return programme.model_copy(update={"training": fewer, "horizons": horizons})


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def trained(programme, steps):
    return run.train(programme, AS_OF, step=steps.append)


def test_the_first_model_becomes_champion_and_scores(programme, trained, steps):
    assert trained.record["champion"]
    assert trained.record["trained_until"] == AS_OF
    assert load_champion(programme).version == trained.record["version"]
    assert any("fitting" in step for step in steps)
    assert any("too short to keep a later date apart" in warning for warning in trained.warnings)
    json.dumps(trained.record, allow_nan=False)


def test_the_run_keeps_what_is_needed_to_repeat_and_to_judge_it(programme, trained):
    client = connect(programme)
    experiment = client.get_experiment_by_name(programme.output.model)
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.data.params["value_days"] == "91"
    assert logged.data.params["value_objective"] == "tweedie"
    assert {"data_fingerprint", "package_version", "bundle"} <= set(logged.data.tags)
    assert logged.data.metrics["churn_log_loss"] == pytest.approx(trained.record["metrics"]["churn_log_loss"])
    files = {file.path for file in client.list_artifacts(logged.info.run_id)}
    assert {"features.txt", "constants.json", "reliability.png", "shap.png", "families.png"} <= files


def test_a_model_stays_challenger_while_the_champion_has_seen_every_window(programme, trained):
    champion = load_champion(programme).version
    second = run.train(programme, "2025-10-01", trials=1, step=str)
    assert second.record["tuned"]["trials"] == 1
    assert second.record["tuned"]["loss"] == pytest.approx(1)
    assert second.record["tuned"]["dates"] == ["2025-04-02", "2025-03-05"]
    assert not second.record["champion"]
    assert "again on 2025-12-01" in second.record["reason"]
    assert load_champion(programme).version == champion


def test_a_later_model_is_judged_on_a_window_neither_has_seen(programme, trained):
    later = run.train(programme, "2025-12-15", step=str)
    assert "members" in later.record["reason"] or "worse" in later.record["reason"]
    assert (load_champion(programme).version == later.record["version"]) == later.record["champion"]


def test_training_beyond_the_data_is_refused(programme):
    with pytest.raises(RefusedError, match="would take missing days for days without orders"):
        run.train(programme, "2026-03-01", step=str)


def test_a_back_test_is_told_as_tables_and_as_a_record(programme):
    result = run.backtest(programme, None, step=str)
    assert {"churn", "value", "churn_deciles", "value_deciles", "profit", "history_levels", "intervals"} <= set(
        result.tables
    )
    assert {(row["model"], row["incentive"]) for row in result.record["profit"]} >= {("winback", "coupon_20")}
    assert sum(row["members"] for row in result.record["history_levels"]) == result.record["members"]
    assert result.record["members"] > 50
    assert result.record["churn"][0]["model"] == "winback"
    json.dumps(result.record, allow_nan=False)


def test_effects_are_written_where_scoring_looks_for_them(programme):
    result = run.effects(programme, None, step=str)
    table = load_policy_table(policy_file(programme))
    assert result.record["version"] == table.version
    assert len(result.record["effects"]) == len(table.effects)
    assert result.record["uplift"] == []


def test_nothing_is_said_of_uplift_within_segments_on_a_handful_of_offers(programme):
    assert run.effects(programme, None, uplift=True, step=str).record["uplift"] == []
