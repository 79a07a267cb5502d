"""Parquet files sorted by member, in which some members' rows are found without asking about all of the file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_FILES: Final = 12
"""The tables of the publication that is read and of the one before."""

_ANYBODY: Final = ("", chr(0x10FFFF))
"""The ends of a group of rows whose file does not tell them."""


@dataclass(frozen=True)
class SortedFile:
    """A file with what its end says of its groups of rows, among it the least and the greatest member id of each.

    Of a million members that takes longer to read than the rows of any of them.
    """

    path: Path
    metadata: pq.FileMetaData
    least: np.ndarray
    greatest: np.ndarray

    def rows(self, member_ids: Collection[str], columns: Iterable[str]) -> pa.Table:
        """Return the members' rows; ``columns`` must name ``member_id``, and those that are not there are left out."""
        there = [name for name in columns if name in self.metadata.schema.names]
        asked = sorted(set(member_ids))
        groups = np.zeros(len(self.least), dtype=bool)
        for member_id in asked:
            groups |= (self.least <= member_id) & (self.greatest >= member_id)
        with pq.ParquetFile(self.path, metadata=self.metadata) as file:
            rows = file.read_row_groups(np.flatnonzero(groups).tolist(), columns=there, use_threads=False)
        return rows.filter(pc.field("member_id").isin(pa.array(asked, pa.string())))


@lru_cache(_FILES)
def indexed(path: Path) -> SortedFile:
    """Open a file that nobody writes to any more, once."""
    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index("member_id")
    groups = (metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups))
    ends = np.array([(of.min, of.max) if of and of.has_min_max else _ANYBODY for of in groups], dtype=object)
    least, greatest = ends.reshape(-1, 2).T
    return SortedFile(path, metadata, least, greatest)
