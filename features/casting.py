"""SQL that turns a given value into its canonical type, or null where it does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from features.readers import Raw, identifier, literal
from features.schemas import TYPES, Column, Kind
from features.zones import rezoned

_INTEGERS = frozenset(f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "", "BIG", "HUGE")) | {
    "INTEGER",
    "UINTEGER",
}
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_YES = "('true', 't', 'yes', 'y', '1', '1.0', 'ja', 'j', 'wahr', 'on', '是', '同意')"
_NO = "('false', 'f', 'no', 'n', '0', '0.0', 'nein', 'falsch', 'off', '否', '不同意')"
COUNTED_TIMES = ("unix", "unix_ms", "excel")
"""Times written as numbers, by the names a programme file has for them."""
SPACE = r"[\s\x{a0}\x{202f}]*"
_OFFSET = r"\d:\d{2}.*([zZ]|[+-]\d{2}(:?\d{2})?)$"


@dataclass(frozen=True)
class Given:
    """A column as it was given: SQL for it, for it as text, its type, and how its table writes values."""

    sql: str
    type: str
    raw: Raw
    timezone: str

    @property
    def text(self) -> str:
        """The value as text, without spaces around it, blank as null."""
        text = f"cast({self.sql} as varchar)"
        # trim looks at every character: where all are of one byte and none is a space there is nothing to find
        return f"nullif(if(strlen({text}) = length({text}) and not contains({text}, ' '), {text}, trim({text})), '')"

    @property
    def is_there(self) -> str:
        """Whether there is a value."""
        return f"{self.text if self.is_text else self.sql} is not null"

    @property
    def is_text(self) -> bool:
        return self.type == "VARCHAR" or self.type.startswith("ENUM")

    @property
    def is_number(self) -> bool:
        return self.type in _INTEGERS | _FLOATS or self.type.startswith("DECIMAL")

    @property
    def may_mix_zones(self) -> bool:
        """Whether some values could have a UTC offset and others none."""
        return self.is_text and self.raw.datetime_format is None

    @property
    def has_offset(self) -> str:
        return f"regexp_matches({self.text}, {literal(_OFFSET)})"

    @property
    def as_double(self) -> str:
        """The value as a finite floating-point number."""
        if not (self.is_text or self.is_number):
            return "null"
        number = f"try_cast({self.number_text if self.is_text else self.sql} as double)"
        return f"case when isfinite({number}) then {number} end"

    @property
    def bare_text(self) -> str:
        """The text without the currency sign before or after it."""
        if not self.raw.currency_sign:
            return self.text
        sign = re.escape(self.raw.currency_sign)
        written = literal(rf"^([-+]?){SPACE}{sign}{SPACE}|{SPACE}{sign}$")
        return f"regexp_replace({self.text}, {written}, '\\1')"

    @property
    def number_text(self) -> str:
        """The text of a number with a decimal point; null where another mark is, or digits are not grouped by three."""
        text = self.bare_text
        if self.raw.thousands:
            mark = literal(self.raw.thousands)
            grouped = literal(rf"^[-+]?\d{{1,3}}([{self.raw.thousands}]\d{{3}})+([{self.raw.decimal}]\d+)?$")
            text = f"if(regexp_matches({text}, {grouped}), replace({text}, {mark}, ''), {text})"
        if self.raw.decimal == ".":
            return text
        return f"case when not contains({text}, '.') then replace({text}, ',', '.') end"


def given(column: str, raw: Raw, timezone: str) -> Given:
    """Look a column of ours up in a table as it was given."""
    theirs = raw.columns.get(column, column)
    return Given(identifier(theirs), raw.types[theirs], raw, timezone)


def canonical(column: Column, value: Given) -> str:
    """Return SQL for the canonical value of a column."""
    return f"cast({_CASTS[column.kind](value)} as {TYPES[column.kind]})"


def local_date(instant: str, timezone: str) -> str:
    """Return SQL for the programme's calendar date at a naive UTC instant."""
    return f"cast({rezoned(instant, 'UTC', timezone)} as date)"


def _text(value: Given) -> str:
    return value.text


def _id(value: Given) -> str:
    """Numbers are ids too: 7.0, as a column with gaps reads it, is the id 7."""
    if value.type.startswith("DECIMAL"):
        return f"if({value.sql} = trunc({value.sql}), cast(cast({value.sql} as hugeint) as varchar), {value.text})"
    if value.type not in _FLOATS:
        return value.text
    digits = f"cast(try_cast({value.sql} as hugeint) as varchar)"
    number = f"if({value.sql} = trunc({value.sql}), coalesce({digits}, {value.text}), {value.text})"
    return f"case when isfinite({value.sql}) then {number} end"


def _mapped(value: Given) -> str:
    known = "".join(f" when {literal(theirs)} then {literal(ours)}" for theirs, ours in value.raw.values.items())
    return f"case {value.text}{known} else {value.text} end" if known else value.text


def _amount(value: Given) -> str:
    if value.is_text:
        return f"try_cast({value.number_text} as {TYPES['amount']})"
    return f"try_cast({value.sql} as {TYPES['amount']})" if value.is_number else "null"


def _number(value: Given) -> str:
    return value.as_double


def _whole(value: Given) -> str:
    number = value.as_double
    return f"case when {number} = trunc({number}) then try_cast({number} as bigint) end"


def _flag(value: Given) -> str:
    if value.type == "BOOLEAN":
        return value.sql
    return f"case when lower({value.text}) in {_YES} then true when lower({value.text}) in {_NO} then false end"


def _instant(value: Given) -> str:
    """Naive times are the programme's own, others are converted; all become naive UTC."""
    if value.type == "TIMESTAMP WITH TIME ZONE":
        return f"{value.sql} at time zone 'UTC'"
    if value.type == "DATE" or value.type.startswith("TIMESTAMP"):
        return rezoned(f"cast({value.sql} as timestamp)", value.timezone, "UTC")
    if value.raw.datetime_format in COUNTED_TIMES:
        return _counted(value)
    if value.raw.datetime_format is not None:
        parsed = f"try_strptime({value.text}, {literal(value.raw.datetime_format)})"
        if "%z" in value.raw.datetime_format.lower():
            return f"{parsed} at time zone 'UTC'"
        return rezoned(parsed, value.timezone, "UTC")
    if not value.is_text:
        return "null"
    aware = f"try_cast({value.text} as timestamptz) at time zone 'UTC'"
    naive = rezoned(f"try_cast({value.text} as timestamp)", value.timezone, "UTC")
    instant = f"case when {value.has_offset} then {aware} else {naive} end"
    return f"case when isfinite({instant}) then {instant} end"


def _counted(value: Given) -> str:
    """Count seconds, milliseconds or days from a moment on; days are the programme's own."""
    number = value.as_double
    if value.raw.datetime_format == "excel":
        days = f"timestamp '1899-12-30' + to_seconds(cast(round({number} * 86400) as bigint))"
        return rezoned(f"try({days})", value.timezone, "UTC")
    per_unit = 1_000_000 if value.raw.datetime_format == "unix" else 1_000
    return f"try(make_timestamp(cast({number} * {per_unit} as bigint)))"


_CASTS: Mapping[Kind, Callable[[Given], str]] = {
    "id": _id,
    "text": _text,
    "event": _mapped,
    "code": _mapped,
    "amount": _amount,
    "number": _number,
    "whole": _whole,
    "instant": _instant,
    "flag": _flag,
}
