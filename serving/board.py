"""What jobs worked out last, pinned up for people: the weekly summary, what budgets buy, what campaigns brought.

Pages only show it, so that reading one costs next to nothing however large the programme is.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Generic, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError

from features.programme import Programme
from serving.bundle import Record
from serving.database import METADATA, Database, open_database, owner_of
from serving.frontier import Frontier
from serving.results import Results
from serving.summary import RunSummary

Sheet = TypeVar("Sheet", bound=Record)

NAMES: Final[dict[type[Record], str]] = {RunSummary: "summary", Frontier: "frontier", Results: "results"}
"""What can be pinned up, and under which name; one of each."""

_board = sa.Table(
    "board",
    METADATA,
    sa.Column("owner", sa.String, primary_key=True),
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("pinned_at", sa.DateTime, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class Pinned(Generic[Sheet]):
    """A sheet, the local date it is as of, and when it was pinned up (naive UTC)."""

    as_of: date
    pinned_at: datetime
    sheet: Sheet


class Board:
    """A programme's board, kept in the database."""

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner

    def pin(self, as_of: date, sheet: Record) -> None:
        """Pin a sheet up in place of the one before, unless that is as of a later date."""
        own = (_board.c.owner == self._owner) & (_board.c.name == NAMES[type(sheet)])
        row = {
            "owner": self._owner,
            "name": NAMES[type(sheet)],
            "as_of": as_of,
            "pinned_at": datetime.now(UTC).replace(tzinfo=None),
            "content": sheet.model_dump_json(),
        }
        with self._database.writing() as connection:
            connection.execute(sa.delete(_board).where(own, _board.c.as_of <= as_of))
            if connection.execute(sa.select(_board.c.name).where(own)).first() is None:
                connection.execute(sa.insert(_board).values(row))

    def read(self, kind: type[Sheet]) -> Pinned[Sheet] | None:
        """Return the sheet of a kind; None where none hangs there that this version can read."""
        own = (_board.c.owner == self._owner) & (_board.c.name == NAMES[kind])
        with self._database.reading() as connection:
            row = connection.execute(sa.select(_board).where(own)).one_or_none()
        if row is None:
            return None
        try:
            return Pinned(row.as_of, row.pinned_at, kind.model_validate_json(row.content))
        except ValidationError:
            return None


def pin(programme: Programme, as_of: date, *sheets: Record) -> None:
    """Pin sheets up on a programme's board."""
    with closing(open_database(programme)) as database:
        board = Board(database, owner=owner_of(programme))
        for sheet in sheets:
            board.pin(as_of, sheet)
