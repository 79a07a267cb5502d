"""Models in an MLflow server that several people share: registered, served, renewed, and its absence outlasted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundles import make_bundle
from processes import caller, free_port, wait_until_ready
from test_reload import make_state

from features.errors import RefusedError
from features.programme import Programme, parse_programme
from serving.bundle import ModelBundle
from serving.mlflow_home import TrackingError, connect
from serving.registry import champion_number, record_run, register_bundle, set_champion
from serving.reload import Reloader, Sources
from serving.resolve import resolve_bundle

pytestmark = pytest.mark.long


def make_programme(tracking: str, folder: Path) -> Programme:
    content = {"name": "test", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}}
    return parse_programme({**content, "output": {"tracking": tracking}}, folder=folder)


class Server:
    """An MLflow server on loopback that can go away and come back with all it has."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [
            Path(sys.executable).with_name("mlflow"),
            "server",
            "--host=127.0.0.1",
            f"--port={self._port}",
            "--workers=1",
            f"--backend-store-uri=sqlite:///{self._folder}/mlflow.db",
            f"--artifacts-destination={self._folder}/artifacts",
        ]
        log = self._folder / "log"
        with log.open("w") as output, caller(self._port) as client:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            try:
                wait_until_ready(client, process, log, "/health")
                yield
            finally:
                process.terminate()
                process.wait(timeout=30)


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


def register(programme: Programme, bundle: ModelBundle) -> int:
    connect(programme)
    import mlflow

    with mlflow.start_run():
        return register_bundle(bundle, programme)


def make_service(programme: Programme) -> tuple[SimpleNamespace, Reloader]:
    state = make_state(programme, resolve_bundle(programme), None)
    return state, Reloader(state, Sources(programme, None, None))


def test_models_are_shared_and_renewed_and_serve_on_while_the_server_is_away(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    programme = make_programme(server.url, tmp_path / "ours")
    colleague = make_programme(server.url, tmp_path / "theirs")
    first, second = make_bundle(), make_bundle(value_factor=1.5)
    with server.running():
        with pytest.raises(RefusedError, match=f"no champion of model 'winback' in {server.url}"):
            resolve_bundle(programme)
        assert register(programme, first) == champion_number(colleague) == 1
        assert resolve_bundle(colleague) == first
        service, reloader = make_service(colleague)

    reloader.look()
    assert service.answers.bundle == first
    assert server.url in service.answers.refused["model"]
    with pytest.raises(TrackingError, match=f"the MLflow server at {server.url} failed"):
        resolve_bundle(programme)
    record_run(programme, summary=None)
    assert "its decisions stand" in caplog.text

    with server.running():
        reloader.look()
        assert service.answers.bundle == first and service.answers.refused == {}
        number = register(programme, second)
        set_champion(programme, number, reason="better in a test")
        reloader.look()
        assert service.answers.bundle == second
    assert not (tmp_path / "ours").exists() and not (tmp_path / "theirs").exists()
