"""Times of a zone as UTC and back: what is added where clocks stand still must be what DuckDB would look up."""

from __future__ import annotations

import duckdb
import pytest

from features.zones import rezoned

_TIMES = """
    select timestamp '1880-01-01' + to_days(range::int) + to_seconds(range * 7919 % 86400) as t from range(66000)
    union all values (null), (timestamp 'infinity')"""


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "Etc/GMT+12"])
@pytest.mark.parametrize("direction", ["to UTC", "from UTC"])
def test_a_time_is_what_the_zones_history_says(zone: str, direction: str) -> None:
    source, target = (zone, "UTC") if direction == "to UTC" else ("UTC", zone)
    looked_up = f"try(t at time zone '{source}' at time zone '{target}')"
    with duckdb.connect() as con:
        apart = con.execute(
            f"select t, {looked_up} from ({_TIMES}) where {rezoned('t', source, target)} is distinct from {looked_up}"
        )
        assert apart.fetchall() == []


def test_clocks_that_stand_still_are_not_looked_up() -> None:
    with duckdb.connect() as con:
        con.execute("create table times as select timestamp '2025-07-01 12:00:00' as t")
        fast = rezoned("t", "Asia/Shanghai", "UTC").replace("try(", "error('looked up: ' || ")
        assert con.execute(f"select {fast} from times").fetchall()[0][0].hour == 4
