"""What a training run leaves in MLflow. The only module of training that imports it."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from features.catalogue import catalogue
from features.programme import Programme
from serving.mlflow_home import connect
from serving.reasons import contributions
from serving.registry import register_bundle
from training.evaluate import decile_table
from training.explain import decile_figure, family_figure, gain_figure, reliability_figure, shap_figure
from training.fit import Training
from training.snapshots import Population

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial


EXPLAINED_MEMBERS: Final = 2_000


def log_training(training: Training, now: Population, programme: Programme, *, fingerprint: str) -> int:
    """Log a training run with its bundle and register the model.

    Parameters
    ----------
    training
        The models and how they did.
    now
        The members whose scores are explained.
    programme
        What was trained for; its settings are logged.
    fingerprint
        Of the data.

    Returns
    -------
    int
        The version number in the registry. The first version of a model is its champion.
    """
    bundle = training.bundle
    connect(programme)
    import mlflow

    with mlflow.start_run(run_name=f"train {programme.local_date(bundle.trained_until)}"):
        kind = "later date" if training.out_of_time else "other members"
        mlflow.set_tags(
            {"bundle": bundle.version, "data_fingerprint": fingerprint, "held_out": kind, **_code_version()}
        )
        mlflow.log_params(_parameters(training, programme))
        mlflow.log_metrics({name: value for name, value in bundle.metrics.items() if math.isfinite(value)})
        mlflow.log_text("\n".join(bundle.feature_names) + "\n", "features.txt")
        mlflow.log_text(bundle.constants.model_dump_json(indent=1), "constants.json")
        for name, figure in _figures(training, now, programme).items():
            mlflow.log_figure(figure, name)
        return register_bundle(bundle, programme)


@contextmanager
def log_tuning(programme: Programme) -> Iterator[Callable[[FrozenTrial], None]]:
    """Open a run for a search and yield what logs a trial as a run nested in it."""
    connect(programme)
    import mlflow

    def log(trial: FrozenTrial) -> None:
        with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
            mlflow.log_params(trial.params)
            mlflow.set_tag("state", trial.state.name.lower())
            for step, loss in sorted(trial.intermediate_values.items()):
                mlflow.log_metric("loss", loss, step=step)

    with mlflow.start_run(run_name="tune"):
        yield log


def _figures(training: Training, now: Population, programme: Programme) -> dict[str, Figure]:
    held_out, value_unit = training.held_out, f"value in {programme.horizons.value_days} days, {programme.currency}"
    now = now.evened()
    features = now.features
    some = features.sample(min(len(features), EXPLAINED_MEMBERS), random_state=0)
    moved = contributions(some, training.bundle)
    values = some.join(now.priors)
    columns = [f"{name} (start)" if name in moved.columns[:at] else name for at, name in enumerate(moved.columns)]
    shap = pd.DataFrame(moved.shap, columns=columns, index=some.index)
    return {
        "reliability.png": reliability_figure(held_out["churned"], held_out["churn_probability"]),
        "value_deciles.png": decile_figure(
            decile_table(held_out["value"], held_out["expected_value"]), quantity=value_unit
        ),
        "value_gain.png": gain_figure(held_out["value"], {"winback": held_out["expected_value"]}, quantity="value"),
        "shap.png": shap_figure(shap, values),
        "families.png": family_figure(shap, _families(columns, programme)),
    }


def _families(columns: list[str], programme: Programme) -> dict[str, str]:
    """Name each column's family; what comes of the classical formulas is a family of its own."""
    known = {feature.name: feature.family for feature in catalogue(programme.windows)}
    return {name: known.get(name, "prior") for name in columns}


def _parameters(training: Training, programme: Programme) -> dict[str, object]:
    settings = {**programme.horizons.model_dump(), **programme.eligible.model_dump(), **programme.training.model_dump()}
    growth = {
        f"{spec.name}_{name}": value
        for spec in training.specs
        for name, value in {
            "objective": spec.objective,
            "offset": spec.offset,
            "offset_weight": spec.offset_weight,
            **spec.growth,
        }.items()
    }
    return {**settings, **growth}


def _code_version() -> dict[str, str]:
    """Return the package version and, in a working copy, the commit."""
    package = {"package_version": version("winback")}
    git = shutil.which("git")
    if git is None:
        return package
    here = Path(__file__).parent
    asked = subprocess.run([git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)  # noqa: S603
    return {**package, "git_commit": asked.stdout.strip()} if asked.returncode == 0 else package
