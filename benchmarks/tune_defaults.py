"""Search for better defaults: how all programmes' trees are grown, judged on every development back-test at once.

TRIALS=number says how many, MEMBERS=number from how many members per date to learn at most; DATA=folder adds Ta-Feng.
The study is kept in build/benchmarks: a search broken off goes on there. New defaults are worth shipping only if the
best trial's ratio to the old ones lies below 1 by more than twice its standard error over the back-tests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

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


def search(backtests: Sequence[Development], trials: int) -> optuna.Study:
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

    study.optimize(objective, n_trials=max(0, trials - len(finished(study))), callbacks=[lambda *_: report(study)])
    return study


def ratios(found: Sequence[Sequence[float]], usual: Sequence[Sequence[float]]) -> Floats:
    """Return each back-test's losses over those of the defaults."""
    return np.asarray(np.divide(found, usual).mean(axis=1))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that went through."""
    done: list[FrozenTrial] = study.get_trials(states=(TrialState.COMPLETE,))
    return done


def report(study: optuna.Study) -> None:
    """Print the best trial so far, and how sure it is that it is better."""
    best = study.best_trial
    each = ratios(best.user_attrs[LOSSES], study.trials[0].user_attrs[LOSSES])
    noise = each.std(ddof=1) / np.sqrt(len(each))
    print(
        f"{len(finished(study))} trials; best {each.mean():.4f} of the defaults' losses, standard error {noise:.4f}, "
    )
    print(f"  better on {(each < 1).sum()} of {len(each)}: {best.params}", flush=True)


def main() -> None:
    """Search and print the best found."""
    backtests = list(developments(int(os.environ.get("MEMBERS") or MEMBERS)))
    report(search(backtests, int(os.environ.get("TRIALS") or TRIALS)))


if __name__ == "__main__":
    main()
