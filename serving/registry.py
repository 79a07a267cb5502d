"""Where models and policy tables are kept and found: MLflow's registry, a plain folder, one JSON file.

The only module of serving that imports MLflow, and only inside functions: a bundle in a folder is served without it.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.catalogue import feature_names
from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import ModelBundle, PolicyTable, load_bundle, load_policy_table, save_bundle
from serving.scoring import KEYS, SCORE_COLUMNS, needed_columns

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

CHAMPION: Final = "champion"
DATABASE: Final = "mlflow.db"


def resolve_bundle(programme: Programme, folder: Path | None = None) -> ModelBundle:
    """Load the bundle in a folder, or the registry's champion when no folder is named."""
    return load_champion(programme) if folder is None else load_bundle(folder)


def resolve_policy_table(programme: Programme) -> PolicyTable | None:
    """Load the programme's policy table; None when effects were never estimated."""
    file = policy_file(programme)
    return load_policy_table(file) if file.exists() else None


def policy_file(programme: Programme) -> Path:
    """Return where the programme's policy table is kept."""
    return programme.path("var") / programme.output.model / "policy.json"


def connect(programme: Programme) -> MlflowClient:
    """Point MLflow at the programme's own database and experiment, with pickle refused."""
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder = programme.path(programme.output.tracking).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder / DATABASE}")
    if mlflow.get_experiment_by_name(programme.output.model) is None:
        mlflow.create_experiment(programme.output.model, artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment(programme.output.model)
    return mlflow.MlflowClient()


def register_bundle(bundle: ModelBundle, programme: Programme) -> int:
    """Log a bundle in the active run and register it; the first one becomes champion. Return its version number."""
    client = connect(programme)
    import mlflow

    name = programme.output.model
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input example was not provided")
        save_bundle(bundle, Path(scratch) / "bundle")
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module="serving.pyfunc",
            data_path=str(Path(scratch) / "bundle"),
            signature=_signature(bundle),
            pip_requirements=[f"winback=={version('winback')}"],
            registered_model_name=name,
        )
    number = int(logged.registered_model_version)
    client.set_model_version_tag(name, str(number), "bundle", bundle.version)
    if CHAMPION not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CHAMPION, str(number))
    return number


def set_champion(programme: Programme, number: int) -> None:
    """Make a registered version the one that scores."""
    connect(programme).set_registered_model_alias(programme.output.model, CHAMPION, str(number))


def load_champion(programme: Programme) -> ModelBundle:
    """Load the champion's bundle.

    Raises
    ------
    RefusedError
        If there is none, or it is not whole.
    """
    name, folder = programme.output.model, programme.path(programme.output.tracking)
    nothing = RefusedError(f"no champion of model {name!r} in {folder}; run `winback train` first")
    if not (folder / DATABASE).exists():
        raise nothing
    client = connect(programme)
    import mlflow

    try:
        champion = client.get_model_version_by_alias(name, CHAMPION)
    except mlflow.MlflowException as error:
        raise nothing from error
    try:
        source = mlflow.artifacts.download_artifacts(f"models:/{name}/{champion.version}")
    except (mlflow.MlflowException, OSError) as error:
        raise RefusedError(f"version {champion.version} of model {name!r} has lost its files: {error}") from error
    return load_bundle(Path(source) / "data" / "bundle")


def _signature(bundle: ModelBundle) -> ModelSignature:
    """Demand every column scoring needs, in one type; the other features are welcome."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    types = {"member_id": DataType.string, "as_of": DataType.datetime}
    needed = needed_columns(bundle)

    def schema(names: Sequence[str], required: Sequence[str]) -> Schema:
        return Schema([ColSpec(types.get(name, DataType.double), name, required=name in required) for name in names])

    columns = dict.fromkeys((*KEYS, *feature_names(bundle.windows), *needed))
    return ModelSignature(schema(list(columns), needed), schema(SCORE_COLUMNS, SCORE_COLUMNS))
