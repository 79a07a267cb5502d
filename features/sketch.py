"""What a file looks like before anybody has described it: how it is written, and what its columns hold."""

# ruff: noqa: S608 -- every name put into SQL here is quoted by `identifier` or our own

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from pathlib import Path

import duckdb

from features.casting import Given, canonical
from features.errors import InputError
from features.file_form import currency_sign, marks, written
from features.readers import Raw, identifier, read_files
from features.schemas import Column, Kind
from features.settings_data import Source

_SAMPLE_ROWS = 2_000
_SKETCHED_ROWS = 200_000
_FEW_VALUES = 60
_MOST = 0.99
_DATES = (
    "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d",
    "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日", "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%z", " %H:%M%z", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = tuple(date + time for date, time in product(_DATES, _TIMES))
_TRIED_VALUES = 5
_COUNTED = {"unix": (9.4e8, 4.2e9), "unix_ms": (9.4e11, 4.2e12), "excel": (36_500, 73_500)}
"""What numbers are like that count time from a moment on: the years from 2000 to 2100."""


@dataclass(frozen=True)
class Look:
    """What a column holds, going by a sample.

    Attributes
    ----------
    filled, distinct
        Share of rows that have a value, and how many different values there are.
    is_unique
        No value is there twice.
    fits
        Share of the values that read as each kind.
    has_fractions, has_negatives
        Some numbers are not whole, or negative, as amounts are and ids are not; some are negative.
    formats
        Ways of writing times that fit; None is ISO 8601.
    counted
        Ways of counting time that fit, if the values are numbers; only a name can tell that they are times.
    frequent
        The most frequent values, all of them where there are few.
    """

    name: str
    filled: float
    distinct: int
    is_unique: bool
    fits: Mapping[Kind, float]
    has_fractions: bool
    has_negatives: bool
    formats: tuple[str | None, ...]
    counted: tuple[str, ...]
    frequent: tuple[str, ...]

    @property
    def times(self) -> tuple[str | None, ...]:
        """Ways of writing, or else of counting, times that fit."""
        return self.formats or self.counted

    @property
    def is_few(self) -> bool:
        """Whether all its values are in ``frequent``."""
        return self.distinct == len(self.frequent)


@dataclass(frozen=True)
class Sketch:
    """A file, how it is written, and its columns."""

    path: Path
    encoding: str
    delimiter: str
    rows: int
    columns: tuple[Look, ...]
    raw: Raw
    is_csv: bool


def sketch(con: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> Sketch:
    """Look at a CSV or Parquet file, or at several of one form, named by a pattern.

    Raises
    ------
    InputError
        If it cannot be read as a table whose first line names its columns.
    """
    first = next(iter(sorted(path.parent.glob(path.name))), path)
    is_csv = first.suffix not in (".parquet", ".pq")
    encoding, delimiter = written(first) if is_csv else ("utf-8", ",")
    source = Source(path=path.name, delimiter=delimiter, encoding=encoding)
    raw = read_files(con, source, path.parent, scratch)
    _refuse_without_header(path, raw)
    table = "sketched"
    con.execute(f"create or replace temp table {table} as from {raw.relation} limit {_SKETCHED_ROWS}")
    rows = con.execute(f"select count(*) from {table}").fetchall()[0][0]
    if not rows:
        raise InputError(f"{path} has no rows")
    sampled = f"(from {table} using sample reservoir({_SAMPLE_ROWS} rows) repeatable (1))"
    sign = currency_sign(con, sampled, [value.text for value in _texts(raw)])
    raw = replace(raw, currency_sign=sign)
    decimal, thousands = marks(con, sampled, [value.bare_text for value in _texts(raw)])
    raw = replace(raw, decimal=decimal, thousands=thousands)
    looks = tuple(_look(con, table, sampled, raw, name, rows) for name in raw.types)
    return Sketch(path, encoding, delimiter, rows, looks, raw, is_csv)


def _texts(raw: Raw) -> list[Given]:
    return [value for value in (_given(raw, name) for name in raw.types) if value.is_text]


def share_found(con: duckdb.DuckDBPyConnection, child: Raw, column: str, parent: Raw, key: str) -> float:
    """Return the share of a column's values that are in a column of another file."""
    values = f"select distinct trim({_text(child, column)}) as id from (from {child.relation} limit {_SAMPLE_ROWS})"
    ids = f"select trim({_text(parent, key)}) as id from {parent.relation}"
    query = f"select avg((id in ({ids}))::int) from ({values}) where id is not null"
    return float(con.execute(query).fetchall()[0][0] or 0.0)


def _text(raw: Raw, column: str) -> str:
    return f"cast({identifier(column)} as varchar)"


def _refuse_without_header(path: Path, raw: Raw) -> None:
    if numbers := [name for name in raw.types if name.replace(".", "").replace("-", "").replace(":", "").isdigit()]:
        raise InputError(f"{path}: the first line must name the columns, and {numbers[0]!r} is no name")


def _look(con: duckdb.DuckDBPyConnection, table: str, sampled: str, raw: Raw, name: str, rows: int) -> Look:
    value = _given(raw, name)
    filled, distinct = con.execute(f"select count({value.text}), count(distinct {value.text}) from {table}").fetchall()[
        0
    ]
    top = con.execute(
        f"select {value.text} as v from {table} where v is not null group by v order by count(*) desc, v "
        f"limit {_FEW_VALUES}"
    ).fetchall()
    values = tuple(value for (value,) in top)
    formats = _formats(con, sampled, raw, name, values)
    best = replace(raw, datetime_format=formats[0]) if formats else raw
    kinds: tuple[Kind, ...] = ("amount", "number", "whole", "flag", "instant")
    casts = [canonical(Column("", kind, ""), _given(best, name)) for kind in kinds]
    shares = ", ".join(f"avg(({cast} is not null)::int)" for cast in casts)
    signs = f"bool_or({casts[0]} < 0 or {casts[0]} <> trunc({casts[0]})), bool_or({casts[0]} < 0)"
    held = con.execute(f"select {shares}, {signs} from {sampled} where {value.is_there}").fetchall()[0]
    *fits, has_fractions, has_negatives = held
    return Look(
        name=name,
        filled=filled / rows,
        distinct=distinct,
        is_unique=bool(filled) and filled == distinct,
        fits={"id": 1.0, "text": 1.0, **{kind: fit or 0.0 for kind, fit in zip(kinds, fits, strict=True)}},
        has_fractions=bool(has_fractions),
        has_negatives=bool(has_negatives),
        formats=formats,
        counted=() if formats else _counted(con, sampled, value),
        frequent=values,
    )


def _formats(
    con: duckdb.DuckDBPyConnection, sampled: str, raw: Raw, name: str, values: Sequence[str]
) -> tuple[str | None, ...]:
    """Return the ways of writing times that fit nearly all values: ISO 8601 alone, or whichever else do."""
    if raw.types[name] != "VARCHAR":
        return (None,) if raw.types[name] == "DATE" or raw.types[name].startswith("TIMESTAMP") else ()
    tried = [None, *(form for form in _FORMATS if any(_reads(value, form) for value in values[:_TRIED_VALUES]))]
    instants = (
        canonical(Column("", "instant", ""), _given(replace(raw, datetime_format=form), name)) for form in tried
    )
    shares = ", ".join(f"avg(({instant} is not null)::int)" for instant in instants)
    there = _given(raw, name).is_there
    found = con.execute(f"select {shares} from {sampled} where {there}").fetchall()[0]
    fitting = tuple(form for form, share in zip(tried, found, strict=True) if (share or 0.0) >= _MOST)
    return (None,) if None in fitting else fitting


def _counted(con: duckdb.DuckDBPyConnection, sampled: str, value: Given) -> tuple[str, ...]:
    """Return the ways of counting time that fit nearly all values."""
    number = value.as_double
    shares = ", ".join(f"avg(({number} between {low} and {high})::int)" for low, high in _COUNTED.values())
    found = con.execute(f"select {shares} from {sampled} where {value.is_there}").fetchall()[0]
    return tuple(form for form, share in zip(_COUNTED, found, strict=True) if (share or 0.0) >= _MOST)


def _reads(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True


def _given(raw: Raw, name: str) -> Given:
    return Given(identifier(name), raw.types[name], raw, "UTC")
