"""A database is laid out as its tables say, whatever it was before and however many open it at once."""

import importlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from builders import chunk, decision, decisions_table

import serving
from serving.database import METADATA, Database, StoreError
from serving.pause import Switch
from serving.store import Store

URL = "sqlite:///var/winback.db"
MONDAY = date(2026, 1, 5)

OPENING = """
import sys
from pathlib import Path
from serving.database import Database
folder = Path(sys.argv[1])
while not (folder / "go").exists():
    pass
Database("sqlite:///var/winback.db", folder).close()
"""


def with_tables() -> list[str]:
    """The modules that declare tables."""
    sources = Path(serving.__file__).parent.glob("*.py")
    return [f"serving.{source.stem}" for source in sources if "    METADATA,\n" in source.read_text()]


def altered(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "var" / "winback.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rows(folder: Path, query: str) -> list:
    with closing(sqlite3.connect(folder / "var" / "winback.db")) as connection:
        return connection.execute(query).fetchall()


def test_migrations_lead_to_the_tables_declared(tmp_path):
    assert "serving.publications" in with_tables()
    for module in with_tables():
        importlib.import_module(module)
    with closing(Database(URL, tmp_path)) as database, database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_store_from_before_layouts_had_versions_keeps_what_is_in_it(tmp_path):
    with closing(Store(Database(URL, tmp_path))) as store:
        run = store.start(MONDAY, model_version="model1", policy_version=None, pins={}).publication_id
        store.add(run, decisions_table(decision("m1")), chunk())
        published = replace(store.publish(run), read_at=None)
    later = set(METADATA.tables) - {"publications", "decisions"}
    altered(
        tmp_path,
        "drop table alembic_version",
        *(f"drop table if exists {table}" for table in later),
        *(f"alter table publications drop column {column}" for column in ("owner", "read_at", "ration")),
    )
    with closing(Store(Database(URL, tmp_path), owner="a")) as ours:
        assert ours.current() is None
    with closing(Store(Database(URL, tmp_path))) as nobodys:
        found, records = nobodys.read(["m1"])
    assert (replace(found, read_at=None), records) == (published, {"m1": decision("m1")})


def test_several_processes_that_open_a_new_one_at_once_find_it_laid_out(tmp_path):
    opening = [
        subprocess.Popen([sys.executable, "-c", OPENING, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(2)
    ]
    (tmp_path / "go").touch()
    assert [process.communicate(timeout=60)[1] for process in opening] == [b""] * 2
    assert len(rows(tmp_path, "select version_num from alembic_version")) == 1


def test_a_layout_of_a_later_version_is_refused(tmp_path):
    Database(URL, tmp_path).close()
    altered(tmp_path, "update alembic_version set version_num = '9999'")
    with pytest.raises(StoreError, match="later version"):
        Database(URL, tmp_path)


def test_a_migration_that_fails_changes_nothing(tmp_path):
    (tmp_path / "var").mkdir()
    altered(tmp_path, "create table decisions (odd integer)")
    with pytest.raises(StoreError, match="decisions already exists"):
        Database(URL, tmp_path)
    assert rows(tmp_path, "select name from sqlite_master") == [("decisions",)]


def test_what_a_failed_transaction_wrote_is_undone(tmp_path):
    with closing(Database(URL, tmp_path)) as database:
        with pytest.raises(StoreError, match="no such table"), database.writing() as connection:
            connection.execute(sa.text("create table kept (id integer)"))
            connection.execute(sa.text("select * from nowhere"))
        with database.reading() as connection:
            assert not sa.inspect(connection).has_table("kept")


def test_of_two_writers_the_second_waits_and_sees_what_the_first_wrote(tmp_path):
    with closing(Database(URL, tmp_path)) as one, closing(Database(URL, tmp_path)) as other:
        with one.writing() as first:
            first.execute(sa.text("create table kept (id integer)"))
            with other.reading() as reader:
                assert not sa.inspect(reader).has_table("kept")
        with other.writing() as second:
            assert sa.inspect(second).has_table("kept")


@pytest.mark.parametrize("url", ["nonsense", "unknown://host/db", "sqlite:////proc/nowhere/winback.db"])
def test_one_that_cannot_be_opened_is_a_clear_error(url, tmp_path):
    with pytest.raises(StoreError, match="store"):
        Database(url, tmp_path)


def test_a_file_restored_in_its_place_is_the_one_that_is_read_and_written_from_then_on(tmp_path):
    file, backup = tmp_path / "winback.db", tmp_path / "backup.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        switch = Switch(database)
        assert switch.current() is None
        with closing(sqlite3.connect(file)) as running, closing(sqlite3.connect(backup)) as copy:
            running.backup(copy)
        for each in tmp_path.glob("winback.db*"):
            each.rename(tmp_path / f"old-{each.name}")
        with pytest.raises(StoreError, match="is gone"):
            switch.current()
        backup.rename(file)
        assert not switch.is_off_still()
        with closing(Database(f"sqlite:///{file}")) as another:
            Switch(another).pause("restored")
        assert switch.current().reason == "restored"


def test_what_is_written_is_not_in_the_text_of_a_failure(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path}/x.db")) as database:
        with pytest.raises(StoreError) as failed, database.writing() as connection:
            connection.execute(sa.text("insert into nowhere values (:id)"), {"id": "m001"})
        assert "m001" not in str(failed.value.__cause__)
