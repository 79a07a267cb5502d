"""The job behind `winback check`: whether the tables are what the programme file says, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded
from serving.jobs import JobResult
from serving.loading import Step, load


def check(programme: Programme, *, step: Step) -> JobResult:
    """Read and check a programme's tables and count what is in them; nothing is learnt or published."""
    loaded = load(programme, step)
    rows = list(_counts(loaded, programme))
    return JobResult(
        record={"tables": rows, "findings": [str(finding) for finding in loaded.findings]},
        tables={programme.name: rows},
        findings=loaded.findings,
    )


def _counts(loaded: Loaded, programme: Programme) -> Iterator[dict[str, Any]]:
    for name, table in vars(loaded.tables).items():
        time = CONTRACTS[name].time
        times = {"first": table[time].min(), "last": table[time].max()} if time else {}
        counted = table.aggregate(rows=table.count(), members=table.member_id.nunique(), **times)
        row = counted.to_pyarrow().to_pylist()[0]
        days = {key: programme.local_date(row[key]).isoformat() if row.get(key) else None for key in ("first", "last")}
        if row["rows"]:
            yield {"table": name, "rows": row["rows"], "members": row["members"], **days}
