"""Which file is which table, and which column which: by what they are called and by what they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import duckdb
import numpy as np
from scipy.optimize import linear_sum_assignment

from features.checks import FEW_SHARE
from features.column_match import may_be_id, score
from features.errors import InputError
from features.reshaping import factors_of
from features.schemas import CONTRACTS, Column, Contract
from features.settings_data import MAY_BE_ANONYMOUS
from features.sketch import Look, Sketch, share_found
from features.within import by_piece, consents, has_products, multiplied
from features.words import COLUMNS, TABLES, HeaderLanguage, languages, likeness

SURE, LIKELY = 0.8, 0.55
_JOINS = 0.8
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
    consents: Mapping[str, str] = field(default_factory=dict)
    """Per channel, their column of consents, where a member's row has them all."""

    @property
    def name(self) -> str:
        """The name of our table."""
        return self.contract.name

    @property
    def missing(self) -> tuple[Column, ...]:
        """Required columns nothing was found for."""
        found = {match.column.name for match in self.matches}
        if self.consents:
            found |= {"channel", "consent"}
        return tuple(column for column in self.contract.columns if column.required and column.name not in found)

    @property
    def unused(self) -> tuple[str, ...]:
        """Their columns that are none of ours."""
        used = {name for match in self.matches for name in (match.look.name, *factors_of(match.look.name))}
        used |= set(self.consents.values())
        return tuple(look.name for look in self.sketch.columns if look.name not in used)

    def look(self, column: str) -> Look | None:
        """Return their column that is taken for ours."""
        return next((match.look for match in self.matches if match.column.name == column), None)

    @property
    def formats(self) -> tuple[str | None, ...]:
        """Ways of writing times that fit the table's own time, or the first of its other times."""
        times = [match for match in self.matches if match.column.kind == "instant"]
        times.sort(key=lambda match: match.column.name != self.contract.time)
        return times[0].look.times if times else (None,)

    @property
    def is_partly_anonymous(self) -> bool:
        """Whether it has more rows without a member than a mistake would explain, and may have them."""
        member = self.look("member_id")
        return self.name in MAY_BE_ANONYMOUS and member is not None and member.filled < 1 - FEW_SHARE

    @property
    def has_returns_by_sign(self) -> bool:
        """Whether they are orders with negative amounts, and nothing else tells returns."""
        amount, said = self.look("net_amount"), self.look("is_return") or self.look("return_of")
        return self.name == "orders" and said is None and amount is not None and amount.has_negatives

    @property
    def is_by_product(self) -> bool:
        """Whether they are orders with a row per product."""
        key = self.look("order_id")
        return self.name == "orders" and key is not None and not key.is_unique


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
            if may_be_id(look) and self._refers(number, look)
        )

    def _refers(self, number: int, look: Look) -> bool:
        return any(
            share_found(self._con, self._sketches[number].raw, look.name, parent.raw, key.name) >= _JOINS
            for other, parent in enumerate(self._sketches)
            if other != number
            for key in parent.columns
            if key.is_unique and may_be_id(key)
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
    found = _with_tables_within(found, guesses)
    _refuse_unknown(sketches, found)
    _refuse_absent(found, columns or {})
    return sorted(found, key=lambda guess: list(CONTRACTS).index(guess.name))


def spoken(sketches: Sequence[Sketch]) -> HeaderLanguage:
    """Return the language most columns are named in, of two the foreign one; English when nothing tells."""
    names = [look.name for sketch in sketches for look in sketch.columns]
    counts = languages(names, [words for table in COLUMNS.values() for words in table.values()])
    return max(counts, key=lambda language: counts[language]) if any(counts.values()) else "en"


def _said(sketches: Sequence[Sketch], tables: Mapping[str, str]) -> dict[int, str]:
    """Return the table of each file that was named, by the file's position."""
    said = {}
    for table, file in tables.items():
        number = next((n for n, sketch in enumerate(sketches) if file in (sketch.path.name, str(sketch.path))), None)
        if table not in CONTRACTS or number is None:
            raise InputError(f"--table {table}={file}: name one of {', '.join(CONTRACTS)}, and a file that is given")
        said[number] = table
    return said


def _with_tables_within(found: Sequence[TableGuess], guesses: Sequence[Sequence[TableGuess]]) -> list[TableGuess]:
    """Take lines with member, time and amount for orders by product; add their products, and members' consents."""
    of_file = {row[0].sketch.path: {guess.name: guess for guess in row} for row in guesses}
    tables = {guess.name: guess for guess in found}
    if "orders" not in tables and "order_lines" in tables:
        orders = of_file[tables["order_lines"].sketch.path]["orders"]
        if not orders.missing:
            tables["orders"] = orders
    if "order_lines" not in tables and "orders" in tables and tables["orders"].is_by_product:
        tables["order_lines"] = of_file[tables["orders"].sketch.path]["order_lines"]
    if "contacts" not in tables and "members" in tables:
        members = tables["members"]
        if told := consents([look for look in members.sketch.columns if look.name in members.unused]):
            keys = tuple(match for match in members.matches if match.column.name == "member_id")
            tables["contacts"] = TableGuess(CONTRACTS["contacts"], members.sketch, keys, members.sureness, told)
    return list(tables.values())


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
            if theirs is not None and theirs not in there and not set(factors_of(theirs)) <= set(there):
                raise InputError(f"{guess.sketch.path} has no column {theirs!r}; it has {', '.join(there)}")


def _guess(contract: Contract, number: int, sketch: Sketch, joins: Joins, known: Mapping[str, str]) -> TableGuess:
    by_product = contract.name == "orders" and has_products(sketch)
    keys = {f"{contract.name}.{column.name}": column.name for column in contract.columns}
    said = {keys[key]: theirs for key, theirs in known.items() if key in keys}
    looks = [*sketch.columns, *_products(sketch, said.values())]
    scores = np.array(
        [
            [
                score(contract, column, look, refers=(number, look.name) in joins.found, may_repeat=by_product)
                for look in looks
            ]
            for column in contract.columns
        ]
    )
    for position, column in enumerate(contract.columns):
        if column.name in said:
            scores[position] = [_SAID * (look.name == said[column.name]) for look in looks]
    pairs = zip(*linear_sum_assignment(scores, maximize=True), strict=True)
    matches = tuple(
        _match(contract.columns[ours], looks[theirs], float(scores[ours, theirs]), sketch)
        for ours, theirs in pairs
        if scores[ours, theirs] >= _WORTH_NAMING
    )
    required = [column.name for column in contract.columns if column.required]
    of_required = sum(match.sureness for match in matches if match.column.required) / len(required)
    called = likeness(sketch.path.name.split(".")[0], TABLES[contract.name], ours=contract.name)
    explained = len(matches) / len(sketch.columns)
    return TableGuess(contract, sketch, matches, 0.6 * of_required + 0.25 * called + 0.15 * explained)


def _products(sketch: Sketch, said: Collection[str]) -> Iterator[Look]:
    """Yield the products of two columns that somebody says are one of ours."""
    looks = {look.name: look for look in sketch.columns}
    for theirs in said:
        factors = factors_of(theirs)
        if theirs not in looks and len(factors) == 2 and set(factors) <= set(looks):
            yield multiplied(looks[factors[0]], looks[factors[1]])


def _match(column: Column, look: Look, sureness: float, sketch: Sketch) -> Match:
    if column.name == "net_amount" and sureness < _SAID:
        look = by_piece(look, sketch)
    return Match(column, look, min(1.0, sureness))
