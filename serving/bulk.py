"""Decisions into the database by the thousand: records made JSON by DuckDB, rows loaded as the database likes best."""

# ruff: noqa: S608 -- every name put into SQL here is our own

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection


def with_json(decisions: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the named columns of each row, and the whole row as JSON last."""
    with _duckdb().cursor() as con:
        con.register("decisions", decisions)
        rows: list[tuple[Any, ...]] = con.execute(
            f"select {', '.join(columns)}, cast(to_json(d) as varchar) from decisions as d"
        ).fetchall()
    return rows


def load_rows(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to a table: by COPY in PostgreSQL, by one prepared statement in SQLite."""
    names = ", ".join(columns)
    if connection.dialect.name != "postgresql":
        values = ", ".join("?" * len(columns))
        if rows:
            connection.exec_driver_sql(f"insert into {table.name} ({names}) values ({values})", list(rows))
        return
    driver: Any = connection.dialect.dbapi
    raw: Any = connection.connection
    try:
        with raw.cursor() as cursor, cursor.copy(f"copy {table.name} ({names}) from stdin") as copy:
            for row in rows:
                copy.write_row(row)
    except driver.Error as error:
        raise sa.exc.DBAPIError("COPY", None, error) from error


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()
