"""Tables as they were given: files, databases and frames as relations DuckDB can scan."""

# ruff: noqa: S608 -- every name and literal put into SQL here is quoted by `identifier` or `literal`

from __future__ import annotations

import codecs
import csv
import gzip
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa

from features.errors import InputError
from features.programme import Programme
from features.settings_data import Source

if TYPE_CHECKING:
    from sqlalchemy import URL

_CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET_ENDINGS = (".parquet", ".pq")
_CSV_NULLS = ("", "NULL", "null", r"\N")
_BEGINNINGS = {
    b"\xff\xfe": "it begins as UTF-16 does: set `encoding` to 'utf-16'",
    b"\xfe\xff": "it begins as UTF-16 does: set `encoding` to 'utf-16'",
    b"\x1f\x8b": "it is compressed: give it a name that ends in .csv.gz",
    b"PK": "it is an archive or a workbook: save it as CSV",
}
"""What to do about a file that is no CSV in UTF-8, by its first bytes."""
_ROWS_PER_FETCH = 100_000
_COUNTED = "row_number() over () - 1"


@dataclass(frozen=True)
class Raw:
    """A table as it was given, and how to read its values; ``number`` is SQL for a row's place in it, from 0 on."""

    place: str
    relation: str
    types: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    decimal: str = "."
    thousands: str = ""
    currency_sign: str = ""
    datetime_format: str | None = None
    number: str = _COUNTED

    def over(self, relation: str, **changed: Any) -> Raw:
        """Return it read through another relation, in which rows are counted: what numbered them may not be there."""
        return replace(self, relation=relation, number=_COUNTED, **changed)


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Quote texts for SQL as a list."""
    return f"[{', '.join(map(literal, texts))}]"


def reason(error: Exception) -> str:
    """Return what a library's error says happened, without its advice on its own API."""
    lines = takewhile(lambda line: line and not line.startswith("Possible"), str(error).strip().splitlines())
    return ", ".join(lines).removeprefix("Invalid Input Error: ")


def read_source(con: duckdb.DuckDBPyConnection, name: str, source: Source, programme: Programme, scratch: Path) -> Raw:
    """Open a table of the programme file; text in other encodings than UTF-8 is transcoded into ``scratch``."""
    if source.url is None:
        return read_files(con, source, programme.folder, scratch)
    return _raw(con, source, *_read_sql(con, name, source, programme))


def read_files(con: duckdb.DuckDBPyConnection, source: Source, folder: Path, scratch: Path) -> Raw:
    """Open a table's files; their path starts at ``folder``."""
    return _raw(con, source, *_read_files(folder / (source.path or ""), source, scratch))


def _raw(con: duckdb.DuckDBPyConnection, source: Source, place: str, relation: str, number: str = _COUNTED) -> Raw:
    types = _types(con, place, relation)
    return Raw(
        place=place,
        relation=relation,
        types=types,
        columns=source.columns,
        values=source.values,
        decimal=source.decimal,
        thousands=source.thousands,
        currency_sign=source.currency_sign,
        datetime_format=source.datetime_format,
        number=_COUNTED if number in types else number,
    )


def read_frame(con: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> Raw:
    """Open a frame with our own column names. Columns of mixed types are read as text, as a file's would be."""
    place = f"the {name} frame"
    if frame.columns.empty:
        raise InputError(f"{place} is empty")
    if not frame.columns.is_unique:
        raise InputError(f"{place} has two columns of the same name: {', '.join(map(str, frame.columns))}")
    relation = _register(con, name, pa.table({str(label): _array(frame[label]) for label in frame.columns}))
    return Raw(place=place, relation=relation, types=_types(con, place, relation))


def _types(con: duckdb.DuckDBPyConnection, place: str, relation: str) -> dict[str, str]:
    try:
        described = con.execute(f"describe select * from {relation}").fetchall()
    except duckdb.Error as error:
        raise InputError(f"cannot read {place}: {reason(error)}") from error
    return {row[0]: row[1] for row in described}


# Files


def _read_files(path: Path, source: Source, scratch: Path) -> tuple[str, str, str]:
    """Return what to call the files, and SQL for their rows and for a row's number; a Parquet file knows it itself."""
    files = sorted(path.parent.glob(path.name)) if not path.exists() else [path]
    if path.is_dir():
        raise InputError(f"{path} is a folder; name its files, for example {path / '*.parquet'}")
    if not files:
        raise InputError(f"no file {path}")
    if all(file.name.lower().endswith(_PARQUET_ENDINGS) for file in files):
        relation = f"read_parquet({literals(map(str, files))}, union_by_name=true)"
        return f"Parquet file {path}", relation, "file_row_number" if len(files) == 1 else _COUNTED
    if all(file.name.lower().endswith(_CSV_ENDINGS) for file in files):
        selects = (_select_csv(file, source, scratch) for file in files)
        return str(path), f"({' union all by name '.join(selects)})", _COUNTED
    raise InputError(f"{path}: files end in {', '.join(_CSV_ENDINGS + _PARQUET_ENDINGS)}, all of them in the same way")


def _select_csv(file: Path, source: Source, scratch: Path) -> str:
    """Select a CSV file as text, with nothing guessed: names from its first line, the rest from the programme file."""
    if _codec(source.encoding) != "utf-8":
        file = _transcoded(file, source.encoding, scratch)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in _header(file, source.delimiter))
    return (
        f"select * from read_csv({literal(str(file))}, auto_detect=false, header=true, columns={{{columns}}},"
        f" delim={literal(source.delimiter)}, quote='\"', escape='\"', nullstr={literals(_CSV_NULLS)})"
    )


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InputError(f"unknown encoding {encoding!r}; use a name such as 'utf-8', 'gbk' or 'latin-1'") from error


def _open(file: Path, encoding: str) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding=encoding, newline="")
    return file.open(encoding=encoding, newline="")


def _transcoded(file: Path, encoding: str, scratch: Path) -> Path:
    copy = scratch / f"{len(list(scratch.iterdir()))}.csv"
    try:
        with _open(file, encoding) as given, copy.open("w", encoding="utf-8", newline="") as text:
            shutil.copyfileobj(given, text, 1 << 20)
    except UnicodeError as error:
        raise InputError(f"{file} is not encoded in {encoding}: {error}; check `encoding`") from error
    return copy


def _header(file: Path, delimiter: str) -> list[str]:
    try:
        with _open(file, "utf-8-sig") as text:
            names = [name.strip() for name in next(csv.reader(text, delimiter=delimiter), [])]
    except (UnicodeError, csv.Error) as error:
        with file.open("rb") as raw:
            advice = _BEGINNINGS.get(raw.read(2), "set `encoding`, for example 'gbk'")
        raise InputError(f"{file} is not encoded in utf-8; {advice}") from error
    if not names:
        raise InputError(f"{file} is empty: its first line must name the columns")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{file} has more than one column {', '.join(map(repr, repeated))}")
    return names


# Databases


def _read_sql(con: duckdb.DuckDBPyConnection, name: str, source: Source, programme: Programme) -> tuple[str, str]:
    """Fetch a table through SQLAlchemy; the types are those of the values, as the driver gives them."""
    import sqlalchemy as sa

    url = database_url(source.url or "", programme)
    place = f"{source.table} at {url.render_as_string()}"
    schema, _, table = (source.table or "").rpartition(".")
    try:
        engine = sa.create_engine(url)
        names = [column["name"] for column in sa.inspect(engine).get_columns(table, schema=schema or None)]
        query: Any = sa.select(*map(sa.column, names)).select_from(sa.table(table, schema=schema or None))
        with engine.connect().execution_options(stream_results=True) as connection:
            parts = [_arrow(rows, names) for rows in connection.execute(query).partitions(_ROWS_PER_FETCH)]
        engine.dispose()
    except sa.exc.NoSuchTableError as error:
        raise InputError(f"no table {place}") from error
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise InputError(f"cannot read {place}: {reason(error)}") from error
    return place, _register(con, name, _united(parts) if parts else _arrow([], names))


def database_url(url: str, programme: Programme) -> URL:
    """Fill in environment variables; a relative SQLite path starts at the programme file."""
    import sqlalchemy as sa

    if missing := sorted({name for name in re.findall(r"\$\{(\w+)\}", url) if name not in os.environ}):
        raise InputError(f"{url} needs the environment variable {', '.join(missing)}, which is not set")
    filled = re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], url)
    try:
        parsed = sa.make_url(filled)
    except sa.exc.ArgumentError as error:
        raise InputError(f"{url} is not a database URL; write it as postgresql+psycopg://user@host/name") from error
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        file = programme.path(parsed.database)
        if not file.exists():
            raise InputError(f"no file {file}")
        return parsed.set(database=str(file))
    return parsed


def _arrow(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pa.table([_array(pd.Series(values, dtype=object)) for values in columns], list(names))


def _united(parts: Sequence[pa.Table]) -> pa.Table:
    """Put the parts together; where their types do not fit each other, as text."""
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        text = pa.schema([(name, pa.string()) for name in parts[0].column_names])
        return pa.concat_tables(part.cast(text) for part in parts)


# Frames


def _register(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> str:
    con.register(f"given_{name}", table)
    return f"given_{name}"


def _array(values: pd.Series) -> pa.Array:
    """Convert a column to Arrow; a column of mixed types, times with and without zone among them, becomes text."""
    if values.dtype == object and len(set(map(_form, values.dropna()))) > 1:
        values = values.map(str, na_action="ignore")
    elif isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.astype(pd.ArrowDtype(pa.timestamp("us", "UTC")))
    try:
        return pa.array(values, from_pandas=True)
    except pa.ArrowException:
        return pa.array(values.map(str, na_action="ignore"), from_pandas=True)


def _form(value: Any) -> tuple[type, bool]:
    return type(value), isinstance(value, datetime) and value.tzinfo is not None
