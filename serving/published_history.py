"""Members' raw history as the weekly job saw it: Parquet sorted by member, so that one member's rows are found fast.

It is published whole: written under a name no reader looks at, then renamed. The one read latest counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.canonical import write_by_member
from features.programme import Programme
from features.schemas import CONTRACTS
from features.sources import Loaded
from serving.sorted_file import indexed

_APPEARANCES: Final = {"orders": "ordered_at", "members": "joined_at"}
"""The tables that make members known, and the times from which on they do."""

_KEPT: Final = 2
"""So many are kept: a reader may have just opened the one before."""


@contextmanager
def unpublished(programme: Programme) -> Iterator[Path]:
    """Yield a folder to load tables into that are to be published; what is left in it is removed in the end."""
    home = _home(programme)
    for left_behind in home.glob(".*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    folder = home / ".loading"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish_history(loaded: Loaded, programme: Programme) -> Path:
    """Publish the canonical rows of all tables for :class:`PublishedHistory`, and remove older ones.

    The files the tables were loaded into are taken, and gone from where they were.
    """
    home = _home(programme)
    published = home / f"{loaded.read_at:%Y%m%dT%H%M%S%f}"
    unseen = loaded.folder or _written(loaded, home / ".writing")
    shutil.rmtree(published, ignore_errors=True)
    unseen.rename(published)
    for outdated in _published(home)[:-_KEPT]:
        shutil.rmtree(outdated, ignore_errors=True)
    return published


def _written(loaded: Loaded, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, rows in vars(loaded.tables).items():
        write_by_member(rows.get_backend().con, str(ibis.to_sql(rows)), folder / f"{name}.parquet")
    return folder


@dataclass(frozen=True)
class PublishedHistory:
    """What was published last, read by member."""

    programme: Programme

    def frames(self, member_ids: Collection[str]) -> dict[str, pd.DataFrame] | None:
        """Return the members' rows by table, times in UTC, with our own column names; None before the first.

        Order lines have no ``member_id``, as in the input contract.
        """
        published = _published(_home(self.programme))
        if not published:
            return None
        return {file.stem: _read(file, member_ids) for file in sorted(published[-1].glob("*.parquet"))}

    def seen(self, member_ids: Collection[str], before: datetime) -> set[str]:
        """Return those of the members who had ordered or joined before a naive UTC instant."""
        published = _published(_home(self.programme))
        seen: set[str] = set()
        for name, time in _APPEARANCES.items() if published else ():
            rows = indexed(published[-1] / f"{name}.parquet").rows(member_ids, ("member_id", time))
            if time in rows.column_names:
                rows = rows.filter(pc.field(time).is_null() | (pc.field(time) < pa.scalar(before, pa.timestamp("us"))))
            seen.update(rows["member_id"].to_pylist())
        return seen


def _home(programme: Programme) -> Path:
    return programme.path("var") / "history" / programme.output.model


def _published(home: Path) -> list[Path]:
    return sorted(folder for folder in home.glob("[0-9]*"))


def _read(file: Path, member_ids: Collection[str]) -> pd.DataFrame:
    schema = CONTRACTS[file.stem].schema.to_pyarrow()
    names = dict.fromkeys(["member_id", *(column.name for column in CONTRACTS[file.stem].columns)])
    none = pa.schema([schema.field(name) for name in names]).empty_table()
    # what was not given is there, without values
    rows = pa.concat_tables([none, indexed(file).rows(member_ids, names)], promote_options="default")
    frame: pd.DataFrame = rows.cast(pa.schema(map(_in_utc, rows.schema))).to_pandas()
    return frame.drop(columns="member_id") if file.stem == "order_lines" else frame


def _in_utc(field: pa.Field) -> pa.Field:
    return field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
