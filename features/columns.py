"""Columns of canonical values as NumPy arrays, and groups of their rows: what :mod:`features.arrays` computes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

SCALE: Final = 4
"""Decimals of an amount; arrays hold amounts as whole multiples of its smallest unit, so that sums are exact."""
UNITS: Final = 10**SCALE


ALWAYS: Final[Any] = np.True_
NEVER: Final[Any] = np.False_
"""Where values are there: in all rows, in none."""


class Column(NamedTuple):
    """Values, and which of them are there; one value without a dimension stands for all rows."""

    data: NDArray[Any]
    there: Mask = ALWAYS

    @classmethod
    def where(cls, data: NDArray[Any], there: Mask) -> Column:
        """Return values of which some may be missing: where none is, what is computed from them need not ask again."""
        return cls(data, ALWAYS if there.all() else there)

    def take(self, rows: Rows) -> Column:
        """Return the values of these rows."""
        if self.data.ndim == 0:
            return self
        return Column(self.data[rows], self.there[rows] if self.there.ndim else self.there)

    def alike(self) -> bool:
        """Tell whether all rows have the same value, and have it."""
        return bool(self.there.all() and (self.data == self.data.flat[:1]).all())

    def holds(self) -> Mask:
        """Tell where a condition is true; what is missing is not."""
        return self.data if self.there is ALWAYS else np.asarray(self.data & self.there)


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that belong together: the number of each row's group, how many there are, and the first row of each."""

    of_row: Rows
    count: int
    first: Rows

    @classmethod
    def by(cls, *keys: Column) -> Groups:
        """Put rows with the same keys together, in the order of the keys; what is missing is alike."""
        codes = np.zeros(keys[0].data.shape, dtype=np.intp)
        first: Rows = codes[:1]
        grouped = False
        for key in keys:
            if key.alike():
                continue
            _, first_own, own = np.unique(key.data, return_index=True, return_inverse=True)
            if grouped or key.there is not ALWAYS:
                own = np.where(key.there, own + 1, 0)
                both = codes * (own.max(initial=0) + 1) + own
                _, first, codes = np.unique(both, return_index=True, return_inverse=True)
            else:
                first, codes = first_own, own
            grouped = True
        return cls(codes, len(first), first)

    def counts(self, counted: Mask) -> Column:
        """Count rows."""
        return Column(np.bincount(self.of_row[counted], minlength=self.count))

    def total(self, added: Column, where: Mask) -> Column:
        """Add whole numbers up; of none there is no total."""
        of_row, values = self.of_row[where], added.data[where]
        sums = np.bincount(of_row, values, self.count)  # in doubles, which the amounts let in cannot exhaust
        return Column.where(sums.astype(np.int64), np.bincount(of_row, minlength=self.count) > 0)

    def extreme(self, told: Column, where: Mask, *, last: bool = False) -> Column:
        """Return each group's least value, or its largest."""
        if told.data.dtype.kind == "U":  # of which NumPy knows no lesser
            return self.least(told, told, where, last=last)
        of_row, data = self.of_row[where], told.data[where]
        values, there = np.zeros(self.count, told.data.dtype), np.zeros(self.count, dtype=bool)
        values[of_row], there[of_row] = data, True  # to begin with, any of the group's
        (np.maximum if last else np.minimum).at(values, of_row, data)
        return Column.where(values, there)

    def least(self, told: Column, by: Column, where: Mask, *, last: bool = False) -> Column:
        """Return of each group what the row with the least value tells, or that with the largest."""
        rows = np.flatnonzero(where)
        rows = rows[np.lexsort((by.data[rows], self.of_row[rows]))]
        ends = np.flatnonzero(np.diff(self.of_row[rows], append=-1) if last else np.diff(self.of_row[rows], prepend=-1))
        values, there = np.zeros(self.count, told.data.dtype), np.zeros(self.count, dtype=bool)
        chosen = rows[ends]
        values[self.of_row[chosen]] = told.data[chosen]
        there[self.of_row[chosen]] = True
        return Column.where(values, there)

    def median(self, of: Column, where: Mask) -> Column:
        """Return the middle value of each group, or the mean of the two in the middle."""
        rows = np.flatnonzero(where)
        rows = rows[np.lexsort((of.data[rows], self.of_row[rows]))]
        sizes = np.bincount(self.of_row[rows], minlength=self.count)
        there = sizes > 0
        starts = np.cumsum(sizes) - sizes
        low, high = (starts + (sizes - 1) // 2)[there], (starts + sizes // 2)[there]
        values = np.zeros(self.count)
        values[there] = (of.data[rows[low]] + of.data[rows[high]]) / 2
        return Column.where(values, there)


class Match(NamedTuple):
    """A row of another table for each row, and where there is one."""

    rows: Rows
    there: Mask

    @classmethod
    def of(cls, rows: Rows) -> Match:
        """Return a match by rows' numbers, of which -1 is none."""
        there = rows >= 0
        return cls(rows, ALWAYS if there.all() else there)


def matched(keys: Column, known: Column) -> Match:
    """Find each key among known ones, which are sorted and distinct."""
    if not len(known.data):
        return Match(np.zeros(len(keys.data), dtype=np.intp), np.zeros(len(keys.data), dtype=bool))
    places = np.minimum(np.searchsorted(known.data, keys.data), len(known.data) - 1)
    there = (known.data[places] == keys.data) & keys.there
    return Match(places, ALWAYS if there.all() else there)


def looked_up(column: Column, match: Match) -> Column:
    """Return the values of the rows that match, missing where none does."""
    if not len(column.data):
        return Column(np.zeros(len(match.rows), column.data.dtype), match.there)
    found = column.take(match.rows)
    return Column(found.data, found.there & match.there)
