"""From a table as it was given to a staged one, and from that, once it is checked, to the canonical one."""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `literal`

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import duckdb

from features.casting import Given, canonical, given, local_date
from features.errors import InputError, OutputError
from features.programme import Programme
from features.readers import Raw, literal, reason
from features.rules import Part, Staged, near
from features.schemas import EVENTS, TYPES, Contract

_LONGEST_ALIAS_CHAIN = 2**20

_FORMAT = "format parquet, parquet_version v2, compression lz4_raw, row_group_size 8192"
"""Of a file sorted by member: fast to read, and with so few rows in a group that one member's are found fast."""

_WITH_ORIGINS = """(
    from staged_orders where return_of is null
    union all by name
    select s.*, o.ordered_at as origin_at, o.recorded_at as origin_recorded_at,
        o.net_amount as origin_net_amount, o.margin_amount as origin_margin_amount
    from returns as s
    left join (from returned as r anti join aside_orders as a on a.row = r.order_row) as o on o.row = s.row
)"""
"""Orders, and what returns have of the order they name, unless that one is set aside."""


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
    return Staged(con, contract, columns, tuple(read))


def _find_returned(con: duckdb.DuckDBPyConnection) -> None:
    """Take the rows that name an order apart, and find that order; few do, so no other row need be joined."""
    con.execute("create temp table returns as from staged_orders where return_of is not null")
    con.execute(
        """create temp table returned as
        select s.row, o.row as order_row, o.ordered_at, o.recorded_at, o.net_amount, o.margin_amount
        from returns as s join staged_orders as o
            on o.order_id = s.return_of and o.member_id = s.member_id and o.ordered_at <= s.ordered_at"""
    )


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
    columns = (*contract.columns, *contract.added)
    nulls = (f"cast(null as {TYPES[column.kind]}) as {column.name}" for column in columns)
    values = {column.name: column.name for column in columns}
    _keep(con, contract, f"select {', '.join(nulls)} where false", values, folder)


def create(staged: Staged, programme: Programme, folder: Path | None) -> int:
    """Create the canonical table of the rows that are not set aside, and count them.

    DuckDB holds it, or else it is a view of a Parquet file in a folder, sorted by member. The file has what rows do not
    tell by themselves, and the view the rest: whatever is sorted and written costs most of the loading.
    """
    name = staged.name
    relation, joins = f"staged_{name}", ""
    kept = {column: f"s.{column}" for column in staged.given}
    if name == "orders":
        kept |= _order_kept(staged.given, programme)
        relation = _WITH_ORIGINS if "return_of" in staged.given else relation
    elif name == "order_lines":
        kept |= {"member_id": "o.member_id", "ordered_at": "o.ordered_at"}
        kept["recorded_at"] = "nullif(o.recorded_at, o.ordered_at)"
        joins = "join orders as o on o.order_id = s.order_id"
    select = ", ".join(f"{sql} as {column}" for column, sql in kept.items())
    rows = f"select {select} from {relation} as s anti join aside_{name} using (row) {joins}"
    created = _keep(staged.con, staged.contract, rows, _values(staged, programme), folder)
    if name == "identities":
        _follow_aliases(staged.con)
    return created


def drop(staged: Staged) -> None:
    """Drop what led to a canonical table; of members it stays, as it tells who is known, set aside or not."""
    if staged.name != "members":
        staged.con.execute(
            f"""drop view staged_{staged.name}; drop table parsed_{staged.name};
            drop table if exists returns; drop table if exists returned"""
        )


def _keep(
    con: duckdb.DuckDBPyConnection, contract: Contract, rows: str, values: Mapping[str, str], folder: Path | None
) -> int:
    columns = (*contract.columns, *contract.added)
    canon = ", ".join(f"cast({values.get(c.name, 'null')} as {TYPES[c.kind]}) as {c.name}" for c in columns)
    if folder is None or contract.name == "identities":  # which nobody but the loader reads
        created = con.execute(
            f"create or replace temp table {contract.name} as select {canon} from ({rows})"
        ).fetchone()
        return created[0] if created else 0
    file = folder / f"{contract.name}.parquet"
    count = write_by_member(con, rows, file)
    con.execute(
        f"create or replace temp view {contract.name} as select {canon} from read_parquet({literal(str(file))})"
    )
    return count


def write_by_member(con: duckdb.DuckDBPyConnection, rows: str, file: Path) -> int:
    """Write the rows of a query to a Parquet file, sorted by member, and count them."""
    try:
        written = con.execute(f"copy (from ({rows}) order by member_id) to {literal(str(file))} ({_FORMAT})").fetchone()
    except duckdb.IOException as error:
        raise OutputError(f"cannot write {file}: {reason(error)}; what was published stands, run again") from error
    return written[0] if written else 0


def _order_kept(given: Collection[str], programme: Programme) -> Mapping[str, str]:
    """Return what is kept of an order besides what is given: its day and, of a return, what it has of its order."""
    kept = {"is_return": "s.is_return", "ordered_on": local_date("s.ordered_at", programme.timezone)}
    if "return_of" in given:
        kept["origin_at"] = "s.origin_at"
        if "recorded_at" in given:
            kept["origin_known_at"] = "greatest(s.origin_recorded_at, s.origin_at)"
        if "margin_amount" in given:
            share = "cast(s.net_amount as double) / nullif(s.origin_net_amount, 0)"
            kept["origin_margin"] = f"try_cast({share} * s.origin_margin_amount as {TYPES['amount']})"
    return kept


def _values(staged: Staged, programme: Programme) -> Mapping[str, str]:
    """Return SQL for the columns of a canonical table over what is kept."""
    contract = staged.contract
    values = {column.name: column.name if column.name in staged.given else "null" for column in contract.columns}
    if "recorded_at" in values:
        values["recorded_at"] = f"greatest({values['recorded_at']}, {values[str(contract.time)]})"
    if contract.name == "orders":
        values |= _order_values(staged.given, values["recorded_at"], programme)
    elif contract.name == "contacts":
        values["consent"] = "coalesce(consent, false)"
    elif contract.name == "order_lines":
        values |= {column.name: column.name for column in contract.added}
        values["recorded_at"] = "coalesce(recorded_at, ordered_at)"
    return values


def _order_values(given: Collection[str], known_at: str, programme: Programme) -> Mapping[str, str]:
    rate = programme.value.margin_rate
    revenue = "net_amount" if rate is None else f"cast(net_amount as decimal(29, 4)) * cast({rate!r} as decimal(9, 8))"
    margins = ["margin_amount"] if "margin_amount" in given else []
    booked = {"booked_at": "ordered_at", "booked_on": "ordered_on", "booking_known_at": known_at}
    if "return_of" in given:
        margins += ["origin_margin"] if margins else []
        booked = {
            "booked_at": "coalesce(origin_at, ordered_at)",
            "booked_on": f"if(origin_at is null, ordered_on, {local_date('origin_at', programme.timezone)})",
            "booking_known_at": f"coalesce({'origin_known_at' if 'recorded_at' in given else 'origin_at'}, {known_at})",
        }
    return {
        "discount_amount": "coalesce(discount_amount, 0)" if "discount_amount" in given else "0",
        "is_return": "is_return",
        "ordered_on": "ordered_on",
        "value_amount": f"coalesce({', '.join([*margins, revenue])})",
        **booked,
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
