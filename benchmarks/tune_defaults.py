"""Search for better defaults: how all programmes' trees are grown, judged on every development back-test at once.

TRIALS=number says how many, MEMBERS=number from how many members per date to learn at most; DATA=folder adds Ta-Feng.
The study is kept in build/benchmarks: a search broken off goes on there. The best of many trials looks better than it
is, so each programme's back-tests are judged by the trial that was best on all others'. New defaults are worth shipping
only if the mean ratio of those to the old ones lies below 1 by more than twice its standard error over the back-tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import numpy as np
import optuna
from development import Development, developments
from optuna.trial import FrozenTrial, Trial, TrialState
from progress import FOLDER, state

from serving.bundle import Floats
from serving.scoring import score
from training.evaluate import churn_metrics, value_metrics
from training.fit import train
from training.spec import GROWTH
from training.tune import everywhere, tree_growth

TRIALS = 20
MEMBERS = 3_000
LOSSES = "losses"


def losses(at: Development, trial: Trial) -> list[float]:
    """Train as a trial says and return log loss and Tweedie deviance of what followed."""
    growth = everywhere(tree_growth(trial), at.programme)
    scores = score(at.now.features, train(at.snapshots, at.now, at.programme, growth=growth).bundle)
    churn = churn_metrics(at.happened["churned"], scores["churn_probability"])
    value = value_metrics(at.happened["value"], scores["expected_value"])
    return [churn["log_loss"], value["tweedie_deviance"]]


def search(backtests: Sequence[Development], trials: int) -> None:
    """Search until so many trials are finished; the first is the defaults."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(storage=f"sqlite:///{FOLDER / 'defaults.db'}", study_name=state(), load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    if not study.trials:
        study.enqueue_trial(dict(GROWTH))

    def objective(trial: Trial) -> float:
        found = [losses(each, trial) for each in backtests]
        trial.set_user_attr(LOSSES, found)
        usual = found if trial.number == 0 else study.trials[0].user_attrs[LOSSES]
        return float(ratios(found, usual).mean())

    programmes = [each.programme.name for each in backtests]
    tell = partial(report, programmes=programmes)
    study.optimize(objective, n_trials=max(0, trials - len(finished(study))), callbacks=[lambda *_: tell(study)])
    tell(study)


def ratios(found: Sequence[Sequence[float]], usual: Sequence[Sequence[float]]) -> Floats:
    """Return each back-test's losses over those of the defaults."""
    return np.asarray(np.divide(found, usual).mean(axis=1))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that went through."""
    done: list[FrozenTrial] = study.get_trials(states=(TrialState.COMPLETE,))
    return done


def held_out(found: Floats, programmes: Sequence[str]) -> Floats:
    """Return each back-test's ratio by the trial, a row, that was best on the back-tests of other programmes."""
    names = np.asarray(programmes)
    best = {name: found[:, names != name].mean(axis=1).argmin() for name in programmes}
    return np.array([found[best[name], at] for at, name in enumerate(programmes)])


def report(study: optuna.Study, programmes: Sequence[str]) -> None:
    """Print the best trial so far, and whether trials chosen so beat the defaults where they were not chosen."""
    trials = finished(study)
    found = np.array([ratios(each.user_attrs[LOSSES], trials[0].user_attrs[LOSSES]) for each in trials])
    unseen = held_out(found, programmes)
    noise = unseen.std(ddof=1) / np.sqrt(len(unseen))
    print(
        f"{len(trials)} trials; best {study.best_value:.4f} of the defaults' losses: {study.best_params}\n"
        f"  held out {unseen.mean():.4f}, standard error {noise:.4f}, better on {(unseen < 1).sum()} of {len(unseen)}: "
        f"{'worth shipping' if unseen.mean() + 2 * noise < 1 else 'the defaults stand'}",
        flush=True,
    )


def main() -> None:
    """Search and print the best found."""
    search(list(developments(int(os.environ.get("MEMBERS") or MEMBERS))), int(os.environ.get("TRIALS") or TRIALS))


if __name__ == "__main__":
    main()
