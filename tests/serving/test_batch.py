"""The weekly job publishes whole or not at all, and again without duplicates."""

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, decision, small_programme

from features.errors import RefusedError
from features.programme import Eligible
from serving import jobs
from serving.batch import OutputError, publish, score_programme
from serving.bundle import ColumnProfile, ModelBundle, save_bundle, save_policy_table
from serving.database import Database
from serving.records import decision_records, decision_table
from serving.registry import policy_file
from serving.store import Store, open_store

MONDAY = date(2026, 1, 5)
OLD = [decision(member, model_version="old") for member in ("m1", "m2", "m3")]
NEW = [decision(member, model_version="new") for member in ("m2", "m3", "m4")]


@pytest.fixture(scope="module")
def programme(shop, tmp_path_factory):
    programme = small_programme(tmp_path_factory.mktemp("batch"), shop.frames)
    save_bundle(shop.bundle, programme.path("bundle"))
    save_policy_table(shop.policy_table, policy_file(programme))
    return programme


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def summary(programme, out):
    return run(programme, out, chunk_rows=7)


def run(programme, out: Path, **changed):
    return score_programme(programme, out, **{"as_of": AS_OF, "bundle_folder": programme.path("bundle"), **changed})


def stored(programme, member_ids) -> dict:
    with closing(open_store(programme)) as store:
        return store.read(list(member_ids))[1]


def test_every_eligible_member_is_decided_about_once_in_file_and_store(programme, summary):
    decisions = pd.read_parquet(summary.file)
    assert decisions["member_id"].is_unique
    assert len(decisions) == summary.decided == summary.members_known - summary.not_eligible
    assert len(stored(programme, decisions["member_id"])) == len(decisions)


def test_the_summary_adds_up_and_is_written_beside_the_decisions(summary):
    assert sum(summary.tiers.values()) == sum(summary.states.values()) == summary.decided
    assert sum(summary.recommended.values()) + sum(summary.no_offer_reasons.values()) == summary.decided
    assert sum(summary.assigned.values()) + summary.holdout == sum(summary.recommended.values())
    written = json.loads(summary.file.with_name("_summary.json").read_text(encoding="utf-8"))
    assert written == json.loads(summary.model_dump_json())


def test_the_same_as_of_again_in_other_chunks_replaces_and_says_the_same(programme, out, summary):
    first = pd.read_parquet(summary.file)
    before = stored(programme, first["member_id"])
    again = run(programme, out)
    pd.testing.assert_frame_equal(first, pd.read_parquet(again.file))
    assert again == summary
    assert stored(programme, first["member_id"]) == before
    assert sorted(file.name for file in again.file.parent.iterdir()) == ["_summary.json", "decisions.parquet"]


def test_without_as_of_and_policy_table_it_is_the_day_after_the_last_row_and_nobody_is_sent_anything(shop, tmp_path):
    programme = small_programme(tmp_path / "programme", shop.frames)
    save_bundle(shop.bundle, programme.path("bundle"))
    summary = run(programme, tmp_path / "out", as_of=None)
    assert summary.as_of == MONDAY
    assert summary.evidence == "none"
    assert set(summary.no_offer_reasons) == {"not_lapsed", "insufficient_evidence"}
    assert not summary.recommended


def test_a_model_that_saw_what_came_after_is_refused(programme, tmp_path):
    with pytest.raises(RefusedError, match="has seen what came after"):
        run(programme, tmp_path, as_of="2025-09-01")
    assert not list(tmp_path.glob("as_of=*"))


def test_nothing_is_published_when_nobody_is_eligible(programme, tmp_path):
    of_the_last_day = programme.model_copy(update={"eligible": Eligible(ordered_within_days=1)})
    with pytest.raises(RefusedError, match="no member is eligible"):
        run(of_the_last_day, tmp_path, as_of="2026-01-07")
    assert not list(tmp_path.glob("as_of=*"))


def test_a_second_run_at_the_same_time_is_refused_and_leaves_the_first_alone(programme, tmp_path):
    refused = []

    def begin_another(_: str) -> None:
        with pytest.raises(RefusedError, match="scoring of small is running already") as refusal:
            run(programme, tmp_path / "other")
        refused.append(refusal)

    assert run(programme, tmp_path / "out", step=begin_another).file.exists()
    assert refused
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EACCES])
def test_decisions_that_cannot_be_written_are_a_clear_error_and_those_before_stand(tmp_path, monkeypatch, problem):
    published(tmp_path, OLD)

    def fail(*_):
        raise OSError(problem, os.strerror(problem))

    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", fail)
        with pytest.raises(OutputError, match=rf"cannot write .*decisions.parquet: {os.strerror(problem)}"):
            published(tmp_path, NEW)
    assert seen(tmp_path) == (OLD, OLD)


def test_features_that_moved_since_training_are_in_the_summary_and_the_warnings(shop, programme, tmp_path):
    usual = ColumnProfile(quantiles=tuple(float(1_000 + decile) for decile in range(11)), missing_share=0.0)
    content = shop.bundle.model_dump() | {"reference_profile": {"tenure_days": usual}}
    bundle = ModelBundle.model_validate(content)
    save_bundle(bundle, tmp_path / "bundle")
    result = jobs.score(programme, AS_OF, tmp_path / "out", bundle_folder=tmp_path / "bundle", step=lambda _: None)
    assert list(result.record["drift"]) == ["tenure_days"]
    assert any(warning.startswith("tenure_days is distributed unlike") for warning in result.warnings)


class Interruption(Exception):
    """What stops a run in these tests."""


def table(records) -> pa.Table:
    return decision_table(pd.DataFrame([record.model_dump() for record in records]))


def published(folder: Path, records, store: Store | None = None) -> None:
    with closing(store or Store(Database("sqlite:///store.db", folder))) as opened:
        staged = opened.stage(MONDAY, model_version=records[0].model_version, policy_version=None)
        publish((table([record]) for record in records), opened, staged, folder / "decisions.parquet")


def seen(folder: Path) -> tuple[list, list]:
    """What a reader of the store and a reader of the file see."""
    with closing(Store(Database("sqlite:///store.db", folder))) as store:
        records = store.read(["m1", "m2", "m3", "m4"])[1]
    rows = decision_records(pa.parquet.read_table(folder / "decisions.parquet"))
    return sorted(records.values(), key=lambda record: record.member_id), rows


class BreakingStore(Store):
    """A store that fails at a call of one of its methods."""

    def __init__(self, folder: Path, method: str, call: int) -> None:
        super().__init__(Database("sqlite:///store.db", folder))
        self.left = {method: call}

    def _count(self, method: str) -> None:
        self.left[method] = self.left.get(method, 0) - 1
        if self.left[method] == 0:
            raise Interruption(method)

    def add(self, publication_id, records):
        self._count("add")
        super().add(publication_id, records)

    def publish(self, publication_id):
        self._count("publish")
        return super().publish(publication_id)


@pytest.mark.parametrize(("method", "call"), [("add", 1), ("add", 3), ("publish", 1)])
def test_an_interrupted_run_leaves_the_publication_before_whole(tmp_path, method, call):
    published(tmp_path, OLD)
    with pytest.raises(Interruption):
        published(tmp_path, NEW, BreakingStore(tmp_path, method, call))
    assert seen(tmp_path) == (OLD, OLD)
    published(tmp_path, NEW)
    assert seen(tmp_path) == (NEW, NEW)


def test_between_the_two_switches_each_reader_sees_one_publication_whole(tmp_path, monkeypatch):
    published(tmp_path, OLD)

    def fail(*_):
        raise Interruption

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(Interruption):
            published(tmp_path, NEW)
    assert seen(tmp_path) == (NEW, OLD)
    published(tmp_path, NEW)
    assert seen(tmp_path) == (NEW, NEW)


KILLED_RUN = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
import test_batch

class KilledStore(test_batch.BreakingStore):
    def _count(self, method):
        try:
            super()._count(method)
        except test_batch.Interruption:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path({folder!r})
test_batch.published(folder, test_batch.NEW, KilledStore(folder, {method!r}, {call}))
"""


@pytest.mark.parametrize(("method", "call"), [("add", 2), ("publish", 1)])
def test_a_killed_run_leaves_the_publication_before_whole(tmp_path, method, call):
    published(tmp_path, OLD)
    here = Path(__file__).parent
    script = KILLED_RUN.format(tests=str(here.parent), here=str(here), folder=str(tmp_path), method=method, call=call)
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert seen(tmp_path) == (OLD, OLD)
    published(tmp_path, NEW)
    assert seen(tmp_path) == (NEW, NEW)
    assert sorted(file.name for file in tmp_path.glob(".*")) == []
