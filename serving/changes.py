"""What changed from one publication to the next: the members a CRM has to hear of, and no others."""

# ruff: noqa: S608 -- every name put into SQL here is our own

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError, RefusedError
from serving.jobs import JobResult
from serving.parts import written
from serving.records import DECISIONS_ARROW
from serving.release import FORMULA
from serving.report.publications import Publication, find_publications

ACTED_ON: Final = (
    "tier", "state", "persona", "policy_segment", "recommended_incentive", "channel", "assigned_incentive",
    "assigned_channel", "no_offer_reason",
)  # fmt: skip
"""What a CRM acts on. Probabilities and amounts move a little every week; alone they are no change."""

FORMATS: Final = (".csv", ".parquet")


def write_changes(decisions: Path, as_of: str | None, since: str | None, out: Path) -> JobResult:
    """Write the decisions that differ from those published before in anything that is acted on.

    Parameters
    ----------
    decisions
        Folder that `winback score` published to.
    as_of
        Date of the decisions; None means the latest published.
    since
        Date of those to compare with; None means the ones published before. Without any everybody is ``new``.
    out
        CSV or Parquet file to write, one row per member in order of their ids: ``change`` (``new``, ``changed`` or
        ``gone``), ``changed`` (the names of `ACTED_ON` that differ, separated by blanks), then the decision, empty for
        who is gone. A CSV file leaves out lists and maps.

    Raises
    ------
    InputError
        If the file is to be neither CSV nor Parquet, or a date is none.
    RefusedError
        If nothing was published as of a date, or by another version that decided about other things.
    """
    if out.suffix not in FORMATS:
        raise InputError(f"cannot write {out}: its name must end in {' or '.join(FORMATS)}")
    now, before = find_publications(decisions, as_of)
    if since is not None:
        before, _ = find_publications(decisions, since)
    unseen = out.with_name(f".{out.name}.partial")
    with written(out), duckdb.connect() as con:
        out.parent.mkdir(parents=True, exist_ok=True)
        con.execute(f"create view now as {_decisions(now)}")
        con.execute(f"create view before as {_decisions(before) if before else 'select * from now limit 0'}")
        con.execute(f"create table changes as {_changes()}")
        selected = f"select {_columns(out.suffix)} from changes left join now using (member_id) order by member_id"
        con.execute(f"copy ({selected}) to '{_quoted(unseen)}' (format {out.suffix[1:]})")
        counts = dict(con.execute("select change, count(*) from changes group by change").fetchall())
        unseen.replace(out)
    record = {
        "as_of": now.as_of.isoformat(),
        "since": before and before.as_of.isoformat(),
        **{kind: counts.get(kind, 0) for kind in ("new", "changed", "gone")},
        "file": str(out),
    }
    return JobResult(record, {"changes": [record]})


def _decisions(publication: Publication) -> str:
    file = publication.folder / "decisions.parquet"
    if not set(pq.read_schema(file).names).issuperset(DECISIONS_ARROW.names):
        raise RefusedError(f"{file} is laid out as by another version of winback; compare with a later date")
    return f"select * from read_parquet('{_quoted(file)}', hive_partitioning = false)"


def _changes() -> str:
    differs = [f"case when now.{name} is distinct from before.{name} then '{name}' end" for name in ACTED_ON]
    return f"""select * from (
            select coalesce(now.member_id, before.member_id) as member_id,
                case when before.member_id is null then 'new' when now.member_id is null then 'gone' else 'changed' end
                    as change,
                if(change = 'changed', concat_ws(' ', {", ".join(differs)}), '') as changed
            from now full join before using (member_id)
        ) where change <> 'changed' or changed <> ''"""


def _columns(suffix: str) -> str:
    if suffix == ".parquet":
        return "*"
    member, *others = (_cell(field) for field in DECISIONS_ARROW if not pa.types.is_nested(field.type))
    return ", ".join([member, "change", "changed", *others])


def _cell(field: pa.Field) -> str:
    """Return SQL for a cell that no spreadsheet takes for a formula, as `serving.release.safe_cell` does."""
    name, begins = field.name, ", ".join(f"chr({ord(mark)})" for mark in FORMULA)
    safe = f"if(left({name}, 1) in ({begins}), chr(39) || {name}, {name}) as {name}"
    return name if pa.types.is_floating(field.type) else safe


def _quoted(file: Path) -> str:
    return str(file).replace("'", "''")
