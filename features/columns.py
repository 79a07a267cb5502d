"""Columns of canonical values as NumPy arrays, and groups of their rows: what :mod:`features.arrays` computes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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


@dataclass(frozen=True, slots=True)
class Column:
    """Values, and which of them are there; one value without a dimension stands for all rows."""

    data: NDArray[Any]
    there: Mask = ALWAYS

    def take(self, rows: Rows) -> Column:
        """Return the values of these rows."""
        if self.data.ndim == 0:
            return self
        return Column(self.data[rows], self.there[rows] if self.there.ndim else self.there)

    def alike(self) -> bool:
        """Tell whether all rows have the same value, and have it."""
        return bool(np.all(self.there) and np.all(self.data == self.data.flat[:1]))

    def holds(self) -> Mask:
        """Tell where a condition is true; what is missing is not."""
        return np.asarray(self.data & self.there)


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
        for key in keys:
            if key.alike():
                continue
            _, own = np.unique(key.data, return_inverse=True)
            own = np.where(key.there, own + 1, 0)
            _, first, codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_index=True, return_inverse=True)
        return cls(codes, len(first), first)

    def counts(self, counted: Mask) -> Column:
        """Count rows."""
        return Column(np.bincount(self.of_row[counted], minlength=self.count))

    def total(self, added: Column, where: Mask) -> Column:
        """Add whole numbers up; of none there is no total."""
        of_row, values = self.of_row[where], added.data[where]
        sums = np.bincount(of_row, values, self.count)  # in doubles, which the amounts let in cannot exhaust
        return Column(sums.astype(np.int64), np.bincount(of_row, minlength=self.count) > 0)

    def least(self, told: Column, by: Column, where: Mask, *, last: bool = False) -> Column:
        """Return of each group what the row with the least value tells, or that with the largest."""
        rows = np.flatnonzero(where)
        rows = rows[np.lexsort((by.data[rows], self.of_row[rows]))]
        ends = np.flatnonzero(np.diff(self.of_row[rows], append=-1) if last else np.diff(self.of_row[rows], prepend=-1))
        values, there = np.zeros(self.count, told.data.dtype), np.zeros(self.count, dtype=bool)
        chosen = rows[ends]
        values[self.of_row[chosen]] = told.data[chosen]
        there[self.of_row[chosen]] = True
        return Column(values, there)

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
        return Column(values, there)


def matched(keys: Column, known: Column) -> Rows:
    """Return the row of each key among known ones, which are sorted and distinct; -1 where it is not."""
    if not len(known.data):
        return np.full(len(keys.data), -1)
    places = np.minimum(np.searchsorted(known.data, keys.data), len(known.data) - 1)
    return np.where((known.data[places] == keys.data) & keys.there, places, -1)


def looked_up(column: Column, rows: Rows) -> Column:
    """Return the values of these rows, missing where the row is -1."""
    there = rows >= 0
    if not len(column.data):
        return Column(np.zeros(len(rows), column.data.dtype), there)
    found = column.take(rows)
    return Column(found.data, found.there & there)
