"""Tuning looks only at earlier dates, goes on where it stopped, and never ends worse than the defaults."""

import numpy as np
import optuna
import pytest
from builders import small_frames, small_programme

from features.errors import RefusedError
from features.sources import load_tables
from serving.mlflow_home import connect
from training import tune as tuning
from training.fit import train
from training.labels import days_after, longest_horizon
from training.spec import GROWTH
from training.tracking import log_tuning
from training.tune import development_dates, everywhere, tree_growth, tune

AS_OF = "2026-01-05"


@pytest.fixture(scope="module")
def programme(tmp_path_factory):
    programme = small_programme(tmp_path_factory.mktemp("shop"), small_frames(members=150))
    fewer = programme.training.model_copy(update={"snapshots": 1})
    shorter = programme.horizons.model_copy(update={"churn_days": 56, "value_days": 56})
    return programme.model_copy(update={"training": fewer, "horizons": shorter})


@pytest.fixture(scope="module")
def loaded(programme):
    return load_tables(programme, threads=1)


@pytest.fixture
def quick(monkeypatch):
    """Losses without training: fewer leaves are better, and each parameter set trained is noted."""
    tried = []

    def losses(at, programme, growth):
        tried.append(growth)
        return np.array([1.0, 1.0]) * growth.get("churn", GROWTH)["num_leaves"]

    monkeypatch.setattr(tuning, "_losses", losses)
    return tried


def test_dates_to_tune_on_end_before_the_first_date_reported_begins(programme):
    as_of = programme.instant(AS_OF)
    reported = days_after(as_of, -longest_horizon(programme), programme)
    dates = list(development_dates(as_of, programme))
    assert len(dates) == len(set(dates)) == 2
    assert all(days_after(date, longest_horizon(programme), programme) <= reported for date in dates)


def test_a_search_finds_what_is_better_and_a_longer_one_goes_on_from_it(programme, loaded, quick):
    as_of, logged = programme.instant(AS_OF), []
    first = tune(loaded, as_of, programme, trials=3, log=logged.append)
    assert first.trials == 3
    assert logged[0].params == dict(GROWTH)
    assert first.loss < 1
    assert set(first.growth) == {"churn", "value"}
    assert first.growth["churn"]["num_leaves"] < GROWTH["num_leaves"]
    second = tune(loaded, as_of, programme, trials=5, log=logged.append)
    assert [trial.number for trial in logged] == [0, 1, 2, 3, 4]
    assert second.loss <= first.loss
    third = tune(loaded, as_of, programme, trials=4, log=logged.append)
    assert (third.trials, third.growth, len(logged)) == (5, second.growth, 5)


def test_other_data_is_another_study(programme, quick, tmp_path):
    other = small_programme(tmp_path / "other", small_frames(members=140, seed=2))
    moved = programme.model_copy(update={"data": other.data})
    logged = []
    tune(load_tables(other, threads=1), moved.instant(AS_OF), moved, trials=1, log=logged.append)
    assert [trial.number for trial in logged] == [0]


def test_where_nothing_is_better_the_defaults_win(programme, loaded, monkeypatch, tmp_path):
    usual = dict(GROWTH)
    monkeypatch.setattr(
        tuning, "_losses", lambda at, p, growth: np.ones(2) * (1 + (growth.get("churn", usual) != usual))
    )
    here = programme.model_copy(update={"folder": tmp_path})
    tuned = tune(loaded, here.instant(AS_OF), here, trials=4)
    assert (tuned.loss, tuned.growth["value"]) == (1.0, usual)


def test_a_hopeless_trial_is_given_up_after_its_first_date(programme, loaded, monkeypatch, tmp_path):
    dates = []

    def losses(at, programme, growth):
        dates.append(at.now.as_of)
        return np.ones(2) * (100 if growth and growth["churn"] != dict(GROWTH) and len(dates) > 20 else 1)

    monkeypatch.setattr(tuning, "_losses", losses)
    here = programme.model_copy(update={"folder": tmp_path})
    logged = []
    tune(loaded, here.instant(AS_OF), here, trials=12, log=logged.append)
    assert logged[-1].state is optuna.trial.TrialState.PRUNED
    assert len(logged[-1].intermediate_values) == 1


def test_a_history_too_short_for_earlier_dates_is_refused(programme, loaded):
    with pytest.raises(RefusedError, match="too short to tune on dates before those reported"):
        tune(loaded, programme.instant("2024-05-01"), programme, trials=1)


def test_what_is_found_grows_every_model_and_is_logged_as_nested_runs(programme, loaded):
    as_of = programme.instant(AS_OF)
    with log_tuning(programme) as log:
        tuned = tune(loaded, as_of, programme, trials=6, log=log)
    client = connect(programme)
    experiment = client.get_experiment_by_name(programme.output.model)
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.data.tags["mlflow.runName"] == "tune")
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert nested
    assert all({"loss"} <= set(run.data.metrics) and "num_leaves" in run.data.params for run in nested)
    development = tuning._development(loaded, tuned.dates[0], programme)
    learnt = train(development.snapshots, development.now, programme, growth=tuned.growth)
    assert [spec.growth["num_leaves"] for spec in learnt.specs] == [tuned.growth["churn"]["num_leaves"]] * 2


def test_the_search_space_is_a_plain_function_around_the_defaults(programme):
    fixed = optuna.trial.FixedTrial(dict(GROWTH))
    assert tree_growth(fixed) == dict(GROWTH)
    assert everywhere({"num_leaves": 4}, programme) == {"churn": {"num_leaves": 4}, "value": {"num_leaves": 4}}
