"""Who allowed a send list to leave, and when: kept for good, one entry for everything anybody decided.

A publication may leave while the last thing decided about it is its approval. A run that replaces the publication makes
another one, which nobody has approved yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from features.errors import RefusedError
from serving.database import METADATA, Database, one_at_a_time

What = Literal["approved", "withdrawn", "released"]

_approvals = sa.Table(
    "approvals",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("publication_id", sa.Integer, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("who", sa.String(64), nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Index("approvals_in_order", "owner", "number"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Entry:
    """Something decided about a publication: what, by whose key, and when (naive UTC)."""

    publication_id: int
    as_of: date
    what: What
    who: str
    at: datetime


class Approvals:
    """What was decided about a programme's publications."""

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner

    def enter(self, publication_id: int, as_of: date, what: What, *, who: str) -> None:
        """Write down what somebody decided; said again it changes nothing."""
        now = datetime.now(UTC).replace(tzinfo=None)
        with self._database.writing() as connection:
            one_at_a_time(connection, f"approvals of {self._owner}")
            last = _last(connection, publication_id)
            if last is None or last.what not in (what, "released"):
                row = {"publication_id": publication_id, "as_of": as_of, "what": what, "who": who, "at": now}
                connection.execute(sa.insert(_approvals).values(owner=self._owner, **row))

    def last(self, publication_id: int) -> Entry | None:
        """Return what was decided last about a publication."""
        with self._database.reading() as connection:
            return _last(connection, publication_id)

    def latest(self, limit: int) -> list[Entry]:
        """Return what was decided last about any publication, the newest first."""
        own = sa.select(_approvals).where(_approvals.c.owner == self._owner)
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(own.order_by(_approvals.c.number.desc()).limit(limit))]


def refuse_unapproved(connection: Connection, publication_id: int, as_of: date) -> None:
    """Refuse to let a publication leave that nobody has approved, or whose approval was withdrawn."""
    last = _last(connection, publication_id)
    if last is None or last.what == "withdrawn":
        raise RefusedError(f"nobody has approved the send list of {as_of} yet; an admin does in the console")


def _last(connection: Connection, publication_id: int) -> Entry | None:
    own = sa.select(_approvals).where(_approvals.c.publication_id == publication_id)
    row = connection.execute(own.order_by(_approvals.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else _entry(row)


def _entry(row: sa.Row) -> Entry:
    return Entry(row.publication_id, row.as_of, row.what, row.who, row.at)
