"""Judge a staged table by its rules: refuse it, or set the rows aside that must not stay, and say so."""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `literal`

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from features.errors import InputError
from features.readers import literal, reason
from features.rules import KEPT, Rule, Staged

FEW_SHARE = 0.01
"""A problem in a larger share of a table's rows is no accident of some rows: the table is refused."""

_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """A problem of some rows that did not stop the load; ``rows`` are the first of them, as they were given.

    Rows that the programme file says are left out are ``declared``: nobody need be warned of them.
    """

    table: str
    column: str | None
    problem: str
    count: int
    rows: list[dict[str, Any]]
    set_aside: bool
    declared: bool = False

    def __str__(self) -> str:
        place = self.table if self.column is None else f"{self.table}.{self.column}"
        rows = f"{self.count} row{'s' if self.count != 1 else ''} {'set aside' if self.set_aside else 'kept'}"
        return f"{place} {self.problem}: {rows}{self.examples}"

    @property
    def examples(self) -> str:
        """The first rows, by number and value."""
        if self.column is None or not self.rows:
            return ""
        shown = (f"row {row['row']}: {row[self.column]!r}" for row in self.rows)
        return f" ({', '.join(shown)})"


def judge(staged: Staged, broken: Sequence[Rule]) -> list[Finding]:
    """Apply rules to the staged rows and return what was found.

    The rows that must not stay are in the table ``aside_<name>`` afterwards, each with its reasons; those already there
    are not looked at.

    Raises
    ------
    InputError
        If a problem refuses the table; all that do are named.
    """
    name = staged.name
    bits = " | ".join(f"if({rule.where}, {1 << bit}, 0)" for bit, rule in enumerate(broken))
    staged.con.execute(f"create temp table if not exists aside_{name} (row bigint, reason varchar)")
    created = staged.con.execute(
        f"""create or replace temp table broken_{name} as
        from (select row, cast({bits} as bigint) as bits from staged_{name} as s anti join aside_{name} using (row))
        where bits <> 0"""
    ).fetchone()
    if created == (0,):
        return []
    found = staged.con.execute(
        f"""select bit, count(*), list(row order by row)[:{_EXAMPLES}]
        from broken_{name}, range({len(broken)}) as r(bit)
        where (bits >> bit) & 1 = 1 group by bit order by bit"""
    ).fetchall()
    _set_aside(staged, broken)
    originals = _originals(staged, {row for _, _, rows in found for row in rows})
    findings, refusals = [], []
    for bit, count, rows in found:
        rule = broken[bit]
        first = [originals[row] for row in rows]
        fate = {"set_aside": rule.fate not in KEPT, "declared": rule.fate == "declared"}
        finding = Finding(name, rule.column, rule.problem, count, first, **fate)
        findings.append(finding)
        if rule.fate == "refuse" or (rule.fate in ("few", "few_kept") and count > FEW_SHARE * staged.total):
            problem = f"{name}.{rule.column} {rule.problem}"
            refusals.append(f"{problem}: {count} of {staged.total} rows{finding.examples}")
    if refusals:
        raise InputError("\n  ".join(refusals))
    return findings


def left(staged: Staged) -> int:
    """Count the rows that are not set aside."""
    rows = staged.con.execute(f"select count(*) from aside_{staged.name}").fetchall()
    return staged.total - int(rows[0][0])


def _set_aside(staged: Staged, broken: Sequence[Rule]) -> None:
    reasons = ", ".join(
        f"if((bits >> {bit}) & 1 = 1, {literal(f'{rule.column} {rule.problem}')}, null)"
        for bit, rule in enumerate(broken)
        if rule.fate not in KEPT
    )
    staged.con.execute(
        f"""insert into aside_{staged.name}
        from (select row, concat_ws('; ', {reasons}) as reason from broken_{staged.name}) where reason <> ''"""
    )


def _originals(staged: Staged, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Fetch rows as they were given, by number."""
    if not (numbers := list(rows)):
        return {}
    fetched = staged.con.execute(f"from {staged.originals(f'select unnest({numbers}) as row')}")
    names = [column[0] for column in fetched.description]
    return {values[0]: dict(zip(names, values, strict=True)) for values in fetched.fetchall()}


def write_aside(staged: Staged, folder: Path) -> None:
    """Write the rows set aside as they were given, with row number and reason; without any, remove an earlier file.

    The file appears whole or not at all.
    """
    file = folder / f"{staged.name}.csv"
    if staged.con.execute(f"from aside_{staged.name} limit 1").fetchone() is None:
        file.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    originals = staged.originals(f"from aside_{staged.name}")
    try:
        staged.con.execute(
            f"""copy (
                select row, reason, * exclude (row, reason)
                from aside_{staged.name} join {originals} using (row) order by row
            ) to {literal(str(partial))} (format csv, header)"""
        )
    except duckdb.IOException as error:
        raise InputError(f"cannot write the rows set aside: {reason(error)}") from error
    partial.replace(file)
