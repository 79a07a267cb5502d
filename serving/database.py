"""The one database: how it is opened, how transactions begin, and how its layout is brought up to date.

A module that keeps something in it declares its tables on `METADATA`, takes a :class:`Database`, and adds one migration
to ``serving/migrations/versions`` that creates them: a file ``000N_<what>.py`` whose ``revision`` is its own name's
number and ``down_revision`` the newest before it. `tests/serving/test_database.py` holds the two against each other.
Rows of different programmes share the tables: give yours an ``owner``, see :func:`owner_of`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from features.errors import PassingError
from features.programme import Programme

METADATA: Final = sa.MetaData()
"""All tables of this version; every module that has some declares them here."""

BUSY_SECONDS: Final = 30
"""How long a transaction waits for another one of SQLite to end."""

CONNECT_SECONDS: Final = 5
"""How long to wait for PostgreSQL to answer at all."""

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_WRITES: Final = "winback_writes"
_POSTGRESQL_LOCK: Final = 0x77696E6261636B  # any number that is ours alone
_one_thread = threading.Lock()  # alembic keeps what it is doing in globals


FileId = tuple[int, int]
Commits = tuple[int, int]
"""How often a database was opened, and a number that changes with every commit to it."""


class StoreError(PassingError):
    """The store cannot be reached, read or written; what was acknowledged stands."""


class Database:
    """An open database, laid out as this version wants it.

    Parameters
    ----------
    url
        SQLAlchemy URL.
    folder
        Where a relative SQLite path starts.

    Raises
    ------
    StoreError
        If it cannot be opened or brought up to date.
    """

    def __init__(self, url: str, folder: Path = Path()) -> None:
        self._engine = open_engine(url, folder)
        self._watching: Any = None
        self._one_watches = threading.Lock()
        self._file: FileId | None = None
        self._openings = 0
        try:
            with self._failures_told():
                self._open_what_is_there()
        except StoreError:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one moment and, in SQLite, waits for nobody."""
        with self._failures_told():
            self._open_what_is_there()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is durable when the block ends and undone when it fails.

        In SQLite it is the only one that writes, from its beginning: what it reads still holds when it writes.
        In PostgreSQL lock the rows that must not change meanwhile (``with_for_update``).
        """
        with self._failures_told():
            self._open_what_is_there()
            with self._engine.connect() as connection:
                connection.execution_options(**{_WRITES: True})
                with connection.begin():
                    yield connection

    def commits(self) -> Commits | None:
        """Return what another commit, by whomever, changes; None where telling takes as long as asking.

        SQLite tells a connection in microseconds of what others commit: this one is kept for it and never writes.
        """
        if self._engine.dialect.name != "sqlite" or not self._engine.url.database:
            return None
        with self._failures_told():
            self._open_what_is_there()
            with self._one_watches:
                if self._watching is None:
                    self._watching = self._engine.raw_connection()
                (version,) = self._watching.driver_connection.execute("PRAGMA data_version").fetchone()
            return self._openings, int(version)

    def close(self) -> None:
        """Let go of the database."""
        with self._one_watches:
            self._let_go()

    def _let_go(self) -> None:
        if self._watching is not None:
            self._watching.close()
            self._watching = None
        self._engine.dispose()

    def _open_what_is_there(self) -> None:
        """Lay out the database, and again where SQLite's file is another since: one restored, above all.

        Connections to the one before would write where nobody will ever read.
        """
        file = _file_of(self._engine)
        if self._openings and file == self._file:
            return
        with self._one_watches:
            if self._openings and file is None:
                raise StoreError(f"the store at {self._engine.url!r} is gone")
            if not self._openings or file != self._file:
                self._let_go()
                migrate(self._engine)
                self._file, self._openings = _file_of(self._engine), self._openings + 1

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(f"the store at {self._engine.url!r} failed: {cause}") from error


def _file_of(engine: Engine) -> FileId | None:
    """Return what tells SQLite's file from another of its name; None where there is no file."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    try:
        found = Path(engine.url.database).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_database(programme: Programme) -> Database:
    """Open the database the programme file names."""
    return Database(programme.output.store_url, programme.folder)


def is_laid_out(programme: Programme) -> bool:
    """Tell whether the programme's database can have anything in it; asking makes no file."""
    url = make_url(programme.output.store_url)
    return url.get_backend_name() != "sqlite" or (programme.folder / (url.database or "")).is_file()


def owner_of(programme: Programme) -> str:
    """Return whose rows are the programme's, where programmes share a database."""
    return f"{programme.output.model}: {programme.name}"


def one_at_a_time(connection: Connection, what: str) -> None:
    """Let no other transaction that asks for the same go on until this one ends; in SQLite none writes anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(what))))


def open_engine(url: str, folder: Path = Path()) -> Engine:
    """Return an engine; SQLite gets its folder, write-ahead logging, foreign keys and transactions around everything.

    Raises
    ------
    StoreError
        If the URL makes no sense, its driver is missing, or the folder cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            wait = {"connect_timeout": CONNECT_SECONDS}
            return sa.create_engine(parsed, pool_pre_ping=True, hide_parameters=True, connect_args=wait)
        if parsed.database and parsed.database != ":memory:":
            file = folder / parsed.database
            file.parent.mkdir(parents=True, exist_ok=True)
            parsed = parsed.set(database=str(file))
        engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    except (sa.exc.ArgumentError, ImportError, OSError) as error:
        raise StoreError(f"cannot use output.store_url of the programme file: {error}") from error
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the layout up to this version's, in one transaction; of several processes at once, one does it.

    A store from before layouts had versions is adopted as it is.

    Raises
    ------
    StoreError
        If the layout is a later version's.
    """
    with engine.connect() as connection:
        current = _current(connection)
    if current == _newest():
        return
    if current is not None and current not in _known():
        raise StoreError(f"the store was laid out by a later version of winback (layout {current}); update winback")
    with _one_thread, engine.connect() as connection:
        connection.execution_options(**{_WRITES: True})
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
            _upgrade(connection)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, around changes of the layout too
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


@cache
def _known() -> tuple[str, ...]:
    """Return the versions of the layout this one knows, newest first."""
    from alembic.script import ScriptDirectory

    return tuple(script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions())


def _newest() -> str:
    return _known()[0]
