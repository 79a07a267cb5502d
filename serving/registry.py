"""The registry of models in MLflow: versions, the champion among them, and what was decided about each."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.catalogue import feature_names
from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import ModelBundle
from serving.bundle_files import load_bundle, save_bundle
from serving.by_name import KEYS
from serving.mlflow_home import TrackingError, can_have_any, connect, place
from serving.scoring import SCORE_COLUMNS, needed_columns

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from serving.summary import RunSummary

CHAMPION: Final = "champion"
CHAMPIONS: Final = "champions"
"""Tag of the model: the versions that have been champion, the current one last; what was rolled back is taken off."""
CHAMPIONS_KEPT: Final = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A registered model: its number, what was decided about it (see :func:`note`), and the model unless it is lost."""

    number: int
    notes: Mapping[str, str]
    bundle: ModelBundle | None
    is_champion: bool


def record_run(programme: Programme, summary: RunSummary) -> None:
    """Log what a weekly run decided, where the programme's models are tracked; a server that is away loses that."""
    if not can_have_any(programme):
        return
    try:
        connect(programme)
    except TrackingError as error:
        _log.warning("the run is not logged, its decisions stand: %s", error)
        return
    import mlflow

    counts = ("members_known", "decided", "not_eligible", "holdout")
    numbers = {name: float(getattr(summary, name)) for name in counts} | summary.money.model_dump()
    with mlflow.start_run(run_name=f"score {summary.as_of}", tags={"job": "score"}):
        mlflow.log_params(
            {"as_of": summary.as_of, "model": summary.model_version, "data_fingerprint": summary.data_fingerprint}
        )
        mlflow.log_metrics(numbers)
        mlflow.log_dict(summary.model_dump(mode="json"), "summary.json")


def register_bundle(bundle: ModelBundle, programme: Programme) -> int:
    """Log a bundle in the active run and register it; the first one becomes champion. Return its version number."""
    client = connect(programme)
    import mlflow

    name = programme.output.model
    told = io.StringIO()  # MLflow writes what it has done to the terminal
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(), redirect_stderr(told):
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
    if champion_number(programme) is None:
        set_champion(programme, number, reason="the first model")
    return number


def set_champion(programme: Programme, number: int, *, reason: str) -> None:
    """Make a registered version the one that scores, and remember why and when, and which one it replaces."""
    if champion_number(programme) != number:
        _enthrone(programme, [*_champions(programme), number])
    note(programme, number, "promoted", reason)


def roll_back(programme: Programme, *, reason: str) -> tuple[int, int]:
    """Make the champion before this one champion again; return the number taken off and the one that scores now.

    Raises
    ------
    RefusedError
        If there was none before.
    """
    champions = _champions(programme)
    if len(champions) < 2:
        raise RefusedError(f"model {programme.output.model!r} has had no other champion to go back to")
    *before, taken_off = champions
    _enthrone(programme, before)
    note(programme, taken_off, "rolled_back", reason)
    return taken_off, before[-1]


def note(programme: Programme, number: int, what: str, reason: str) -> None:
    """Tag a version with what was decided about it, why and when."""
    client, name = connect(programme), programme.output.model
    client.set_model_version_tag(name, str(number), what, reason)
    client.set_model_version_tag(name, str(number), f"{what}_at", datetime.now(UTC).isoformat(timespec="seconds"))


def notes(programme: Programme, number: int) -> Mapping[str, str]:
    """Return the tags of a version."""
    version_ = connect(programme).get_model_version(programme.output.model, str(number))
    return dict(version_.tags)


def champion_number(programme: Programme) -> int | None:
    """Return the version that scores, None where there is none."""
    if not can_have_any(programme):
        return None
    client = connect(programme)
    import mlflow

    try:
        return int(client.get_model_version_by_alias(programme.output.model, CHAMPION).version)
    except mlflow.MlflowException:
        return None


def version_numbers(programme: Programme) -> list[int]:
    """Return the registered versions, the earliest first."""
    if not can_have_any(programme):
        return []
    found = connect(programme).search_model_versions(f"name = '{programme.output.model}'")
    return sorted(int(each.version) for each in found)


def latest_versions(programme: Programme, latest: int) -> list[Version]:
    """Return the latest registered versions and the champion, the newest first; none where there is no registry."""
    champion, numbers = champion_number(programme), version_numbers(programme)
    wanted = {*numbers[-latest:], champion} - {None}
    return [
        Version(number, notes(programme, number), _kept(programme, number), is_champion=number == champion)
        for number in sorted(filter(None, wanted), reverse=True)
    ]


def load_champion(programme: Programme) -> ModelBundle:
    """Load the champion's bundle.

    Raises
    ------
    RefusedError
        If there is none, or it is not whole.
    """
    number = champion_number(programme)
    if number is None:
        raise RefusedError(
            f"no champion of model {programme.output.model!r} in {place(programme)}; run `winback train` first"
        )
    return load_version(programme, number)


def load_version(programme: Programme, number: int) -> ModelBundle:
    """Load the bundle of a registered version.

    Raises
    ------
    RefusedError
        If there is no such version, or it is not whole.
    """
    name, known = programme.output.model, version_numbers(programme)
    if number not in known:
        there = f"there are {', '.join(map(str, known))}" if known else "run `winback train` first"
        raise RefusedError(f"model {name!r} has no version {number}; {there}")
    connect(programme)
    import mlflow

    try:
        source = mlflow.artifacts.download_artifacts(f"models:/{name}/{number}")
    except (mlflow.MlflowException, OSError) as error:
        raise RefusedError(f"version {number} of model {name!r} has lost its files: {error}") from error
    return load_bundle(Path(source) / "data" / "bundle")


def _kept(programme: Programme, number: int) -> ModelBundle | None:
    try:
        return load_version(programme, number)
    except RefusedError:
        return None


def _champions(programme: Programme) -> list[int]:
    """Return the versions that have been champion, the current one last, even if MLflow's own pages made it so."""
    current = champion_number(programme)
    if current is None:
        return []
    tags = connect(programme).get_registered_model(programme.output.model).tags
    known = [int(number) for number in tags.get(CHAMPIONS, "").split()]
    return known if known[-1:] == [current] else [*known, current]


def _enthrone(programme: Programme, champions: Sequence[int]) -> None:
    client, name = connect(programme), programme.output.model
    client.set_registered_model_tag(name, CHAMPIONS, " ".join(map(str, champions[-CHAMPIONS_KEPT:])))
    client.set_registered_model_alias(name, CHAMPION, str(champions[-1]))


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
