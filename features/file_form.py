"""How a file is written: its encoding, its delimiter, and the marks in its numbers."""

# ruff: noqa: S608 -- every name put into SQL here is quoted by the caller or our own

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Literal

import duckdb
from charset_normalizer import from_bytes

from features.casting import SPACE
from features.errors import InputError
from features.readers import literal
from features.words import COLUMNS, languages

Decimal = Literal[".", ","]

_CHUNK = 1 << 20
_ENOUGH_BYTES = 1 << 16
_ENCODINGS = ["gb18030", "cp1252", "big5", "shift_jis", "euc_kr", "cp1251", "utf_16"]
_GROUPED: Sequence[tuple[Decimal, str]] = (
    (",", "."), (".", ","), (",", " "), (",", "\u00a0"), (",", "\u202f"), (".", "'"), (".", "’"), (".", " "),
)  # fmt: skip
_SIGN = r"[A-Z]{0,2}\p{Sc}|元|kr|zł|Kč|Ft|lei|USD|EUR|GBP|CNY|RMB|CHF|JPY|SEK|NOK|DKK|PLN|CZK|HUF|BRL|INR|AUD|CAD|HKD"
_DIGITS = r"[-+]?\d[\d.,'’\s\x{a0}\x{202f}]*"


def written(file: Path) -> tuple[str, str]:
    """Return the encoding and the delimiter of a CSV file.

    Raises
    ------
    InputError
        If there is no such file, or nothing tells its encoding.
    """
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
    if (known := _in_known_words(bytes(telling))) is not None:
        return known
    best = from_bytes(bytes(telling), cp_isolation=_ENCODINGS).best()
    if best is None:
        raise InputError(f"cannot tell how {file} is encoded; save it as UTF-8")
    return "gb18030" if best.encoding.startswith("gb") else best.encoding


def _in_known_words(lines: bytes) -> str | None:
    """Return the encoding in which columns have names we know: few letters tell little else."""
    header = lines.partition(b"\n")[0]
    counts = {encoding: _known_words(header, encoding) for encoding in _ENCODINGS}
    best = max(counts, key=lambda encoding: counts[encoding])
    return best if counts[best] else None


def _known_words(header: bytes, encoding: str) -> int:
    try:
        names = re.split(r"[,;\t|]", header.decode(encoding))
    except UnicodeError:
        return 0
    foreign = [name for name in names if not name.isascii()]
    return sum(languages(foreign, [words for table in COLUMNS.values() for words in table.values()]).values())


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


def currency_sign(con: duckdb.DuckDBPyConnection, sampled: str, texts: Sequence[str]) -> str:
    """Return the sign, letters or code that most numbers with any are written with; empty where none are.

    Parameters
    ----------
    con, sampled
        Where the rows are, as SQL to select from.
    texts
        SQL for the columns that are texts.
    """
    if not texts:
        return ""
    before, after = (
        literal(pattern) for pattern in (rf"^[-+]?{SPACE}({_SIGN}){SPACE}{_DIGITS}$", rf"^{_DIGITS}({_SIGN})$")
    )
    signs = " union all ".join(
        f"select coalesce(nullif(regexp_extract({text}, {before}, 1), ''), regexp_extract({text}, {after}, 1)) as sign "
        f"from {sampled}"
        for text in texts
    )
    found = con.execute(f"select sign from ({signs}) where sign <> '' group by sign order by count(*) desc, sign")
    return next((sign for (sign,) in found.fetchall()), "")


def marks(con: duckdb.DuckDBPyConnection, sampled: str, texts: Sequence[str]) -> tuple[Decimal, str]:
    """Return the decimal mark and the separator of thousands under which most values read as amounts.

    Parameters
    ----------
    con, sampled
        Where the rows are, as SQL to select from.
    texts
        SQL for the columns that are texts.
    """
    if not texts:
        return ".", ""

    def count(pattern: str) -> str:
        return " + ".join(f"count(*) filter (regexp_matches({text}, {literal(pattern)}))" for text in texts)

    def count_whole(mark: str) -> str:
        """Count columns of whole numbers, those from a thousand on grouped and others not."""
        fits = literal(rf"^-?\d{{1,3}}([{mark}]\d{{3}})*$")
        columns = (
            f"bool_and(regexp_matches({text}, {fits})) and count(distinct contains({text}, {literal(mark)})) = 2"
            for text in texts
        )
        return " + ".join(f"coalesce(({column})::int, 0)" for column in columns)

    plain = [count(rf"^-?\d+[{decimal}]\d+$") for decimal in ".,"]
    grouped = [count(rf"^-?\d{{1,3}}([{mark}]\d{{3}})+[{decimal}]\d+$") for decimal, mark in _GROUPED]
    whole = [count_whole(mark) for _, mark in _GROUPED]
    points, commas, *found = con.execute(f"select {', '.join([*plain, *grouped, *whole])} from {sampled}").fetchall()[0]
    most, best = max(zip(found, (*_GROUPED, *_GROUPED), strict=True), key=itemgetter(0))
    return best if most else ("," if commas > points else ".", "")
