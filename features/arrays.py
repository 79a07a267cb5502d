"""The features of few members, on NumPy arrays: the same Ibis expressions as any database runs, walked once.

A database plans a statement each time it reads a table, which takes far longer than computing the features of a few
members. Here the plan is made once, as a list of steps, and is run on columns of canonical values. It knows the
operations that features are made of; a feature with another one is refused as the plan is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np

from features.columns import NEVER, SCALE, Column, Groups, looked_up, matched
from features.operations import (
    AS_THEY_ARE,
    CASTS,
    FUNCTIONS,
    IN_DOUBLES,
    REDUCTIONS,
    WINDOWS,
    counted,
    either,
    in_order,
    in_units,
    number,
    of_first,
    rows_where,
    single,
)

Source = tuple[str, str]
"""A table's name and a column's."""
Slot = int
Step = tuple[Slot, Callable[..., Any], tuple[Slot, ...]]


@dataclass(frozen=True)
class Program:
    """A plan as steps, each from the results of steps before it."""

    inputs: Mapping[Source, Slot]
    constants: Mapping[Slot, Column]
    steps: tuple[Step, ...]
    outputs: Mapping[str, Slot]

    def run(self, tables: Mapping[str, Mapping[str, Column]]) -> dict[str, Column]:
        """Run the plan on tables of columns."""
        results: list[Any] = [None] * (len(self.inputs) + len(self.constants) + len(self.steps))
        for slot, constant in self.constants.items():
            results[slot] = constant
        for (table, name), slot in self.inputs.items():
            results[slot] = tables[table][name]
        with np.errstate(divide="ignore", invalid="ignore"):  # what is missing is divided, too
            for result, function, arguments in self.steps:
                results[result] = function(*[results[slot] for slot in arguments])
        return {name: results[slot] for name, slot in self.outputs.items()}


def compiled(plan: ir.Table) -> Program:
    """Turn a plan over tables given later into a program.

    Raises
    ------
    NotImplementedError
        Naming an operation that is not known here.
    """
    compiler, root = _Compiler(), plan.op()
    outputs = {name: compiler.column(root, name) for name in root.schema}
    return Program(compiler.inputs, compiler.constants, tuple(compiler.steps), outputs)


class _Compiler:
    """Writes the steps of a plan; what occurs twice is one step."""

    def __init__(self) -> None:
        self.inputs: dict[Source, Slot] = {}
        self.constants: dict[Slot, Column] = {}
        self.steps: list[Step] = []
        self._known: dict[Any, Slot] = {}

    def column(self, relation: ops.Relation, name: str) -> Slot:
        """Return where a relation's column comes to be."""
        return self._once((relation, name), lambda: self._column(relation, name))

    def value(self, node: ops.Value) -> Slot:
        """Return where a row's value comes to be."""
        return self._once(node, lambda: self._value(node))

    def _once(self, key: Any, make: Callable[[], Slot]) -> Slot:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _step(self, function: Callable[..., Any], *arguments: Slot) -> Slot:
        def added() -> Slot:
            self.steps.append((self._slot(), function, arguments))
            return self.steps[-1][0]

        return self._once((function, arguments), added)

    def _slot(self) -> Slot:
        return len(self.inputs) + len(self.constants) + len(self.steps)

    # Relations

    @singledispatchmethod
    def _column(self, relation: ops.Relation, name: str) -> Slot:
        raise NotImplementedError(f"{type(relation).__name__} of {name}")

    @_column.register
    def _(self, relation: ops.UnboundTable, name: str) -> Slot:
        return self.inputs.setdefault((relation.name, name), self._slot())

    @_column.register
    def _(self, relation: ops.Project, name: str) -> Slot:
        return self.value(relation.values[name])

    @_column.register
    def _(self, relation: ops.Filter, name: str) -> Slot:
        def kept() -> Slot:
            conditions = [self.value(predicate) for predicate in relation.predicates]
            return self._step(rows_where, *conditions)

        return self._step(Column.take, self.column(relation.parent, name), self._once((relation, "rows"), kept))

    @_column.register
    def _(self, relation: ops.Aggregate, name: str) -> Slot:
        if name not in relation.groups:
            return self._aggregate(relation.metrics[name], self._groups(relation))
        return self._step(of_first, self.value(relation.groups[name]), self._groups(relation))

    @_column.register
    def _(self, relation: ops.JoinReference, name: str) -> Slot:
        return self.column(relation.parent, name)

    @_column.register
    def _(self, relation: ops.JoinChain, name: str) -> Slot:
        return self._of_chain(relation.values[name], relation)

    def _of_chain(self, node: ops.Value, chain: ops.JoinChain) -> Slot:
        """Return where a joined row's value comes to be."""
        if isinstance(node, ops.Literal):
            return self.value(node)
        if not isinstance(node, ops.Field):
            return self._apply(node, [self._of_chain(argument, chain) for argument in _values(node)])
        column = self.column(node.rel, node.name)
        if node.rel == chain.first and chain.rest[0].how == "left":
            return column
        return self._step(looked_up, column, self._once((chain, node.rel), lambda: self._joined(chain, node.rel)))

    def _groups(self, relation: ops.Aggregate) -> Slot:
        def grouped() -> Slot:
            return self._step(Groups.by, *map(self.value, relation.groups.values()))

        return self._once((relation, "groups"), grouped)

    def _joined(self, chain: ops.JoinChain, reference: ops.JoinReference) -> Slot:
        """Return the rows of a joined relation, one per row of the chain."""
        link = next((link for link in chain.rest if link.table == reference), chain.rest[0])
        ours, theirs = map(self.value, _values(link.predicates[0]))
        if [link.how for link in chain.rest] == ["outer"]:
            both = self._once((chain, "both"), lambda: self._step(either, ours, theirs))
            return self._step(matched, both, ours if reference == chain.first else theirs)
        if link.how != "left":
            raise NotImplementedError(f"a {link.how} join beside others")
        return self._step(matched, ours, theirs)

    # Values

    def _aggregate(self, node: ops.Value, groups: Slot) -> Slot:
        """Return where a group's value comes to be."""
        if isinstance(node, ops.Reduction):
            return self._once((node, groups), lambda: self._reduce(node, groups))
        if isinstance(node, ops.Literal):
            return self.value(node)
        return self._apply(node, [self._aggregate(argument, groups) for argument in _values(node)])

    def _reduce(self, node: ops.Reduction, groups: Slot) -> Slot:
        reduce = REDUCTIONS.get(type(node))
        if reduce is None:
            raise NotImplementedError(type(node).__name__)
        told = [argument for argument in _values(node) if argument is not node.where]
        conditions = [] if node.where is None else [self.value(node.where)]
        rows = self._step(counted(len(conditions)), groups, *conditions, *map(self.value, told))
        return self._step(reduce, groups, rows, *map(self.value, told))

    @singledispatchmethod
    def _value(self, node: ops.Value) -> Slot:
        return self._apply(node, [self.value(argument) for argument in _values(node)])

    @_value.register
    def _(self, node: ops.Field) -> Slot:
        return self.column(node.rel, node.name)

    @_value.register
    def _(self, node: ops.ScalarSubquery) -> Slot:
        (name,) = node.rel.schema
        return self._step(single, self.column(node.rel, name))

    @_value.register
    def _(self, node: ops.Literal) -> Slot:
        slot = self._slot()
        self.constants[slot] = _literal(node)
        return slot

    @_value.register
    def _(self, node: ops.WindowFunction) -> Slot:
        window = WINDOWS.get(type(node.func))
        if window is None or (isinstance(node.func, ops.Min) and node.end is not None):
            raise NotImplementedError(f"{type(node.func).__name__} over a window")
        by = [self.value(key) for key in node.group_by]
        order = [self.value(key.arg) for key in node.order_by]
        groups = self._once((tuple(node.group_by), "window"), lambda: self._step(Groups.by, *by))
        rows = self._once((groups, tuple(order)), lambda: self._step(in_order, groups, *order))
        return self._step(window, groups, rows, self.value(node.func.arg))

    @_value.register
    def _(self, node: ops.InValues) -> Slot:
        options = np.array([option.value for option in node.options])
        return self._step(lambda one: Column(np.isin(one.data, options), one.there), self.value(node.value))

    @_value.register
    def _(self, node: ops.SimpleCase) -> Slot:
        cases = {case.value: _literal(result).data for case, result in zip(node.cases, node.results, strict=True)}
        default = _literal(node.default).data

        def chosen(base: Column) -> Column:
            values = np.full(base.data.shape, default)
            for case, result in cases.items():
                values[(base.data == case) & base.there] = result
            return Column(values)

        return self._step(chosen, self.value(node.base))

    def _apply(self, node: ops.Value, arguments: list[Slot]) -> Slot:
        function = CASTS.get((_kind(node.arg.dtype), _kind(node.to))) if isinstance(node, ops.Cast) else None
        function = function or FUNCTIONS.get(type(node))
        if function is None:
            raise NotImplementedError(f"{type(node).__name__} as {node.dtype}")
        given = [argument.dtype for argument in _values(node)]
        if type(node) in IN_DOUBLES:
            change, wrong = number, [kind.is_decimal() for kind in given]
        else:
            of_amounts = type(node) not in AS_THEY_ARE and any(kind.is_decimal() for kind in given)
            change, wrong = in_units, [of_amounts and kind.is_integer() for kind in given]
        brought = [
            self._step(change, argument) if other else argument
            for argument, other in zip(arguments, wrong, strict=True)
        ]
        return self._step(function, *brought)


def _values(node: ops.Value) -> list[ops.Value]:
    """Return the values a value is made of."""
    flat = (one for argument in node.args for one in (argument if isinstance(argument, tuple) else (argument,)))
    return [argument for argument in flat if isinstance(argument, ops.Value)]


def _kind(dtype: dt.DataType) -> str:
    return "amount" if dtype.is_decimal() else "whole" if dtype.is_integer() else str(dtype)


def _literal(node: ops.Literal) -> Column:
    if node.value is None:
        return Column(np.zeros(()), NEVER)
    if node.dtype.is_decimal():
        return Column(np.array(int(node.value.scaleb(SCALE))))
    return Column(np.array(node.value))
