"""A real PostgreSQL: the store publishes to it, the weekly job too, and tables are read from it."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from builders import AS_OF, chunk, decision, decisions_table, small_frames, small_programme

from features.errors import InputError, RefusedError
from features.programme import Eligible, Programme, Service
from features.settings_data import Data, Source
from features.sources import load_tables
from serving.answers import open_answers
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.contracts import ScoreRequest
from serving.database import METADATA, Database, StoreError
from serving.ledger import Budget, Entry, Ledger
from serving.ledger_contracts import NewEvent
from serving.ledger_writing import watch, write_activity
from serving.loading import load
from serving.publications import Publication
from serving.resolve import policy_file
from serving.store import Store, open_store

pytestmark = pytest.mark.system

MONDAY, NEXT_MONDAY = date(2026, 1, 5), date(2026, 1, 12)
CALLS = itertools.count()
READY_WITHIN_SECONDS = 60
OPENING = "import sys; from serving.database import Database; Database(sys.argv[1]).close()"


def binaries() -> Path:
    """Folder of the newest PostgreSQL server that Debian installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    assert found, "no PostgreSQL server is installed; run tests/system/install"
    return found[-1]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of an empty cluster of our own, started as another user where we are root, since it refuses root."""
    user = "postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="winback-postgres-") as name, closing(socket.socket()) as free:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        folder.chmod(0o700)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        initdb = [
            binaries() / "initdb",
            "-D",
            folder / "data",
            "-U",
            "winback",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, user=user, cwd="/", check=True, capture_output=True)
        postgres = [binaries() / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port)]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(postgres, user=user, cwd="/", stdout=log, stderr=subprocess.STDOUT)
        url = f"postgresql+psycopg://winback@127.0.0.1:{port}/postgres"
        try:
            wait_until_ready(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    engine = sa.create_engine(url)
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        else:
            engine.dispose()
            return


def run(url: str, *statements: str) -> list:
    """Run SQL in a connection of its own and return the rows of the last statement."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        results = [connection.execute(sa.text(statement)) for statement in statements]
        rows = results[-1].fetchall() if results[-1].returns_rows else []
    engine.dispose()
    return rows


@pytest.fixture
def database(server) -> str:
    """The URL of a database for one test."""
    name = f"test_{uuid.uuid4().hex}"
    run(server, f"create database {name}")
    return server.removesuffix("postgres") + name


@pytest.fixture
def store(database) -> Iterator[Store]:
    with closing(Store(Database(database))) as opened:
        yield opened


def stage(store: Store, as_of: date, *records, model_version: str = "model1") -> int:
    pins = {"as_of": as_of.isoformat(), "model": model_version, "call": next(CALLS)}
    publication = store.start(as_of, model_version=model_version, policy_version=None, pins=pins).publication_id
    store.add(publication, decisions_table(*records), chunk(members=len(records)))
    return publication


def publish(store: Store, as_of: date, *records, model_version: str = "model1") -> Publication:
    staged = stage(store, as_of, *records, model_version=model_version)
    published = store.publish(staged)
    store.finish(staged, keep=8)
    return published


def decisions_stored(database: str) -> int:
    return run(database, "select count(*) from decisions")[0][0]


def test_a_published_record_is_read_as_it_was_written(store):
    assert store.current() is None
    published = publish(store, MONDAY, decision("会员 1"), decision("m2", persona="sleeping"))
    publication, records = store.read(["m2", "会员 1", "stranger"])
    assert publication == published == store.current()
    assert records == {"会员 1": decision("会员 1"), "m2": decision("m2", persona="sleeping")}


def test_publishing_an_as_of_again_replaces_it_and_the_latest_as_of_is_current(store, database):
    publish(store, NEXT_MONDAY, decision("m1"))
    publish(store, MONDAY, decision("m1"), decision("m2"))
    publish(store, MONDAY, decision("m1", model_version="model2"), model_version="model2")
    assert store.current().as_of == NEXT_MONDAY
    assert decisions_stored(database) == 2


def test_what_an_interrupted_run_left_is_never_seen_and_removed_by_the_next(store, database):
    publish(store, MONDAY, decision("m1"))
    stage(store, NEXT_MONDAY, decision("m1"), decision("m2"))
    assert store.read(["m1", "m2"])[1] == {"m1": decision("m1")}
    publish(store, NEXT_MONDAY, decision("m3"))
    assert list(store.read(["m1", "m2", "m3"])[1]) == ["m3"]
    assert decisions_stored(database) == 2


def test_a_publication_whose_connection_breaks_leaves_the_one_before_whole(store, database):
    publish(store, MONDAY, decision("m1"))
    staged = stage(store, MONDAY, decision("m2"))
    engine = sa.create_engine(database)
    with engine.begin() as blocking:
        blocking.execute(sa.text(f"select 1 from publications where id = {staged} for update"))
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(store.publish, staged)
            waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            while not (pids := run(database, waiting)):
                time.sleep(0.01)
            run(database, f"select pg_terminate_backend({pids[0][0]})")
            with pytest.raises(StoreError, match="failed"):
                publishing.result(timeout=60)
    engine.dispose()
    assert store.read(["m1", "m2"])[1] == {"m1": decision("m1")}
    store.publish(staged)
    assert store.read(["m1", "m2"])[1] == {"m2": decision("m2")}


def test_a_run_whose_place_was_taken_is_refused(store):
    earlier = stage(store, MONDAY, decision("m1"))
    publish(store, MONDAY, decision("m2"))
    with pytest.raises(RefusedError, match="another run"):
        store.publish(earlier)


def test_two_publications_of_an_as_of_at_once_end_whole(store, database):
    members = [f"m{number}" for number in range(100)]
    both = threading.Barrier(2)

    def publish_alongside(version: str) -> bool:
        records = [decision(member, model_version=version) for member in members]
        with closing(Store(Database(database))) as own:
            both.wait()
            try:
                return bool(publish(own, MONDAY, *records, model_version=version))
            except RefusedError:
                return False

    for attempt in range(5):
        with ThreadPoolExecutor(2) as pool:
            published = list(pool.map(publish_alongside, (f"a{attempt}", f"b{attempt}")))
        publication, records = store.read(members)
        assert any(published)
        assert len(records) == publication.members == len(members)
        assert {record.model_version for record in records.values()} == {publication.model_version}
    publish(store, MONDAY, decision("m1"))
    assert decisions_stored(database) == 1


def test_finishing_a_publication_keeps_one_that_takes_its_place_meanwhile(store, database):
    first = stage(store, MONDAY, decision("m1"))
    store.publish(first)
    second = stage(store, MONDAY, decision("m2"))
    finishing = threading.get_ident()
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    def publish_second(_, __, statement: str, *___) -> None:
        if threading.get_ident() == finishing and statement.startswith("UPDATE publications"):
            publishing.append(pool.submit(other.publish, second))
            while not (publishing[0].done() or run(database, waiting)):
                time.sleep(0.01)

    publishing: list[Future] = []
    with closing(Store(Database(database))) as other, ThreadPoolExecutor(1) as pool:
        sa.event.listen(sa.Engine, "before_cursor_execute", publish_second)
        try:
            store.finish(first, keep=8)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", publish_second)
        publishing[0].result(timeout=60)
    assert store.read(["m1", "m2"])[1] == {"m2": decision("m2")}


def test_several_that_open_an_empty_database_at_once_find_it_laid_out(database):
    all_at_once = threading.Barrier(4)

    def opened(_: int) -> None:
        all_at_once.wait()
        subprocess.run([sys.executable, "-c", OPENING, database], check=True, capture_output=True, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(opened, range(4)))
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def with_orders_in(database: str, programme: Programme) -> Programme:
    orders = Source(url="${WINBACK_TEST_DATABASE}", table="shop.orders", columns={"net_amount": "Betrag"})
    data = Data(**{**dict(programme.data), "orders": orders})
    output = programme.output.model_copy(update={"store_url": database})
    return programme.model_copy(update={"data": data, "output": output})


@pytest.fixture
def programme(database, tmp_path, monkeypatch) -> Programme:
    """A small programme whose orders and store are in PostgreSQL."""
    frames = small_frames()
    run(database, "create schema shop")
    engine = sa.create_engine(database)
    exact = frames["orders"].rename(columns={"net_amount": "Betrag"})
    types = {"Betrag": sa.Numeric(18, 4), "discount_amount": sa.Numeric(18, 4)}
    exact.to_sql("orders", engine, schema="shop", index=False, dtype=types)
    engine.dispose()
    monkeypatch.setenv("WINBACK_TEST_DATABASE", database)
    return with_orders_in(database, small_programme(tmp_path, frames))


def test_orders_read_from_it_are_those_of_a_file(programme, tmp_path):
    from_file = load_tables(small_programme(tmp_path), threads=1)
    from_database = load_tables(programme, threads=1)
    assert from_database.fingerprint == from_file.fingerprint
    assert from_database.data_until == from_file.data_until


def test_the_weekly_job_reads_from_it_and_publishes_to_it(programme, shop, tmp_path):
    save_bundle(shop.bundle, tmp_path / "bundle")
    save_policy_table(shop.policy_table, policy_file(programme))
    summary = score_programme(programme, tmp_path / "out", as_of=AS_OF, bundle_folder=tmp_path / "bundle")
    decided = pd.read_parquet(summary.file)
    with closing(open_store(programme)) as store:
        publication, records = store.read(list(decided["member_id"]))
    assert publication.members == len(records) == summary.decided > 0
    assert {member: record.churn_probability for member, record in records.items()} == dict(
        zip(decided["member_id"], decided["churn_probability"], strict=True)
    )


def test_a_server_that_does_not_answer_is_a_clear_error(programme, monkeypatch, tmp_path):
    nobody = "postgresql+psycopg://winback:secret@127.0.0.1:1/postgres"
    monkeypatch.setenv("WINBACK_TEST_DATABASE", nobody)
    with pytest.raises(InputError, match=r"orders: cannot read shop\.orders at") as refusal:
        load_tables(programme, threads=1)
    assert "secret" not in str(refusal.value)
    with pytest.raises(StoreError, match="failed") as failure:
        Database(nobody)
    assert "secret" not in str(failure.value)


def entry(identifier: str, cost: float = 0.0) -> Entry:
    return Entry("offer", identifier, "m1", {"offer_id": identifier}, cost)


def test_an_id_is_written_down_once_whoever_sends_it_how_often(database):
    with closing(Database(database)) as opened, ThreadPoolExecutor(8) as pool:
        ledger = Ledger(opened, owner="a")
        list(pool.map(lambda _: ledger.append([entry("x1")], received_at=datetime(2026, 1, 5)), range(16)))
        assert [content for _, content in ledger.read("offer")] == [{"offer_id": "x1"}]
        other = Entry("offer", "x1", "m2", {"offer_id": "x1", "member_id": "m2"})
        assert ledger.append([other], received_at=datetime(2026, 1, 6)) == ["conflict"]


def test_callers_at_once_never_exceed_a_budget(database):
    budget = Budget(10.0, since=datetime(2026, 1, 1))

    def spend(number: int) -> str:
        return ledger.append([entry(f"x{number}", 3.0)], received_at=datetime(2026, 1, 5), budget=budget)[0]

    with closing(Database(database)) as opened, ThreadPoolExecutor(8) as pool:
        ledger = Ledger(opened, owner="a")
        verdicts = list(pool.map(spend, range(12)))
    assert sorted(verdicts) == ["budget"] * 9 + ["recorded"] * 3


def test_what_comes_in_moves_scores_raises_alerts_and_is_in_the_next_run(programme, shop, tmp_path):
    save_bundle(shop.bundle, tmp_path / "bundle")
    save_policy_table(shop.policy_table, policy_file(programme))
    everybody = programme.model_copy(update={"eligible": Eligible(), "service": Service(alert_threshold=0.5)})
    score_programme(everybody, tmp_path / "out", as_of=AS_OF, bundle_folder=tmp_path / "bundle")
    with closing(open_answers(everybody, tmp_path / "bundle")) as answers:
        records = answers.published(shop.member_ids)[1]
        member = min(records, key=lambda name: records[name].churn_probability)
        visit = NewEvent.model_validate(
            {"event_id": "e1", "member_id": member, "occurred_at": "2026-01-06T10:00:00", "event": "visit"}
        )
        request = ScoreRequest.model_validate({"member_ids": [member]})
        assert answers.score(request, request_id="test").results[0].source == "published"
        assert write_activity(answers, [], [visit])[1][0].status == "recorded"
        assert [alert.member_id for alert in watch(answers, [member])] == [member]
        assert [alert.member_id for alert in answers.alerts.after(0, 10)] == [member]
        answers.switch.pause("test")
        paused = answers.score(request, request_id="test").results[0]
        answers.switch.resume()
        assert (paused.source, paused.decision.no_offer_reason) == ("recomputed", "paused")
        today = programme.local_date(datetime.now(UTC).replace(tzinfo=None))
        score_programme(everybody, tmp_path / "out", as_of=str(today), bundle_folder=tmp_path / "bundle")
        assert answers.published([member])[1][member].as_of == today.isoformat()
        assert "e1" in set(load(everybody, print).tables.events.event_id.to_pyarrow().to_pylist())
