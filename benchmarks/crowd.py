"""A made-up member base of any size, drawn in SQL: what the benchmarks of the weekly job are run on.

The simulator of `training` draws one member after another's life; a million of them with 50 orders each would take it
hours. Here every value is a hash of its row's number, so that the same size gives the same tables within minutes.
"""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import duckdb

from features.programme import Programme, load_programme

START, DAYS = "2024-01-01", 728
AS_OF = "2025-12-29"
ORDERS, EVENTS, OFFERS = 50, 40, 2
"""Per member, on average."""

ROW = "i * 100000 + k"
"""Number of a member's k-th row of a table."""

CATEGORIES = {"fresh": 0.3, "snacks": 0.2, "beauty": 0.2, "household": 0.2, "baby": 0.1}

PROGRAMME = """
name = "crowd"
timezone = "Asia/Shanghai"
currency = "CNY"
language = "zh"

[data]
orders = {path = "orders.parquet"}
members = {path = "members.parquet"}
order_lines = {path = "order_lines.parquet"}
events = {path = "events.parquet"}
offers = {path = "offers.parquet"}
contacts = {path = "contacts.parquet"}
"""


def uniform(salt: str, row: str = ROW) -> str:
    """SQL for a number in [0, 1) that only the salt and the row decide."""
    return f"(hash(({row}) * 4096 + {crc32(salt.encode()) % 4096}) / 18446744073709551616.0)"


def pick(salt: str, choices: dict[str, float], row: str = ROW) -> str:
    """SQL for one of the choices, each with its share; the last takes what is left."""
    draw, reached, cases = uniform(salt, row), 0.0, []
    for choice, share in list(choices.items())[:-1]:
        reached += share
        cases.append(f"when {draw} < {reached:.4f} then '{choice}'")
    return f"(case {' '.join(cases)} else '{list(choices)[-1]}' end)"


def write_crowd(folder: Path, members: int, settings: str, *, memory: str = "4GB") -> Programme:
    """Write the tables of so many members and their programme file, unless they are there, and load it.

    Parameters
    ----------
    folder
        Where to; the tables are kept for the next run.
    members
        How many.
    settings
        The rest of the programme file: personas, incentives, guardrails.
    memory
        What DuckDB may use.
    """
    file = folder / "programme.toml"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(config={"memory_limit": memory, "temp_directory": str(folder / "spill")}) as con:
            _draw_lives(con, members)
            for name, query in _QUERIES.items():
                con.execute(f"copy ({query}) to '{folder / name}.parquet' (compression zstd)")
        file.write_text(PROGRAMME + settings, encoding="utf-8")
    return load_programme(file)


def _draw_lives(con: duckdb.DuckDBPyConnection, members: int) -> None:
    """Draw when each member joined and left, and how often they order; most who ever order stop before the end."""
    con.execute(
        f"""create table lives as
        with drawn as (
            select i, 'M' || lpad(i::varchar, 8, '0') as member_id, {DAYS} * 0.8 * {uniform("join", "i")} as joined,
                -ln(1 - {uniform("rate", "i")}) as rate, -500 * ln(1 - {uniform("life", "i")}) as life
            from range({members}) as r(i)
        )
        select *, least(joined + life, {DAYS}) - joined as stays,
            case when {uniform("never", "i")} < 0.03 then 0 else ceil({ORDERS} * rate)::bigint end as orders
        from drawn"""
    )


_MOMENT = "timestamp '{start}' + to_seconds((86400 * ({days}))::bigint)"


def _at(days: str) -> str:
    return _MOMENT.format(start=START, days=days)


_ORDER = """select i, member_id, unnest(range(orders)) as k, joined, stays from lives"""
_BOUGHT = f"""select *, i * 100000 + k as id, joined + stays * {uniform("when")} as day,
    round(20 + 300 * pow({uniform("amount")}, 3), 2) as gross,
    case when {uniform("cut")} < 0.3 then 0.1 else 0 end as cut
    from ({_ORDER})"""
_QUERIES = {
    "members": f"""select member_id, {_at("joined")} as joined_at, {pick("language", {"zh": 0.9, "en": 0.1}, "i")}
        as language, 1950 + (55 * {uniform("birth", "i")})::int as birth_year from lives order by hash(i)""",
    "orders": f"""with bought as ({_BOUGHT})
        select 'O' || id as order_id, member_id, {_at("day")} as ordered_at, (gross * (1 - cut))::decimal(12, 2)
            as net_amount, (gross * (0.35 - cut))::decimal(12, 2) as margin_amount,
            (gross * cut)::decimal(12, 2) as discount_amount, null::varchar as return_of,
            {pick("channel", {"app": 0.5, "web": 0.2, "shop": 0.3})} as channel
        from bought
        union all
        select 'R' || id, member_id, {_at(f"least(day + 1 + 20 * {uniform('back')}, {DAYS} - 0.01)")},
            -(gross * (1 - cut))::decimal(12, 2), -(gross * (0.35 - cut))::decimal(12, 2), 0, 'O' || id, 'web'
        from bought where {uniform("returned")} < 0.03
        order by ordered_at""",
    "order_lines": f"""select 'O' || id as order_id, 'P' || (5000 * pow({uniform("product")}, 2))::int
            as product_id,
            {pick("category", CATEGORIES, "i * 100000 + k % 7")} as category,
            1 + (3 * {uniform("quantity")})::int as quantity,
            (gross * (1 - cut))::decimal(12, 2) as net_amount
        from ({_BOUGHT}) order by day""",
    "events": f"""select 'E' || (i * 100000 + k) as event_id, member_id,
            {_at(f"joined + ({DAYS} - joined) * {uniform('event')}")} as occurred_at,
            {
        pick(
            "kind",
            {
                "visit": 0.3,
                "message_sent": 0.25,
                "message_opened": 0.08,
                "product_view": 0.1,
                "add_to_cart": 0.06,
                "app_login": 0.05,
                "points_earned": 0.1,
                "coupon_received": 0.02,
                "message_clicked": 0.02,
                "complaint": 0.005,
                "complaint_resolved": 0.004,
                "unsubscribe": 0.001,
                "search": 0.01,
            },
        )
    } as event,
            (100 * {uniform("points")})::decimal(12, 2) as amount
        from (select i, member_id, joined, unnest(range(ceil(-{EVENTS} * ln(1 - {uniform("busy", "i")}))::bigint)) as k
              from lives) order by occurred_at""",
    "offers": f"""select 'F' || (i * 100 + k) as offer_id, member_id,
            {_at(f"joined + ({DAYS} - joined) * {uniform('offer')}")} as assigned_at,
            {pick("arm", {"control": 0.4, "triple_points": 0.2, "coupon_30": 0.2, "free_shipping": 0.2})}
            as incentive_id, 0.25 as propensity
        from (select i, member_id, joined, unnest(range({OFFERS})) as k from lives) order by assigned_at""",
    "contacts": f"""select member_id, channel, {uniform("consent", "i * 10 + length(channel)")} < 0.85 as consent
        from lives, (values ('app_push'), ('sms'), ('wechat')) as c(channel) order by hash(i, channel)""",
}
