"""What rows must satisfy, as SQL predicates over the staged rows of their table.

Staged rows are canonical values, the ``row`` number in the source, the ``given_id`` that identities may have mapped to
another member, and two bit sets with one bit per column: ``unreadable`` (there is a value, but it does not fit the
column) and ``aware`` (the time has a UTC offset). Where orders name the orders they return, ``returned`` has the
earlier orders of the member that each return names.
"""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `literal`

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Literal

import duckdb
import numpy as np

from features.casting import Given
from features.programme import Programme
from features.readers import Raw, literal
from features.schemas import EVENTS, Column, Contract, Kind
from features.settings_data import MAY_BE_ANONYMOUS

_SHOWN_VALUES = 5
_HASHES_AT_ONCE = 20_000_000
_UNFIT: Mapping[Kind, str] = {
    "amount": "is not a finite number of at most 14 digits before the point "
    "(see `decimal`, `thousands`, `currency_sign`)",
    "number": "is not a finite number",
    "whole": "is not a whole number",
    "instant": "is not a date or time (write 2026-01-31 18:30:00, or give `datetime_format`)",
    "flag": "is neither true nor false",
}

Fate = Literal["refuse", "few", "few_kept", "aside", "declared", "keep"]
"""What becomes of rows that break a rule: refuse the table; set them aside when they are few, else refuse; keep them
when they are few, else refuse; always set them aside; set them aside, as the programme file says; keep them, but say
so."""

KEPT: Collection[Fate] = ("keep", "few_kept")


@dataclass(frozen=True)
class Rule:
    """A predicate, true for rows that have a problem."""

    column: str
    problem: str
    where: str
    fate: Fate


NO_ORDER = Rule(
    "order_id", "is no order", "order_id is not null and order_id not in (select order_id from orders)", "aside"
)
"""Of order lines, once those with an order are found: of all rules the dearest, so it is asked only of what is left."""


@dataclass(frozen=True)
class Part:
    """What a table was read from, its given columns, and how many rows it has."""

    raw: Raw
    given: Mapping[str, Given]
    rows: int


@dataclass(frozen=True)
class Staged:
    """A table on its way: read and cast into ``staged_<name>``, not yet checked.

    ``given`` has the given columns of all parts.
    """

    con: duckdb.DuckDBPyConnection
    contract: Contract
    given: Mapping[str, Given]
    parts: tuple[Part, ...]

    @property
    def total(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def name(self) -> str:
        return self.contract.name

    def originals(self, rows: str) -> str:
        """Return SQL for rows as given, as text, under our column names; a query tells which, by ``row``."""
        selects, before = [], 1
        for part in self.parts:
            columns = ", ".join(f"cast({value.sql} as varchar) as {name}" for name, value in part.given.items())
            numbered = f"select {part.raw.number} as _number, * from {part.raw.relation}"
            selects.append(
                f"select _number + {before} as row, {columns} from ({numbered})"
                f" where _number in (select row - {before} from ({rows}))"
            )
            before += part.rows
        return f"({' union all by name '.join(selects)})"


def near(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant."""
    found = get_close_matches(name.lower(), list(known), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def rules(staged: Staged, programme: Programme, now: datetime, loaded: Collection[str]) -> Iterator[Rule]:
    """Yield every rule of a table, as far as its given columns and the tables loaded before it go."""
    source = getattr(programme.data, staged.name)
    anonymous = source is not None and source.anonymous
    for bit, column in enumerate(staged.contract.columns):
        if column.name in staged.given:
            yield from _column_rules(staged, column, 1 << bit, now, anonymous=anonymous)
    time = staged.contract.time
    if time in staged.given and "recorded_at" in staged.given:
        yield Rule("recorded_at", f"is before {time}, which counts instead", f"recorded_at < {time}", "keep")
    yield from _TABLE_RULES.get(staged.name, _no_rules)(staged, programme)
    yield from _reference_rules(staged.name, loaded)
    yield from _repeat_rules(staged)


def _column_rules(staged: Staged, column: Column, bit: int, now: datetime, *, anonymous: bool) -> Iterator[Rule]:
    name = column.name
    is_consent = (staged.name, name) == ("contacts", "consent")
    fate: Fate = "few_kept" if is_consent else "few"
    then = ", so it counts as a refusal" if is_consent else ""
    if column.kind in _UNFIT:
        yield Rule(name, _UNFIT[column.kind] + then, f"unreadable & {bit} <> 0", fate)
    if column.required:
        absent = f"{name} is null and unreadable & {bit} = 0"
        may_be_nobodys = name == "member_id" and staged.name in MAY_BE_ANONYMOUS
        if may_be_nobodys and anonymous:
            yield Rule(name, "has no value, so it is nobody's", absent, "declared")
        else:
            yield Rule(name, f"has no value{' (see `anonymous`)' if may_be_nobodys else then}", absent, fate)
    if column.kind == "instant":
        yield Rule(name, f"is in the future (after {now:%Y-%m-%d %H:%M} UTC)", f"{name} > timestamp '{now}'", "few")
    if column.kind == "instant" and staged.given[name].may_mix_zones:
        naive = f"select bool_or({name} is not null and aware & {bit} = 0) from staged_{staged.name}"
        problem = "has a UTC offset while others have none; write all times in the same way"
        yield Rule(name, problem, f"aware & {bit} <> 0 and ({naive})", "refuse")


def _no_rules(staged: Staged, programme: Programme) -> Iterator[Rule]:
    yield from ()


def _order_rules(staged: Staged, programme: Programme) -> Iterator[Rule]:
    problem = "is negative, but the row is no return (see `negative_is_return`)"
    yield Rule("net_amount", problem, "net_amount < 0 and not is_return", "aside")
    yield Rule("net_amount", "is positive, but the row is a return", "net_amount > 0 and is_return", "few")
    yield Rule(
        "discount_amount", "is negative; write discounts positive", "discount_amount < 0 and not is_return", "few"
    )
    if "return_of" in staged.given:
        problem = "is no earlier order of the member, so the return counts at its own time"
        yield Rule("return_of", problem, "return_of is not null and row not in (select row from returned)", "keep")
    if "margin_amount" in staged.given and programme.value.margin_rate is None:
        problem = "has no value, so the order's revenue counts as its value (set value.margin_rate)"
        yield Rule("margin_amount", problem, f"margin_amount is null{_no_margin_to_share(staged)}", "keep")


def _no_margin_to_share(staged: Staged) -> str:
    if "return_of" not in staged.given:
        return ""
    return " and row not in (select row from returned where margin_amount is not null)"


def _event_rules(staged: Staged, programme: Programme) -> Iterator[Rule]:
    foreign = f"event not in {_in(EVENTS)}"
    counted = f"select event, count(*) from staged_events where {foreign} group by event order by 2 desc, 1"
    values = staged.con.execute(f"{counted} limit {_SHOWN_VALUES}").fetchall()
    if values:
        shown = ", ".join(f"{value!r} {count} times{near(value, EVENTS)}" for value, count in values)
        yield Rule("event", f"is not in the event vocabulary ({shown}); map it with `values`", foreign, "aside")


def _offer_rules(staged: Staged, programme: Programme) -> Iterator[Rule]:
    known = [programme.guardrails.control_id, *(incentive.id for incentive in programme.incentives)]
    problem = "is no incentive of the programme file; describe it under [[incentives]], or map it with `values`"
    yield Rule("incentive_id", problem, f"incentive_id not in {_in(known)}", "keep")
    yield Rule("propensity", "is not above 0 and up to 1", "not (propensity > 0 and propensity <= 1)", "few")


_TABLE_RULES: Mapping[str, Callable[[Staged, Programme], Iterator[Rule]]] = {
    "orders": _order_rules,
    "events": _event_rules,
    "offers": _offer_rules,
}


def _reference_rules(name: str, loaded: Collection[str]) -> Iterator[Rule]:
    if name == "events" and "orders" in loaded and "members" not in loaded:
        known = "select member_id from orders"
        problem = "has no order, and there is no members table, so the member is not scored"
        yield Rule("member_id", problem, f"member_id not in ({known})", "keep")
    elif name not in ("identities", "members", "order_lines") and "members" in loaded:
        known = "select member_id from staged_members where member_id is not null"
        yield Rule("member_id", "is no member", f"member_id not in ({known})", "aside")
    if name == "members" and "identities" in loaded:
        rank = "row_number() over (partition by member_id order by given_id <> member_id, joined_at, row)"
        others = f"select row from staged_members qualify {rank} > 1 and given_id <> member_id"
        yield Rule("member_id", "is a further id of a member who has a row already", f"row in ({others})", "aside")


def _repeat_rules(staged: Staged) -> Iterator[Rule]:
    """Look for rows with the same id.

    Rows that say the same are one row, the one recorded first. Of rows that differ, one recorded later corrects those
    before it. Rows that contradict each other otherwise are all set aside, since nothing tells which is right; of
    contradicting consents, the refusal is kept.
    """
    name, contract = staged.name, staged.contract
    if any(column not in staged.given for column in contract.key if column != contract.time):
        return
    ids = ["given_id"] if name == "members" else list(contract.key)
    key = ", ".join(ids)
    present = " and ".join(f"{column} is not null" for column in ids if column != contract.time)
    if not _may_repeat(staged, key, present):
        return
    twice = f"select {key} from staged_{name} where {present} group by all having count(*) > 1"
    content = ", ".join(column for column in staged.given if column != "recorded_at")
    recorded = f"coalesce(recorded_at, {contract.time})" if "recorded_at" in staged.given else "null"
    staged.con.execute(
        f"""create temp table twice_{name} as
        with alike as (
            select s.*, hash({content}) as content, {recorded} as known_at from staged_{name} as s
            semi join ({twice}) as t on {" and ".join(f"s.{column} is not distinct from t.{column}" for column in ids)}
        ), dated as (
            select *, known_at is not distinct from max(known_at) over same as is_latest,
                min(content) over same <> max(content) over same as differs
            from alike window same as (partition by {key})
        )
        select row, differs,
            min(content) filter (is_latest) over same <> max(content) filter (is_latest) over same as contradicts,
            row_number() over (partition by {key} order by known_at desc nulls last, row desc) > 1 as is_earlier,
            row_number() over (partition by {key}, content order by known_at, row) > 1 as repeats,
            {"consent" if name == "contacts" else "true"} as loses
        from dated window same as (partition by {key})"""
    )
    same = f"a row of the same {' and '.join(contract.key)}"
    repeats = f"select row from twice_{name} where repeats and (not differs or (contradicts and not loses))"
    corrected = f"select row from twice_{name} where differs and is_earlier and not contradicts"
    contradicts = f"select row from twice_{name} where contradicts and loses"
    yield Rule(contract.key[0], f"repeats {same}", f"row in ({repeats})", "aside")
    if "recorded_at" in staged.given:
        yield Rule(contract.key[0], f"is corrected by {same}, recorded later", f"row in ({corrected})", "aside")
    fate: Fate = "aside" if name == "contacts" else "few"
    yield Rule(contract.key[0], f"contradicts {same}", f"row in ({contradicts})", fate)


def _may_repeat(staged: Staged, key: str, present: str) -> bool:
    """Tell whether two rows' ids have the same hash; where none have, no two ids are the same."""
    turns = staged.total // _HASHES_AT_ONCE + 1
    for turn in range(turns):
        query = f"select hash({key}) as id from staged_{staged.name} where {present} and hash({key}) % {turns} = {turn}"
        ids = np.sort(staged.con.execute(query).fetchnumpy()["id"])
        if (ids[1:] == ids[:-1]).any():
            return True
    return False


def _in(names: Iterable[str]) -> str:
    return f"({', '.join(map(literal, names))})"
