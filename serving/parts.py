"""The parts a run is done in, and the files they become: one Parquet file per part, joined into what readers see."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import OutputError
from features.schemas import Tables
from serving.records import DECISIONS_ARROW


@dataclass(frozen=True)
class Span:
    """Some members: those whose ids, in their order, lie from the first to the last."""

    number: int
    first: str
    last: str
    members: int

    def of(self, tables: Tables) -> Tables:
        """Return these members' rows."""
        return replace(
            tables,
            **{
                name: table.filter(table.member_id.between(self.first, self.last))
                for name, table in vars(tables).items()
            },
        )


def spans(tables: Tables, rows: int) -> list[Span]:
    """Divide all members there are rows of into spans of so many, in the order of their ids."""
    ids = ibis.union(*(table.select("member_id") for table in (tables.orders, tables.members, tables.events)))
    con = tables.orders.get_backend()
    query = f"""select number, min(member_id), max(member_id), count(*) from (
            select member_id, (row_number() over (order by member_id) - 1) // {rows} as number
            from (select distinct member_id from ({ibis.to_sql(ids)}))
        ) group by number order by number"""  # noqa: S608 -- all of it is ours
    return [Span(*row) for row in con.raw_sql(query).fetchall()]


class Parts:
    """The parts of one run, each whole or not there, in a folder of their own.

    Parameters
    ----------
    folder
        Where the parts of all runs of the programme are.
    run
        Number of this one; what others left behind is removed.
    """

    def __init__(self, folder: Path, run: int) -> None:
        self._folder = folder / str(run)
        with written(self._folder):
            for left_behind in folder.glob("*"):
                if left_behind != self._folder:
                    shutil.rmtree(left_behind)
            self._folder.mkdir(parents=True, exist_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06}.parquet"

    def __contains__(self, number: int) -> bool:
        return self._file(number).exists()

    def write(self, number: int, decisions: pa.Table) -> None:
        """Write a part."""
        unseen = self._file(number).with_suffix(".partial")
        with written(self._file(number)):
            pq.write_table(decisions, unseen)
            unseen.replace(self._file(number))

    def join(self, file: Path) -> Path:
        """Join all parts into a file that no reader looks at yet, beside the one they will."""
        unseen = file.with_name(f".{file.name}")
        with written(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with pq.ParquetWriter(unseen, DECISIONS_ARROW) as writer:
                    for part in sorted(self._folder.glob("*.parquet")):
                        for batch in pq.ParquetFile(part).iter_batches():
                            writer.write_batch(batch)
            except BaseException:
                unseen.unlink(missing_ok=True)
                raise
        return unseen

    def remove(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def written(file: Path) -> Iterator[None]:
    """Say of what goes wrong with a disk which file it kept from being written."""
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        problem = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {file}: {problem}; what is done is kept, run again") from error
