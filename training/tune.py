"""Tuning: how trees are grown, chosen by back-tests at dates earlier than any the model is later judged on.

A trial grows all models with the same parameters, as the shipped defaults do, and is judged on the development dates
one after the other; one that does worse than most on the first is given up. The study is kept in SQLite beside MLflow's
database, so that a search broken off goes on, and a longer one starts from a shorter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, Trial, TrialState

from features.errors import RefusedError
from features.programme import Programme
from features.sources import Loaded
from serving.scoring import score
from training.evaluate import churn_metrics, value_metrics
from training.fit import model_specs, train
from training.guard import refuse_leaks
from training.labels import days_after, labels, longest_horizon
from training.snapshots import Population, Snapshot, build_snapshots, observe
from training.spec import GROWTH, Growth

DATABASE: Final = "tuning.db"
DEVELOPMENT_DATES: Final = 2
FIRST_UNPRUNED: Final = 5

LogTrial = Callable[[FrozenTrial], None]
SearchSpace = Callable[[Trial], Mapping[str, Any]]


@dataclass(frozen=True)
class Development:
    """A date to tune on: what could be learnt by then, who was eligible, and what they did."""

    snapshots: Sequence[Snapshot]
    now: Population
    happened: pd.DataFrame


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    growth
        How to grow each model; the defaults where nothing did better.
    loss
        Mean over the development dates of log loss and Tweedie deviance, each over that of the defaults: theirs is 1.
    trials
        How many were finished, given up early or not.
    dates
        The development dates.
    """

    growth: Growth
    loss: float
    trials: int
    dates: tuple[datetime, ...]


def tree_growth(trial: Trial) -> Mapping[str, Any]:
    """Return the search space: trees at most as large as the defaults', which keeps explaining a score cheap."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.015, 0.12, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 3, int(GROWTH["num_leaves"])),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.5, 200.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
    }


def tune(
    loaded: Loaded,
    as_of: datetime,
    programme: Programme,
    *,
    trials: int,
    log: LogTrial = lambda _: None,
    space: SearchSpace = tree_growth,
) -> Tuned:
    """Search until the study holds so many finished trials; those of an earlier, equal search count.

    Raises
    ------
    RefusedError
        If the history is too short for a development date.
    """
    dates = list(development_dates(as_of, programme))
    developments = [_development(loaded, each, programme) for each in dates]
    default = [_losses(each, programme, {}) for each in developments]

    def objective(trial: Trial) -> float:
        growth = everywhere(space(trial), programme)
        ratios: list[float] = []
        for step, (each, usual) in enumerate(zip(developments, default, strict=True)):
            ratios.append(float(np.mean(_losses(each, programme, growth) / usual)))
            trial.report(float(np.mean(ratios)), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(ratios))

    study = _study(programme, name=_name(loaded, as_of, programme))
    missing = trials - len(_finished(study))
    if missing > 0:
        study.optimize(objective, n_trials=missing, callbacks=[lambda _, trial: log(trial)])
    return Tuned(
        growth=everywhere(study.best_params, programme),
        loss=study.best_value,
        trials=len(_finished(study)),
        dates=tuple(dates),
    )


def development_dates(as_of: datetime, programme: Programme) -> Iterator[datetime]:
    """Yield the dates to tune on, latest first: what followed was over when the date first reported on began.

    That one is the latest snapshot of a training as of `as_of`, one horizon before it.
    """
    for step in range(DEVELOPMENT_DATES):
        back = 2 * longest_horizon(programme) + step * programme.training.snapshot_step_days
        yield days_after(as_of, -back, programme)


def everywhere(parameters: Mapping[str, Any], programme: Programme) -> Growth:
    """Grow every model of a programme alike."""
    return {spec.name: dict(parameters) for spec in model_specs(programme)}


def _development(loaded: Loaded, date: datetime, programme: Programme) -> Development:
    try:
        snapshots = build_snapshots(loaded.tables, date, programme)
    except RefusedError as error:
        raise RefusedError(f"the history is too short to tune on dates before those reported: {error}") from error
    now = observe(loaded.tables, date, programme)
    refuse_leaks(snapshots, now, programme)
    return Development(snapshots, now, labels(loaded.tables, date, programme, now.features["member_id"]))


def _losses(at: Development, programme: Programme, growth: Growth) -> np.ndarray:
    """Train at a development date and return log loss and Tweedie deviance of what followed."""
    scores = score(at.now.features, train(at.snapshots, at.now, programme, growth=growth).bundle)
    churn = churn_metrics(at.happened["churned"], scores["churn_probability"])
    value = value_metrics(at.happened["value"], scores["expected_value"])
    return np.array([churn["log_loss"], value["tweedie_deviance"]])


def _study(programme: Programme, *, name: str) -> optuna.Study:
    """Open the study, or begin one with the defaults: nothing worse than they are can win."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = programme.path("var").resolve() / programme.output.model / DATABASE
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_UNPRUNED),
    )
    study.sampler = optuna.samplers.TPESampler(seed=programme.training.seed + len(study.trials))
    if not study.trials:
        study.enqueue_trial(dict(GROWTH))
    return study


def _name(loaded: Loaded, as_of: datetime, programme: Programme) -> str:
    """Name the study after everything its losses depend on but the code."""
    settings = programme.model_dump_json(include={"horizons", "eligible", "value", "windows", "training"})
    told = f"{loaded.fingerprint} {settings}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return f"{programme.output.model} {programme.local_date(as_of)} {digest}"


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    finished: list[FrozenTrial] = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return finished
