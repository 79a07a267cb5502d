"""What several test modules share; its place also puts `builders` on their import path."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, Frames, small_bundle, small_frames, small_policy, small_programme

from features.programme import Programme
from serving import registry, server
from serving.batch import score_programme
from serving.bundle import ModelBundle, PolicyTable, save_policy_table
from serving.records import DecisionRecord, decision_records

READY_WITHIN_SECONDS = 120


@dataclass(frozen=True)
class Shop:
    """A small programme with its tables, a model and effects."""

    programme: Programme
    frames: Frames
    bundle: ModelBundle
    policy_table: PolicyTable

    @property
    def member_ids(self) -> list[str]:
        return list(self.frames["members"]["member_id"])


@dataclass(frozen=True)
class Published(Shop):
    """A shop with a champion in its registry and a week's decisions published."""

    records: dict[str, DecisionRecord]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    frames = small_frames()
    programme = small_programme(tmp_path_factory.mktemp("shop"), frames)
    return Shop(programme, frames, small_bundle(programme), small_policy(programme.instant(AS_OF)))


@pytest.fixture(scope="session")
def published(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Published:
    programme = small_programme(tmp_path_factory.mktemp("published"), shop.frames)
    registry.connect(programme)
    import mlflow

    with mlflow.start_run():
        registry.register_bundle(shop.bundle, programme)
    save_policy_table(shop.policy_table, registry.policy_file(programme))
    summary = score_programme(programme, programme.path("out"), as_of=AS_OF)
    records = {record.member_id: record for record in decision_records(pq.read_table(summary.file))}
    return Published(programme, shop.frames, shop.bundle, shop.policy_table, records)


@pytest.fixture(scope="session")
def service(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A real BentoML process on the loopback address, and a client to it. Its tests are one xdist group."""
    with closing(socket.socket()) as free:
        free.bind((server.HOST, 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("service") / "log.txt"
    client = httpx.Client(base_url=f"http://{server.HOST}:{port}", timeout=60, trust_env=False)
    environment = server.environment(published.programme.path("programme.toml"))
    with log.open("w") as output, client:
        process = subprocess.Popen(
            server.command(port), env=environment, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_ready(client, process, log)
            yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not _is_ready(client):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
