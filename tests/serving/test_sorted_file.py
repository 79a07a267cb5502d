"""Members' rows are found by the ends of a file's groups of rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.sorted_file import indexed

COLUMNS = ("member_id", "amount", "not there")


@pytest.mark.parametrize("rows_per_group", [1, 3, 100])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    held=st.lists(st.sampled_from(["a", "ab", "b", "é", "\U0001f600", "会员"]), max_size=20),
    asked=st.lists(st.sampled_from(["", "a", "ab", "aa", "会员", "é", "\U0001f600", "z"]), max_size=4),
)
def test_all_rows_of_the_members_asked_for_are_found(tmp_path: Path, rows_per_group, held, asked):
    table = pa.table({"member_id": pa.array(sorted(held), pa.string()), "amount": range(len(held))})
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, row_group_size=rows_per_group)
    indexed.cache_clear()
    found = indexed(file).rows(asked, COLUMNS)
    assert found.to_pylist() == [row for row in table.to_pylist() if row["member_id"] in asked]


def test_a_file_is_read_from_its_end_once(tmp_path: Path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"member_id": ["a"], "amount": [1]}), file)
    assert indexed(file) is indexed(file)
