"""MLflow as the programme file names it: a folder of the programme's own, or a server that several people share.

With `serving.registry` the only modules of serving that import MLflow, and only inside functions.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import PassingError
from features.programme import Programme

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE: Final = "mlflow.db"

_DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""What is asked of MLflow unless the environment says otherwise; it would itself wait for a server for minutes."""


class TrackingError(PassingError):
    """The MLflow server does not answer, or not as one."""


def on_a_server(programme: Programme) -> bool:
    """Tell whether a server tracks the programme's runs and models."""
    return "://" in programme.output.tracking


def place(programme: Programme) -> str:
    """Return where the programme's runs and models are, as people would name it."""
    return programme.output.tracking if on_a_server(programme) else str(_folder(programme))


def can_have_any(programme: Programme) -> bool:
    """Tell whether there can be runs or models; asking makes no file and calls no server."""
    return on_a_server(programme) or database_file(programme).exists()


def database_file(programme: Programme) -> Path:
    """Return the file that holds runs and models where a folder does."""
    return _folder(programme) / DATABASE


def connect(programme: Programme) -> MlflowClient:
    """Point MLflow at the programme's own experiment, with pickle refused.

    Raises
    ------
    TrackingError
        If a server is named and does not answer.
    """
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    artifacts = None
    if on_a_server(programme):
        mlflow.set_tracking_uri(programme.output.tracking)
    else:
        folder = _folder(programme).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        artifacts = (folder / "artifacts").as_uri()
        mlflow.set_tracking_uri(f"sqlite:///{folder / DATABASE}")
    try:
        if mlflow.get_experiment_by_name(programme.output.model) is None:
            mlflow.create_experiment(programme.output.model, artifact_location=artifacts)
        mlflow.set_experiment(programme.output.model)
    except mlflow.MlflowException as error:
        if not on_a_server(programme):
            raise
        raise TrackingError(f"the MLflow server at {place(programme)} failed: {error}") from error
    return mlflow.MlflowClient()


def _folder(programme: Programme) -> Path:
    return programme.path(programme.output.tracking)
