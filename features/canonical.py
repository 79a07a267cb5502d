"""From a table as it was given to a staged one, and from that, once it is checked, to the canonical one."""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `literal`

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from features.casting import Given, canonical, given, local_date
from features.errors import InputError, OutputError
from features.programme import Programme
from features.readers import Raw, literal, reason
from features.rules import Part, Staged, near
from features.schemas import EVENTS, TYPES, Contract

_LONGEST_ALIAS_CHAIN = 2**20

ROWS_PER_GROUP = 8_192
"""Of a Parquet file sorted by member: so few that one member's rows are found fast."""


def stage(
    con: duckdb.DuckDBPyConnection, contract: Contract, parts: Sequence[Raw], programme: Programme, *, aliases: bool
) -> Staged:
    """Read a table and cast its columns, keeping in mind which values did not fit; map members through identities.

    A table may have parts; a row of a later one whose id an earlier one has is left out.
    """
    table, *later = parts
    columns = _given(contract, table, programme.timezone)
    read = [Part(table, columns, _parse(con, contract, columns, table))]
    for part in later:
        own = _given(contract, part, programme.timezone)
        new = part.over(_without(part.relation, own, table.relation, columns, contract))
        read.append(Part(new, own, _parse_more(con, contract, own, new)))
        columns = {**own, **columns}
    replaced = {}
    if contract.name == "orders":
        by_sign = " or coalesce(p.net_amount < 0, false)" if programme.data.orders.negative_is_return else ""
        replaced["is_return"] = f"coalesce(p.is_return, false) or p.return_of is not null{by_sign}"
    if aliases and "member_id" in columns:
        replaced["member_id"] = "coalesce(i.member_id, p.member_id)"
    replacing = f"replace ({', '.join(f'{sql} as {column}' for column, sql in replaced.items())})" if replaced else ""
    given_id = "p.member_id" if contract.name == "members" else "null"
    con.execute(
        f"""create temp view staged_{contract.name} as
        select p.rowid + 1 as row, {given_id} as given_id, p.* {replacing}
        from parsed_{contract.name} as p
        {"left join identities as i on i.alias_id = p.member_id" if "member_id" in replaced else ""}"""
    )
    if contract.name == "orders" and "return_of" in columns:
        _find_returned(con)
    elif contract.name == "order_lines":
        _join_orders(con)
    return Staged(con, contract, columns, tuple(read))


def _find_returned(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        """create temp table returned as
        select s.row, o.row as order_row, o.ordered_at, o.recorded_at, o.net_amount, o.margin_amount
        from staged_orders as s join staged_orders as o
            on o.order_id = s.return_of and o.member_id = s.member_id and o.ordered_at <= s.ordered_at
        where s.return_of is not null"""
    )


def _join_orders(con: duckdb.DuckDBPyConnection) -> None:
    """Give every line what it has of its order; nothing where there is no such order."""
    con.execute(
        """create temp table joined_order_lines as
        from staged_order_lines left join (select order_id, member_id, ordered_at, recorded_at from orders)
            using (order_id)"""
    )
    con.execute("drop view staged_order_lines; drop table parsed_order_lines")
    con.execute("alter table joined_order_lines rename to parsed_order_lines")
    con.execute("create temp view staged_order_lines as from parsed_order_lines")


def _parse(con: duckdb.DuckDBPyConnection, contract: Contract, columns: Mapping[str, Given], raw: Raw) -> int:
    """Read a table into ``parsed_<name>``, in its own order, and count its rows."""
    return _run(con, contract, raw, f"create temp table parsed_{contract.name} as {_cast(contract, columns, raw)}")


def _parse_more(con: duckdb.DuckDBPyConnection, contract: Contract, columns: Mapping[str, Given], raw: Raw) -> int:
    """Add a part to ``parsed_<name>``, and count its rows; how it writes times says nothing about the table's."""
    rows = f"select * replace (null as aware) from ({_cast(contract, columns, raw)})"
    return _run(con, contract, raw, f"insert into parsed_{contract.name} {rows}")


def _cast(contract: Contract, columns: Mapping[str, Given], raw: Raw) -> str:
    casts, unreadable, aware = [], ["0"], ["0"]
    for bit, column in enumerate(contract.columns):
        value = columns.get(column.name)
        if value is None:
            casts.append(f"cast(null as {TYPES[column.kind]}) as {column.name}")
            continue
        cast = canonical(column, value)
        casts.append(f"{cast} as {column.name}")
        unreadable.append(f"if({cast} is null and {value.is_there}, {1 << bit}, 0)")
        if column.kind == "instant" and value.may_mix_zones:
            aware.append(f"if({value.has_offset}, {1 << bit}, 0)")
    return (
        f"select {', '.join(casts)}, {' | '.join(unreadable)} as unreadable, {' | '.join(aware)} as aware"
        f" from {raw.relation}"
    )


def _run(con: duckdb.DuckDBPyConnection, contract: Contract, raw: Raw, statement: str) -> int:
    try:
        counted = con.execute(statement).fetchone()
    except duckdb.Error as error:
        raise InputError(f"{contract.name}: cannot read {raw.place}: {reason(error)}") from error
    return counted[0] if counted else 0


def _without(part: str, own: Mapping[str, Given], table: str, columns: Mapping[str, Given], contract: Contract) -> str:
    """Select the rows of a part whose id the table has not; without ids on both sides, all of them."""
    key = next(column for column in contract.columns if column.name == contract.key[0])
    if key.name not in own or key.name not in columns:
        return part
    theirs, ours = canonical(key, own[key.name]), canonical(key, columns[key.name])
    known = f"select {ours} as id from {table} where {ours} is not null"
    return f"(select * from {part} where {theirs} is null or {theirs} not in ({known}))"


def _given(contract: Contract, raw: Raw, timezone: str) -> dict[str, Given]:
    """Find the given columns of a contract in a table."""
    ours = [column.name for column in contract.columns]
    wrong = [f"columns.{name} is no column of ours{near(name, ours)}" for name in raw.columns if name not in ours]
    if contract.name == "events":
        foreign = {value: near(value, EVENTS) for value in raw.values.values() if value not in EVENTS}
        wrong += [f"values: {value!r} is not in the event vocabulary{hint}" for value, hint in foreign.items()]
    elif raw.values and contract.name not in ("offers", "contacts"):
        wrong.append("`values` is for events, offers and contacts only")
    wanted = {column.name: raw.columns.get(column.name, column.name) for column in contract.columns}
    required = {column.name for column in contract.columns if column.required} | set(raw.columns)
    wrong += [
        f"no column {theirs!r} (our {name}){near(theirs, raw.types)}"
        for name, theirs in wanted.items()
        if name in required and theirs not in raw.types
    ]
    if wrong:
        there = ", ".join(raw.types) or "none"
        raise InputError(
            f"{contract.name}: {raw.place}: {'; '.join(wrong)}; map ours to theirs in `columns`; columns there: {there}"
        )
    return {name: given(name, raw, timezone) for name, theirs in wanted.items() if theirs in raw.types}


def create_empty(con: duckdb.DuckDBPyConnection, contract: Contract, folder: Path | None) -> None:
    """Create the canonical table of one that is not given, or of which nothing is left."""
    nulls = (f"cast(null as {TYPES[column.kind]}) as {column.name}" for column in (*contract.columns, *contract.added))
    _keep(con, contract, f"select {', '.join(nulls)} where false", folder)


def create(staged: Staged, programme: Programme, folder: Path | None) -> int:
    """Create the canonical table of the rows that are not set aside, drop what led there, and count them.

    DuckDB holds it, or else it is a Parquet file in a folder, sorted by member.
    """
    name, contract = staged.name, staged.contract
    values = {column.name: f"s.{column.name}" for column in contract.columns}
    if "recorded_at" in values:
        values["recorded_at"] = f"greatest(s.recorded_at, s.{contract.time})"
    joins = ""
    if name == "orders":
        values |= _order_values(staged, programme)
        if "return_of" in staged.given:
            joins = """left join (
                from returned as r anti join aside_orders as a on a.row = r.order_row
            ) as o on o.row = s.row"""
    elif name == "contacts":
        values["consent"] = "coalesce(s.consent, false)"
    elif name == "order_lines":
        values |= {column.name: f"s.{column.name}" for column in contract.added}
    columns = (*contract.columns, *contract.added)
    select = ", ".join(f"cast({values[column.name]} as {TYPES[column.kind]}) as {column.name}" for column in columns)
    rows = f"select {select} from staged_{name} as s anti join aside_{name} using (row) {joins}"
    created = _keep(staged.con, contract, rows, folder)
    if name != "members":  # whose staged rows tell who is known, set aside or not
        staged.con.execute(f"drop view staged_{name}; drop table parsed_{name}; drop table if exists returned")
    if name == "identities":
        _follow_aliases(staged.con)
    return created


def _keep(con: duckdb.DuckDBPyConnection, contract: Contract, rows: str, folder: Path | None) -> int:
    if folder is None or contract.name == "identities":  # which nobody but the loader reads
        created = con.execute(f"create or replace temp table {contract.name} as {rows}").fetchone()
        return created[0] if created else 0
    file = folder / f"{contract.name}.parquet"
    count = write_by_member(con, rows, file)
    con.execute(f"create or replace temp view {contract.name} as from read_parquet({literal(str(file))})")
    return count


def write_by_member(con: duckdb.DuckDBPyConnection, rows: str, file: Path) -> int:
    """Write the rows of a query to a Parquet file, sorted by member, and count them."""
    options = f"format parquet, row_group_size {ROWS_PER_GROUP}"
    try:
        written = con.execute(f"copy (from ({rows}) order by member_id) to {literal(str(file))} ({options})").fetchone()
    except duckdb.IOException as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; what was published stands, run again") from error
    return written[0] if written else 0


def _order_values(staged: Staged, programme: Programme) -> Mapping[str, str]:
    rate = programme.value.margin_rate
    margin = (
        "s.net_amount" if rate is None else f"cast(s.net_amount as decimal(29, 4)) * cast({rate!r} as decimal(9, 8))"
    )
    known_at = "greatest(s.recorded_at, s.ordered_at)"
    ordered_on = local_date("s.ordered_at", programme.timezone)
    booked, booked_on, booking_known_at = "s.ordered_at", ordered_on, known_at
    if "return_of" in staged.given:
        booked = "coalesce(o.ordered_at, s.ordered_at)"
        booked_on = f"coalesce({local_date('o.ordered_at', programme.timezone)}, {ordered_on})"
        booking_known_at = f"coalesce(greatest(o.recorded_at, o.ordered_at), {known_at})"
        share = "cast(s.net_amount as double) / nullif(o.net_amount, 0)"
        margin = f"coalesce(cast({share} * o.margin_amount as {TYPES['amount']}), {margin})"
    return {
        "discount_amount": "coalesce(s.discount_amount, 0)",
        "ordered_on": ordered_on,
        "booked_at": booked,
        "booked_on": booked_on,
        "booking_known_at": booking_known_at,
        "value_amount": f"coalesce(s.margin_amount, {margin})",
    }


def _follow_aliases(con: duckdb.DuckDBPyConnection) -> None:
    """Let every alias name its member at once where it names another alias; each pass doubles the reach."""
    con.execute("delete from identities where alias_id = member_id")
    step = "update identities as i set member_id = n.member_id from identities as n where n.alias_id = i.member_id"
    for _ in range(_LONGEST_ALIAS_CHAIN.bit_length()):
        if con.execute(step).fetchone() == (0,):
            return
    circle = con.execute(
        "select alias_id from identities where member_id in (select alias_id from identities) limit 5"
    ).fetchall()
    raise InputError(f"identities.alias_id: ids refer to each other in a circle: {', '.join(row[0] for row in circle)}")
