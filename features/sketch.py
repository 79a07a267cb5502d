"""What a file looks like before anybody has described it: how it is written, and what its columns hold."""

# ruff: noqa: S608 -- every name put into SQL here is quoted by `identifier` or our own

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, product
from pathlib import Path
from typing import Literal

import duckdb
from charset_normalizer import from_bytes

from features.casting import Given, canonical
from features.errors import InputError
from features.programme import Source
from features.readers import Raw, identifier, read_files
from features.schemas import Column, Kind

_SAMPLE_ROWS = 2_000
_SKETCHED_ROWS = 200_000
_FEW_VALUES = 60
_MOST = 0.99
_CHUNK = 1 << 20
_ENOUGH_BYTES = 1 << 16
_ENCODINGS = ["gb18030", "cp1252", "big5", "shift_jis", "euc_kr", "cp1251", "utf_16"]
_DATES = (
    "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d",
    "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日", "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%z", " %H:%M%z", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = tuple(date + time for date, time in product(_DATES, _TIMES))
_TRIED_VALUES = 5

Decimal = Literal[".", ","]


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
    has_fractions
        Some numbers are not whole, or negative, as amounts are and ids are not.
    formats
        Ways of writing times that fit; None is ISO 8601.
    frequent
        The most frequent values, all of them where there are few.
    """

    name: str
    filled: float
    distinct: int
    is_unique: bool
    fits: Mapping[Kind, float]
    has_fractions: bool
    formats: tuple[str | None, ...]
    frequent: tuple[str, ...]

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
    decimal: Decimal
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
    encoding, delimiter = _written(first) if is_csv else ("utf-8", ",")
    source = Source(path=path.name, delimiter=delimiter, encoding=encoding)
    raw = read_files(con, source, path.parent, scratch)
    _refuse_without_header(path, raw)
    table = "sketched"
    con.execute(f"create or replace temp table {table} as from {raw.relation} limit {_SKETCHED_ROWS}")
    rows = con.execute(f"select count(*) from {table}").fetchall()[0][0]
    if not rows:
        raise InputError(f"{path} has no rows")
    sampled = f"(from {table} using sample reservoir({_SAMPLE_ROWS} rows) repeatable (1))"
    decimal = _decimal(con, sampled, raw)
    raw = replace(raw, decimal=decimal)
    looks = tuple(_look(con, table, sampled, raw, name, rows) for name in raw.types)
    return Sketch(path, encoding, delimiter, decimal, rows, looks, raw, is_csv)


def share_found(con: duckdb.DuckDBPyConnection, child: Raw, column: str, parent: Raw, key: str) -> float:
    """Return the share of a column's values that are in a column of another file."""
    values = f"select distinct trim({_text(child, column)}) as id from (from {child.relation} limit {_SAMPLE_ROWS})"
    ids = f"select trim({_text(parent, key)}) as id from {parent.relation}"
    query = f"select avg((id in ({ids}))::int) from ({values}) where id is not null"
    return float(con.execute(query).fetchall()[0][0] or 0.0)


def _text(raw: Raw, column: str) -> str:
    return f"cast({identifier(column)} as varchar)"


# How a file is written


def _written(file: Path) -> tuple[str, str]:
    if not file.is_file():
        raise InputError(f"no file {file}")
    encoding = _encoding(file)
    with _open(file) as binary:
        text = codecs.getreader(encoding)(binary)
        return encoding, _delimiter(list(islice(text, 200)))


def _encoding(file: Path) -> str:
    """Return UTF-8 if the whole file is; otherwise what the lines with other letters look like."""
    with _open(file) as binary:
        head = binary.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _other_encoding(file)
    return "utf-8"


def _other_encoding(file: Path) -> str:
    telling = bytearray()
    with _open(file) as binary:
        for line in binary:
            if not line.isascii():
                telling += line
            if len(telling) > _ENOUGH_BYTES:
                break
    best = from_bytes(bytes(telling), cp_isolation=_ENCODINGS).best()
    if best is None:
        raise InputError(f"cannot tell how {file} is encoded; save it as UTF-8")
    return "gb18030" if best.encoding.startswith("gb") else best.encoding


def _open(file: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")


def _chunks(file: Path) -> Iterator[bytes]:
    with _open(file) as binary:
        while chunk := binary.read(_CHUNK):
            yield chunk


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter under which most lines have as many fields as the first, the more fields the better."""
    return max(",;\t|", key=lambda delimiter: _regularity(lines, delimiter))


def _regularity(lines: list[str], delimiter: str) -> tuple[bool, int]:
    counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    alike = sum(count == counts[0] for count in counts) if counts else 0
    return bool(counts) and alike >= 0.9 * len(counts), counts[0] if counts else 0


def _refuse_without_header(path: Path, raw: Raw) -> None:
    if numbers := [name for name in raw.types if name.replace(".", "").replace("-", "").replace(":", "").isdigit()]:
        raise InputError(f"{path}: the first line must name the columns, and {numbers[0]!r} is no name")


# What its columns hold


def _decimal(con: duckdb.DuckDBPyConnection, sampled: str, raw: Raw) -> Decimal:
    """Return the decimal mark under which more values read as amounts."""
    given = [_given(raw, name) for name in raw.types]
    texts = [value.text for value in given if value.is_text]
    if not texts:
        return "."

    def count(mark: str) -> str:
        return " + ".join(f"count(*) filter (regexp_matches({text}, '^-?\\d+{mark}\\d+$'))" for text in texts)

    points, commas = con.execute(f"select {count('[.]')}, {count(',')} from {sampled}").fetchall()[0]
    return "," if commas > points else "."


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
    fraction = f"bool_or({casts[0]} < 0 or {casts[0]} <> trunc({casts[0]}))"
    *fits, has_fractions = con.execute(f"select {shares}, {fraction} from {sampled} where {value.is_there}").fetchall()[
        0
    ]
    return Look(
        name=name,
        filled=filled / rows,
        distinct=distinct,
        is_unique=bool(filled) and filled == distinct,
        fits={"id": 1.0, "text": 1.0, **{kind: fit or 0.0 for kind, fit in zip(kinds, fits, strict=True)}},
        has_fractions=bool(has_fractions),
        formats=formats,
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


def _reads(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True


def _given(raw: Raw, name: str) -> Given:
    return Given(identifier(name), raw.types[name], raw, "UTC")
