"""What several test modules share; its place also puts `builders` on their import path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, Frames, small_bundle, small_frames, small_policy, small_programme
from processes import answering, free_port

from features.programme import Programme
from serving import registry
from serving.batch import score_programme
from serving.bundle import ModelBundle
from serving.bundle_files import save_policy_table
from serving.database import open_database, owner_of
from serving.keys import KeyStore
from serving.mlflow_home import connect
from serving.policy_table import PolicyTable
from serving.records import DecisionRecord, decision_records
from serving.resolve import policy_file


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
    connect(programme)
    import mlflow

    with mlflow.start_run():
        registry.register_bundle(shop.bundle, programme)
    save_policy_table(shop.policy_table, policy_file(programme))
    summary = score_programme(programme, programme.path("out"), as_of=AS_OF)
    records = {record.member_id: record for record in decision_records(pq.read_table(summary.file))}
    return Published(programme, shop.frames, shop.bundle, shop.policy_table, records)


@pytest.fixture(scope="session")
def service(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """What `winback serve` starts, and a client to it with a key. Its tests are one xdist group."""
    with serve(published.programme, tmp_path_factory.mktemp("service")) as client:
        yield client


@contextmanager
def serve(programme: Programme, folder: Path, *options: str | Path) -> Iterator[httpx.Client]:
    """Serve a programme, its log in a folder, and yield a client with an admin's key."""
    port, file = free_port(), programme.path("programme.toml")
    with closing(open_database(programme)) as database:
        _, key = KeyStore(database, owner_of(programme)).add("tests", ["admin"])
    winback = Path(sys.executable).with_name("winback")
    command = [winback, "serve", "--programme", file, "--port", str(port), *options]
    with answering(command, port, folder / "log.txt") as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client
