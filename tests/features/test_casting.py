"""Values are cast as DuckDB would, only faster."""

from __future__ import annotations

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from features.casting import Given
from features.readers import Raw

SPACES = " \t\u00a0\u2002\u3000"


@given(st.lists(st.text(st.one_of(st.sampled_from(SPACES), st.characters(codec="utf-8"))) | st.none(), min_size=1))
def test_spaces_around_a_text_are_no_part_of_it_and_blank_is_none(values: list[str | None]) -> None:
    text = Given("x", "VARCHAR", Raw("here", "there", {"x": "VARCHAR"}), "UTC").text
    rows = duckdb.execute(f"select {text}, nullif(trim(x), '') from (select unnest(?::varchar[]) as x)", [values])
    assert all(ours == trimmed for ours, trimmed in rows.fetchall())
