"""Which file is which table, and which column which: by what they are called and by what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
from scipy.optimize import linear_sum_assignment

from features.errors import InputError
from features.schemas import CONTRACTS, EVENTS, Column, Contract
from features.sketch import Look, Sketch, share_found
from features.words import CHANNEL_WORDS, COLUMNS, CONTROL, EVENT_WORDS, TABLES, HeaderLanguage, languages, likeness

SURE, LIKELY = 0.8, 0.55
_FITS, _JOINS = 0.9, 0.8
_SAME_WORD = 0.6
_WORTH_NAMING = 0.15
_LOOKS_LIKE_A_TABLE = 0.35
_SAID = 10.0


@dataclass(frozen=True)
class Match:
    """A column of ours, theirs that is taken for it, and how sure that is: 1 is certain."""

    column: Column
    look: Look
    sureness: float


@dataclass(frozen=True)
class TableGuess:
    """A file taken for one of our tables."""

    contract: Contract
    sketch: Sketch
    matches: tuple[Match, ...]
    sureness: float

    @property
    def name(self) -> str:
        """The name of our table."""
        return self.contract.name

    @property
    def missing(self) -> tuple[Column, ...]:
        """Required columns nothing was found for."""
        found = {match.column.name for match in self.matches}
        return tuple(column for column in self.contract.columns if column.required and column.name not in found)

    @property
    def unused(self) -> tuple[str, ...]:
        """Their columns that are none of ours."""
        used = {match.look.name for match in self.matches}
        return tuple(look.name for look in self.sketch.columns if look.name not in used)

    def look(self, column: str) -> Look | None:
        """Return their column that is taken for ours."""
        return next((match.look for match in self.matches if match.column.name == column), None)

    @property
    def formats(self) -> tuple[str | None, ...]:
        """Ways of writing times that fit the table's own time, or the first of its other times."""
        times = [match for match in self.matches if match.column.kind == "instant"]
        times.sort(key=lambda match: match.column.name != self.contract.time)
        return times[0].look.formats if times else (None,)


class Joins:
    """Whose values are found among the unique values of another file."""

    def __init__(self, con: duckdb.DuckDBPyConnection, sketches: Sequence[Sketch]) -> None:
        self._con, self._sketches = con, sketches

    @cached_property
    def found(self) -> frozenset[tuple[int, str]]:
        """Columns that refer to another file, by the file's position and their name."""
        return frozenset(
            (number, look.name)
            for number, child in enumerate(self._sketches)
            for look in child.columns
            if _may_be_id(look) and self._refers(number, look)
        )

    def _refers(self, number: int, look: Look) -> bool:
        return any(
            share_found(self._con, self._sketches[number].raw, look.name, parent.raw, key.name) >= _JOINS
            for other, parent in enumerate(self._sketches)
            if other != number
            for key in parent.columns
            if key.is_unique and _may_be_id(key)
        )


def guess_tables(
    sketches: Sequence[Sketch],
    joins: Joins,
    *,
    tables: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> list[TableGuess]:
    """Take each file for the table it is most like, all files together.

    Parameters
    ----------
    sketches, joins
        The files, and which of their columns refer to each other.
    tables
        What is known: our table = the name of its file.
    columns
        What is known: our ``table.column`` = theirs.

    Raises
    ------
    InputError
        If a file is like no table, or none is like orders, or what is said to be known cannot be.
    """
    said = _said(sketches, tables or {})
    contracts = list(CONTRACTS.values())
    guesses = [
        [_guess(contract, number, sketch, joins, columns or {}) for contract in contracts]
        for number, sketch in enumerate(sketches)
    ]
    scores = np.array([[guess.sureness for guess in row] for row in guesses])
    for number, name in said.items():
        scores[number] = [_SAID * (contract.name == name) for contract in contracts]
    chosen = dict(zip(*linear_sum_assignment(scores, maximize=True), strict=True))
    found = [guesses[number][table] for number, table in chosen.items() if scores[number, table] > _LOOKS_LIKE_A_TABLE]
    _refuse_unknown(sketches, found)
    _refuse_absent(found, columns or {})
    return sorted(found, key=lambda guess: list(CONTRACTS).index(guess.name))


def spoken(sketches: Sequence[Sketch]) -> HeaderLanguage:
    """Return the language most columns are named in, of two the foreign one; English when nothing tells."""
    names = [look.name for sketch in sketches for look in sketch.columns]
    counts = languages(names, [words for table in COLUMNS.values() for words in table.values()])
    return max(counts, key=lambda language: counts[language]) if any(counts.values()) else "en"


def event_of(value: str) -> str | None:
    """Return the event of our vocabulary that a value means."""
    best = max(EVENTS, key=lambda event: likeness(value, EVENT_WORDS[event], ours=event))
    return best if likeness(value, EVENT_WORDS[best], ours=best) >= _SAME_WORD else None


def channel_of(value: str) -> str | None:
    """Return the channel of ours that a value means."""
    best = max(CHANNEL_WORDS, key=lambda channel: likeness(value, CHANNEL_WORDS[channel], ours=channel))
    return best if likeness(value, CHANNEL_WORDS[best], ours=best) >= _SAME_WORD else None


def is_control(value: str) -> bool:
    """Whether an incentive's name says that nothing was sent."""
    return likeness(value, CONTROL) >= _SAME_WORD


def _said(sketches: Sequence[Sketch], tables: Mapping[str, str]) -> dict[int, str]:
    """Return the table of each file that was named, by the file's position."""
    said = {}
    for table, file in tables.items():
        number = next((n for n, sketch in enumerate(sketches) if file in (sketch.path.name, str(sketch.path))), None)
        if table not in CONTRACTS or number is None:
            raise InputError(f"--table {table}={file}: name one of {', '.join(CONTRACTS)}, and a file that is given")
        said[number] = table
    return said


def _refuse_unknown(sketches: Sequence[Sketch], found: Sequence[TableGuess]) -> None:
    placed = {guess.sketch.path for guess in found}
    for sketch in sketches:
        if sketch.path not in placed:
            raise InputError(
                f"{sketch.path} looks like none of {', '.join(CONTRACTS)}, or like one that another file is more like; "
                f"say which it is, --table orders={sketch.path.name}, or leave it out"
            )
    if all(guess.name != "orders" for guess in found):
        raise InputError("no file looks like orders: one row per order with its id, member, time and amount")


def _refuse_absent(found: Sequence[TableGuess], columns: Mapping[str, str]) -> None:
    for guess in found:
        there = [look.name for look in guess.sketch.columns]
        for column in guess.contract.columns:
            theirs = columns.get(f"{guess.name}.{column.name}")
            if theirs is not None and theirs not in there:
                raise InputError(f"{guess.sketch.path} has no column {theirs!r}; it has {', '.join(there)}")


def _guess(contract: Contract, number: int, sketch: Sketch, joins: Joins, known: Mapping[str, str]) -> TableGuess:
    scores = np.array(
        [
            [_score(contract, column, look, (number, look.name) in joins.found) for look in sketch.columns]
            for column in contract.columns
        ]
    )
    for position, column in enumerate(contract.columns):
        if (theirs := known.get(f"{contract.name}.{column.name}")) is not None:
            scores[position] = [_SAID * (look.name == theirs) for look in sketch.columns]
    pairs = zip(*linear_sum_assignment(scores, maximize=True), strict=True)
    matches = tuple(
        Match(contract.columns[ours], sketch.columns[theirs], min(1.0, float(scores[ours, theirs])))
        for ours, theirs in pairs
        if scores[ours, theirs] >= _WORTH_NAMING
    )
    required = [column.name for column in contract.columns if column.required]
    of_required = sum(match.sureness for match in matches if match.column.required) / len(required)
    called = likeness(sketch.path.name.split(".")[0], TABLES[contract.name], ours=contract.name)
    explained = len(matches) / len(sketch.columns)
    return TableGuess(contract, sketch, matches, 0.6 * of_required + 0.25 * called + 0.15 * explained)


def _score(contract: Contract, column: Column, look: Look, refers: bool) -> float:
    """Return how sure a column is another's: three parts name, one part what it holds."""
    if look.fits.get(column.kind, 1.0) < _FITS or not look.filled:
        return 0.0
    if column.kind in ("id", "text", "event", "code") and not _may_be_id(look):
        return 0.0
    called = likeness(look.name, COLUMNS[contract.name].get(column.name, {}), ours=column.name)
    if not column.required:
        return called if called >= _SAME_WORD else 0.0
    holds = _holds(contract, column, look, refers)
    is_key = contract.key == (column.name,)
    if is_key and not look.is_unique:
        called /= 2
    return 0.75 * called + 0.25 * holds if called else 0.4 * holds


def _holds(contract: Contract, column: Column, look: Look, refers: bool) -> float:
    """Return how much a column's values are like those of a required column of ours."""
    if contract.key == (column.name,):
        return float(look.is_unique)
    if column.kind == "id":
        return 1.0 if refers else 0.3 * (not look.is_unique)
    if column.kind == "amount":
        return 1.0 if look.has_fractions else 0.4
    if column.kind == "event":
        return sum(event_of(value) is not None for value in look.frequent) / max(len(look.frequent), 1) * look.is_few
    if column.kind == "code":
        ours = is_control if column.name == "incentive_id" else channel_of
        return look.is_few * (1.0 if any(map(ours, look.frequent)) else 0.3)
    return 1.0


def _may_be_id(look: Look) -> bool:
    """Whether a column holds names or numbers of things, neither amounts nor times."""
    return not look.has_fractions and not look.formats
