"""The operations that features are made of, on columns of canonical values; :mod:`features.arrays` puts them in order.

Values are as a database has them: what is computed from a missing value is missing, amounts are decimal, and division
is in doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import ibis.expr.operations as ops
import numpy as np

from features.columns import ALWAYS, NEVER, UNITS, Column, Groups, Mask, Match, Rows, looked_up

_THURSDAY: Final = 3
"""Weekday of the first day of time, Monday being 0."""

# Steps over relations


def rows_where(*conditions: Column) -> Rows:
    kept = conditions[0].holds()
    for condition in conditions[1:]:
        kept = kept & condition.holds()
    return np.flatnonzero(kept)


def of_first(key: Column, groups: Groups) -> Column:
    return key.take(groups.first)


def either(ours: Column, theirs: Column) -> Column:
    return Column(np.union1d(ours.data, theirs.data))


def single(column: Column) -> Column:
    return Column(column.data.reshape(()))


# Groups


@cache
def counted(conditions: int) -> Callable[..., Mask]:
    """Return what tells which rows count: those where the conditions hold and everything else is there."""

    def rows(groups: Groups, *given: Column) -> Mask:
        masks = [condition.holds() for condition in given[:conditions]]
        masks += [told.there for told in given[conditions:] if told.there is not ALWAYS]
        counted = masks[0] if masks else ALWAYS
        for mask in masks[1:]:
            counted = counted & mask
        return counted if counted.ndim else np.broadcast_to(counted, groups.of_row.shape)

    return rows


REDUCTIONS: Final[Mapping[type, Callable[..., Column]]] = {
    ops.CountStar: lambda groups, rows: groups.counts(rows),
    ops.Count: lambda groups, rows, _: groups.counts(rows),
    ops.Sum: lambda groups, rows, added: groups.total(added, rows),
    ops.Min: lambda groups, rows, told: groups.extreme(told, rows),
    ops.Max: lambda groups, rows, told: groups.extreme(told, rows, last=True),
    ops.ArgMin: lambda groups, rows, told, by: groups.least(told, by, rows),
    ops.ArgMax: lambda groups, rows, told, by: groups.least(told, by, rows, last=True),
    ops.Median: lambda groups, rows, told: groups.median(told, rows),
}


def in_order(groups: Groups, *keys: Column) -> Rows:
    return np.lexsort((*(key.data for key in reversed(keys)), groups.of_row))


def _before(groups: Groups, rows: Rows, column: Column, _: Column | None = None) -> Column:
    before = np.full(len(rows), -1)
    same = groups.of_row[rows[1:]] == groups.of_row[rows[:-1]]
    before[rows[1:][same]] = rows[:-1][same]
    return looked_up(column, Match.of(before))


def _least_from_here(groups: Groups, rows: Rows, column: Column) -> Column:
    values, there = column.data.copy(), np.zeros(len(rows), dtype=bool)
    least: dict[int, Any] = {}
    for row in rows[::-1]:
        group = groups.of_row[row]
        if column.there[row]:
            least[group] = min(least.get(group, column.data[row]), column.data[row])
        if group in least:
            values[row], there[row] = least[group], True
    return Column(values, there)


WINDOWS: Final[Mapping[type, Callable[..., Column]]] = {
    ops.Lag: _before,
    ops.Min: _least_from_here,
}


# Values


def _with_missing(function: Callable[..., Any]) -> Callable[..., Column]:
    """Let a function of values tell nothing where a value is missing."""

    def of_columns(first: Column, *others: Column) -> Column:
        there = first.there
        for column in others:
            there = there & column.there
        return Column(np.asarray(function(first.data, *[column.data for column in others])), there)

    return of_columns


def _both(ours: Column, theirs: Column) -> Column:
    if ours.there is ALWAYS and theirs.there is ALWAYS:
        return Column(ours.data & theirs.data)
    no = (ours.there & ~ours.data) | (theirs.there & ~theirs.data)
    return Column(ours.data & theirs.data & ~no, (ours.there & theirs.there) | no)


def _any(ours: Column, theirs: Column) -> Column:
    if ours.there is ALWAYS and theirs.there is ALWAYS:
        return Column(ours.data | theirs.data)
    yes = ours.holds() | theirs.holds()
    return Column(yes, (ours.there & theirs.there) | yes)


def _first_there(ours: Column, theirs: Column) -> Column:
    if ours.there is ALWAYS or ours.there.all():
        return Column(ours.data)
    there = ALWAYS if theirs.there is ALWAYS else ours.there | theirs.there
    return Column(np.where(ours.there, ours.data, theirs.data), there)


def _chosen(condition: Column, then: Column, otherwise: Column) -> Column:
    """Choose; what is missing for certain has no type."""
    holds = condition.holds()
    if then.there is NEVER:
        return Column(otherwise.data, otherwise.there & ~holds)
    if otherwise.there is NEVER:
        return Column(then.data, then.there & holds)
    both = then.there is ALWAYS and otherwise.there is ALWAYS
    there = ALWAYS if both else np.where(holds, then.there, otherwise.there)
    return Column(np.where(holds, then.data, otherwise.data), there)


def _is_there(column: Column) -> Column:
    return Column(np.broadcast_to(column.there, column.data.shape))


def _is_missing(column: Column) -> Column:
    return Column(~np.broadcast_to(column.there, column.data.shape))


def _not_equal(column: Column, unwanted: Column) -> Column:
    return Column(column.data, column.there & ~((column.data == unwanted.data) & unwanted.there))


def number(column: Column) -> Column:
    return Column(column.data / UNITS, column.there)


def in_units(column: Column) -> Column:
    return Column(column.data * UNITS, column.there)


AS_THEY_ARE: Final = (ops.Multiply, ops.Cast)
"""An amount times a whole number is an amount."""
IN_DOUBLES: Final = (ops.Divide,)

FUNCTIONS: Final[Mapping[type, Callable[..., Column]]] = {
    ops.Add: _with_missing(np.add),
    ops.Subtract: _with_missing(np.subtract),
    ops.Multiply: _with_missing(np.multiply),
    ops.Divide: _with_missing(np.true_divide),
    ops.Negate: _with_missing(np.negative),
    ops.Abs: _with_missing(np.abs),
    ops.Sqrt: _with_missing(np.sqrt),
    ops.Ceil: _with_missing(lambda values: np.ceil(values).astype(np.int64)),
    ops.Floor: _with_missing(lambda values: np.floor(values).astype(np.int64)),
    ops.Clip: _with_missing(np.maximum),
    ops.Greatest: _with_missing(np.maximum),
    ops.Equals: _with_missing(np.equal),
    ops.NotEquals: _with_missing(np.not_equal),
    ops.Less: _with_missing(np.less),
    ops.LessEqual: _with_missing(np.less_equal),
    ops.Greater: _with_missing(np.greater),
    ops.GreaterEqual: _with_missing(np.greater_equal),
    ops.Not: _with_missing(np.logical_not),
    ops.And: _both,
    ops.Or: _any,
    ops.IsNull: _is_missing,
    ops.NotNull: _is_there,
    ops.NullIf: _not_equal,
    ops.Coalesce: _first_there,
    ops.IfElse: _chosen,
    ops.ExtractEpochSeconds: _with_missing(lambda times: times.astype(np.int64) / 1e6),
    ops.DateDelta: _with_missing(lambda _, until, since: (until - since).astype(np.int64)),
    ops.DayOfWeekIndex: _with_missing(lambda days: (days.astype(np.int64) + _THURSDAY) % 7),
}
CASTS: Final[Mapping[tuple[str, str], Callable[..., Column]]] = {
    ("amount", "float64"): number,
    ("whole", "float64"): _with_missing(lambda values: values.astype(np.float64)),
    ("float64", "float64"): _with_missing(lambda values: values),
    ("boolean", "whole"): _with_missing(lambda values: values.astype(np.int64)),
    ("boolean", "float64"): _with_missing(lambda values: values.astype(np.float64)),
}
