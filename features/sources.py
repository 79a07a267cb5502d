"""The only raw reads: a programme's tables checked and made canonical on one DuckDB connection."""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `literal`

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import pandas as pd
import pyarrow as pa

from features.canonical import create, create_empty, drop, stage
from features.checks import Finding, judge, left, write_aside
from features.errors import InputError
from features.programme import Programme
from features.readers import Raw, read_frame, read_source
from features.reshaping import reshaped
from features.rules import NO_ORDER, Staged, rules
from features.schemas import CONTRACTS, Tables

_ORDER = ("identities", "members", "orders", "order_lines", "events", "offers", "contacts")
"""Tables in the order of loading: each after those its rows refer to."""

_MEMORY = "3GB"
"""What DuckDB may hold; what is more goes to disk."""

_LAG, _USUAL_GAPS = timedelta(days=3), 10
"""Orders lag when they end longer than this before events, and longer than so many times their usual distance."""


@dataclass(frozen=True)
class Loaded:
    """A programme's tables as loaded, with what was noticed on the way.

    ``read_at`` is when, in naive UTC; ``folder`` has the tables as Parquet files sorted by member, unless DuckDB holds
    them.
    """

    tables: Tables
    findings: tuple[Finding, ...]
    read_at: datetime
    folder: Path | None = None

    @cached_property
    def data_until(self) -> datetime:
        """Time of the latest order or event."""
        orders, events = (ibis.to_sql(table) for table in (self.tables.orders, self.tables.events))
        times = f"select ordered_at as time from ({orders}) union all select occurred_at from ({events})"
        latest: datetime | None = self._rows(f"select max(time) from ({times})")[0][0]
        if latest is None:
            raise InputError("there are neither orders nor events: nothing tells until when the tables reach")
        return latest

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content, whatever its order and wherever it came from."""
        tables = sorted(vars(self.tables).items())
        given = ((name, table.select(*(column.name for column in CONTRACTS[name].columns))) for name, table in tables)
        queries = ((name, ibis.to_sql(table)) for name, table in given)
        # sums of row hashes depend neither on the order of rows nor on threads
        sums = (f"select '{name}', count(*), sum(hash(t)::hugeint) from ({query}) as t" for name, query in queries)
        return hashlib.sha256(repr(self._rows(" union all ".join(sums))).encode()).hexdigest()

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.tables.orders.get_backend().raw_sql(query).fetchall()
        return rows


def load_tables(
    programme: Programme,
    *,
    threads: int = 2,
    now: datetime | None = None,
    set_aside: Path | None = None,
    ledger: Mapping[str, pd.DataFrame] | None = None,
    only: Collection[str] = _ORDER,
    folder: Path | None = None,
) -> Loaded:
    """Read, check and canonicalise the tables of a programme file.

    Parameters
    ----------
    programme
        Whose tables to read.
    threads
        How many DuckDB may use.
    now
        Naive UTC instant after which nothing can have happened yet; absent: the present.
    set_aside
        Folder for the rows set aside, one CSV file per table, as they were given and each with its reason.
    ledger
        Rows that came in by other ways since the tables were written, by table, in our own column names. Of those a
        table has under the same id, the table's count.
    only
        Tables to read; the others are there, and empty.
    folder
        Where to keep the canonical tables, as Parquet files sorted by member: for more rows than memory holds, and to
        find some members' rows without reading all. Absent: DuckDB holds them.

    Raises
    ------
    InputError
        If anything refuses a table. The message lists every such problem with table, column, count and first rows.
    """
    con = _connect(threads)
    read_at = _utc_now()
    parts: dict[str, list[Raw]] = {name: [] for name in _ORDER}
    refusals: list[str] = []
    with TemporaryDirectory() as scratch:
        for name in _ORDER:
            source = getattr(programme.data, name)
            if source is None or name not in only:
                continue
            try:
                raw = read_source(con, name, source, programme, Path(scratch))
                parts[name].append(reshaped(raw, source, programme.timezone))
            except InputError as error:
                refusals.append(f"{name}: {error}")
        for name, frame in (ledger or {}).items():
            parts[name].append(read_frame(con, f"ledger_{name}", frame))
        return _load(con, parts, refusals, programme, read_at, now=now or read_at, set_aside=set_aside, folder=folder)


def tables_from_frames(
    programme: Programme,
    *,
    orders: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    order_lines: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    offers: pd.DataFrame | None = None,
    contacts: pd.DataFrame | None = None,
    identities: pd.DataFrame | None = None,
    threads: int = 1,
) -> Loaded:
    """Check and canonicalise frames with our own column names, by the rules of `load_tables`.

    Histories may lack any table, orders too. A frame without columns counts as not given, unless it is orders.

    Raises
    ------
    InputError
        If anything refuses a table, or none is given.
    """
    frames = {
        "orders": orders,
        "members": members,
        "order_lines": order_lines,
        "events": events,
        "offers": offers,
        "contacts": contacts,
        "identities": identities,
    }
    con = _connect(threads)
    parts = {
        name: [read_frame(con, name, frame)]
        for name in _ORDER
        if (frame := frames[name]) is not None and (name == "orders" or not frame.columns.empty)
    }
    if not parts:
        raise InputError(f"no table is given; give at least one of {', '.join(frames)}")
    now = _utc_now()
    return _load(con, parts, [], programme, now, now=now, set_aside=None)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@cache
def _database(threads: int) -> duckdb.DuckDBPyConnection:
    spill = Path(gettempdir()) / f"winback-{os.getpid()}"
    return duckdb.connect(config={"threads": threads, "memory_limit": _MEMORY, "temp_directory": str(spill)})


def _connect(threads: int) -> duckdb.DuckDBPyConnection:
    """Open a connection. Connections share a database, as making one takes longer than a small load."""
    return _database(threads).cursor()


def _load(
    con: duckdb.DuckDBPyConnection,
    parts: Mapping[str, Sequence[Raw]],
    refusals: list[str],
    programme: Programme,
    read_at: datetime,
    *,
    now: datetime,
    set_aside: Path | None,
    folder: Path | None = None,
) -> Loaded:
    backend = ibis.duckdb.from_connection(con)
    findings: list[Finding] = []
    loaded: dict[str, Staged] = {}
    for name in _ORDER:
        try:
            if given := parts.get(name):
                staged = stage(con, CONTRACTS[name], given, programme, aliases="identities" in loaded)
                findings += judge(staged, list(rules(staged, programme, now, loaded)))
                findings += _created(staged, programme, folder)
                loaded[name] = staged
        except InputError as error:
            refusals.append(str(error))
        if name not in loaded:
            create_empty(con, CONTRACTS[name], folder)
    if refusals:
        raise InputError("the tables do not fit:\n" + "\n".join(f"  {refusal}" for refusal in refusals))
    if set_aside is not None:
        for staged in loaded.values():
            write_aside(staged, set_aside)
    findings += _lagging(con) if "orders" in loaded and "events" in loaded else []
    tables = Tables(**{field.name: _table(backend, field.name) for field in fields(Tables)})
    return Loaded(tables, tuple(findings), read_at, folder)


def _created(staged: Staged, programme: Programme, folder: Path | None) -> list[Finding]:
    """Create the canonical table; it is worth a word when nothing is in it, and for orders the end."""
    created = create(staged, programme, folder)
    findings = judge(staged, [NO_ORDER]) if created < left(staged) else []
    drop(staged)
    if created:
        return findings
    problem = "has no rows" if staged.total == 0 else f"has no rows left of {staged.total}"
    if staged.name == "orders":
        raise InputError(f"orders {problem}: there is nothing to learn from or to score")
    return [*findings, Finding(staged.name, None, problem, 0, [], set_aside=False)]


def _lagging(con: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Say when orders end well before events: the members' latest orders are then missing, and all seem to lapse."""
    latest, lag, usual = con.execute(
        """select max(ordered_at), (select max(occurred_at) from events) - max(ordered_at),
            (max(ordered_at) - min(ordered_at)) / greatest(count(*), 1) from orders"""
    ).fetchall()[0]
    if latest is None or lag is None or lag <= max(_LAG, _USUAL_GAPS * usual):
        return []
    problem = f"ends at {latest:%Y-%m-%d %H:%M} UTC, {lag.days} days before events do; are the latest orders missing?"
    return [Finding("orders", "ordered_at", problem, 0, [], set_aside=False)]


def _table(backend: ibis.BaseBackend, name: str) -> ibis.Table:
    """Return a canonical table, held against its contract as it is stored."""
    stored = _held_against_contract(name, backend.con.sql(f"from {name} limit 0").to_arrow_table().schema)
    return ops.DatabaseTable(name, schema=stored, source=backend, namespace=ops.Namespace()).to_expr()


@cache
def _held_against_contract(name: str, arrow: pa.Schema) -> ibis.Schema:
    stored = ibis.Schema.from_pyarrow(arrow)
    CONTRACTS[name].canonical.validate(ibis.table(stored, name=name))
    return stored
