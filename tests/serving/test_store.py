"""Readers of the store see one publication, whole, whatever the writer does."""

import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from builders import chunk, decision, decisions_table

from features.errors import RefusedError
from features.programme import parse_programme
from serving.database import Database, StoreError
from serving.publications import Publication, Started
from serving.store import Store, open_store

MONDAY, NEXT_MONDAY = date(2026, 1, 5), date(2026, 1, 12)
CALLS = itertools.count()


@pytest.fixture
def store(tmp_path):
    opened = Store(Database("sqlite:///var/winback.db", tmp_path))
    yield opened
    opened.close()


def stage(store: Store, as_of: date = MONDAY, *records, model_version: str = "model1") -> int:
    pins = {"as_of": as_of.isoformat(), "model": model_version, "call": next(CALLS)}
    publication = store.start(as_of, model_version=model_version, policy_version=None, pins=pins).publication_id
    store.add(publication, decisions_table(*records), chunk(members=len(records)))
    return publication


def publish(store: Store, as_of: date = MONDAY, *records, model_version: str = "model1") -> Publication:
    staged = stage(store, as_of, *records, model_version=model_version)
    published = store.publish(staged)
    store.finish(staged, keep=8)
    return published


def altered(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "var" / "winback.db")) as connection, connection:
        connection.execute(statement)


def row_count(folder: Path) -> int:
    with sqlite3.connect(folder / "var" / "winback.db") as connection:
        count = connection.execute("select count(*) from decisions").fetchone()[0]
    connection.close()
    return count


def test_two_programmes_in_one_store_never_see_or_remove_each_others_decisions(tmp_path):
    url = "sqlite:///var/winback.db"
    with (
        closing(Store(Database(url, tmp_path), owner="a")) as ours,
        closing(Store(Database(url, tmp_path), owner="b")) as theirs,
    ):
        published = publish(ours, MONDAY, decision("m1"))
        assert (theirs.current(), theirs.read(["m1"])) == (None, (None, {}))
        half_way = stage(ours, NEXT_MONDAY, decision("m2"))
        publish(theirs, MONDAY, decision("m3"))
        assert ours.read(["m1", "m3"]) == (published, {"m1": decision("m1")})
        assert ours.publish(half_way).members == 1


def test_a_programme_opens_the_store_as_its_own(tmp_path):
    content = {"name": "a", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}}
    programmes = [
        parse_programme({**content, **changed}, folder=tmp_path)
        for changed in ({}, {"name": "b"}, {"output": {"model": "another"}})
    ]
    with closing(open_store(programmes[0])) as own:
        published = publish(own, MONDAY, decision("m1"))
    for programme, found in zip(programmes, (published, None, None), strict=True):
        with closing(open_store(programme)) as opened:
            assert opened.current() == found


def test_decisions_laid_out_otherwise_are_not_ready_and_say_what_to_do(store, tmp_path):
    publish(store, MONDAY, decision("m1"))
    altered(tmp_path, "update decisions set record = json_remove(record, '$.tier')")
    with pytest.raises(StoreError, match="run `winback score` again"):
        store.read(["m1"])


def test_an_empty_store_has_no_publication(store):
    assert store.current() is None
    assert store.read(["m001"]) == (None, {})


def test_a_published_record_is_read_as_it_was_written(store):
    published = publish(store, MONDAY, decision("会员 1"), decision("m2", persona="sleeping"))
    publication, records = store.read(["m2", "会员 1", "stranger"])
    assert publication == published == store.current()
    assert publication.members == 2
    assert records == {"会员 1": decision("会员 1"), "m2": decision("m2", persona="sleeping")}


def test_a_member_not_published_is_absent_but_the_publication_is_named(store):
    published = publish(store, MONDAY, decision("m1"))
    assert store.read(["stranger"]) == (published, {})


def test_what_is_staged_is_not_seen(store):
    publish(store, MONDAY, decision("m1"))
    stage(store, NEXT_MONDAY, decision("m2"))
    publication, records = store.read(["m1", "m2"])
    assert publication.as_of == MONDAY
    assert list(records) == ["m1"]


def test_publishing_an_as_of_again_replaces_it(store, tmp_path):
    publish(store, MONDAY, decision("m1"), decision("m2"))
    publish(store, MONDAY, decision("m1", model_version="model2"), model_version="model2")
    publication, records = store.read(["m1", "m2"])
    assert publication.model_version == "model2"
    assert {member: record.model_version for member, record in records.items()} == {"m1": "model2"}
    assert row_count(tmp_path) == 1


def test_the_latest_as_of_is_current_even_if_an_earlier_one_is_published_after_it(store):
    publish(store, NEXT_MONDAY, decision("m1"))
    publish(store, MONDAY, decision("m1"))
    assert store.current().as_of == NEXT_MONDAY


def test_rows_of_a_run_that_died_are_removed_by_the_next(store, tmp_path):
    stage(store, MONDAY, decision("m1"), decision("m2"))
    stage(store, NEXT_MONDAY, decision("m1"))
    assert row_count(tmp_path) == 1


def test_a_run_whose_place_was_taken_is_refused(store):
    earlier = stage(store, MONDAY, decision("m1"))
    later = stage(store, MONDAY, decision("m2"))
    with pytest.raises(RefusedError, match="another run"):
        store.add(earlier, decisions_table(decision("m3")), chunk(1))
    with pytest.raises(RefusedError, match="another run"):
        store.publish(earlier)
    store.publish(later)
    assert list(store.read(["m1", "m2", "m3"])[1]) == ["m2"]


def test_of_two_runs_of_an_as_of_at_once_one_ends_whole(store, tmp_path):
    def run(version: str) -> str:
        with closing(Store(Database("sqlite:///var/winback.db", tmp_path))) as own:
            both.wait()
            try:
                publish(
                    own, MONDAY, *(decision(f"m{n}", model_version=version) for n in range(50)), model_version=version
                )
            except RefusedError:
                return "refused"
            return "published"

    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(run, ("model1", "model2")))
    publication, records = store.read([f"m{number}" for number in range(50)])
    assert "published" in ends
    assert len(records) == publication.members == row_count(tmp_path) == 50
    assert {record.model_version for record in records.values()} == {publication.model_version}


def test_a_member_cannot_be_decided_about_twice_in_a_publication(store):
    staged = stage(store, MONDAY, decision("m1"))
    with pytest.raises(StoreError):
        store.add(staged, decisions_table(decision("m1")), chunk(1))


def test_decisions_outlive_the_process(store, tmp_path):
    publish(store, MONDAY, decision("m1"))
    store.close()
    reopened = Store(Database("sqlite:///var/winback.db", tmp_path))
    assert reopened.read(["m1"])[1] == {"m1": decision("m1")}
    reopened.close()


def test_a_run_with_the_same_pins_goes_on_with_what_is_done(store, tmp_path):
    def start(**pins) -> Started:
        return store.start(MONDAY, model_version="model1", policy_version=None, pins={"data": "a", **pins})

    begun = start()
    assert begun.done == {}
    store.add(begun.publication_id, decisions_table(decision("m1")), chunk(0, 1))
    assert start() == Started(begun.publication_id, {0: chunk(0, 1)})
    store.publish(begun.publication_id)
    assert start().publication_id == begun.publication_id
    store.finish(begun.publication_id, keep=8)
    again = start()
    assert (again.publication_id != begun.publication_id, again.done) == (True, {})
    assert start(data="b").publication_id not in (begun.publication_id, again.publication_id)
    assert store.current().members == row_count(tmp_path) == 1


def test_publishing_what_is_published_changes_nothing(store):
    staged = stage(store, MONDAY, decision("m1"))
    assert store.publish(staged) == store.publish(staged)


def test_the_latest_publications_are_kept(store, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.store._ROWS_REMOVED_AT_ONCE", 2)
    days = [MONDAY + timedelta(days=7 * week) for week in range(4)]
    for day in days:
        staged = stage(store, day, *(decision(f"m{number}") for number in range(5)))
        store.publish(staged)
        store.finish(staged, keep=2)
    assert row_count(tmp_path) == 10
    assert store.current().as_of == days[-1]


def test_a_discarded_publication_is_gone(store, tmp_path):
    published = publish(store, MONDAY, decision("m1"))
    store.discard(stage(store, NEXT_MONDAY, decision("m2")))
    assert (store.current(), row_count(tmp_path)) == (published, 1)
