"""The SQL store of published decisions: SQLite by default, PostgreSQL by URL.

A publication is staged under its own id, which no reader asks for, and made current by one small transaction. A reader
therefore sees last week's decisions or this week's, whole, whatever happens to the writer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from features.errors import RefusedError
from features.programme import Programme
from serving import runs
from serving.approvals import refuse_unapproved
from serving.bulk import load_rows, with_json
from serving.database import Commits, Database, one_at_a_time, open_database, owner_of
from serving.publications import (
    DECISIONS,
    PUBLICATIONS,
    PUBLISHED,
    REMOVED,
    STAGED,
    TYPED,
    Listed,
    Publication,
    Standing,
    Started,
    publication_of,
    record_of,
)
from serving.ration import Ration
from serving.records import DecisionRecord
from serving.runs import Chunk, Pins

_ROWS_READ_AT_ONCE = 1_000
_ROWS_REMOVED_AT_ONCE = 20_000
"""So that whoever else writes never waits long."""


class Store:
    """Published decisions, read by member id; the latest as_of is the current one.

    Parameters
    ----------
    database
        Where they are kept.
    owner
        Whose publications to read and replace; those of others in the same database stay unseen and untouched.
    """

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner
        # Put together once: it takes longer than asking, and leaves much for the garbage collector.
        self._current, self._of_members = self._latest(PUBLICATIONS), self._decisions_of_members()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def commits(self) -> Commits | None:
        """See :meth:`serving.database.Database.commits`."""
        return self._database.commits()

    def start(
        self,
        as_of: date,
        *,
        model_version: str,
        policy_version: str | None,
        pins: Pins,
        read_at: datetime | None = None,
        ration: Ration | None = None,
    ) -> Started:
        """Take up the run with these pins that was broken off, else begin a publication that no reader sees.

        Publications of other runs that were broken off are removed. ``read_at`` is when the tables were read, naive
        UTC; None means now.

        Raises
        ------
        RefusedError
            If the send list of that date is released.
        """
        with self._deciding() as connection:
            if runs.is_released(connection, self._ids(PUBLISHED).where(PUBLICATIONS.c.as_of == as_of)):
                raise RefusedError(f"the send list of {as_of} is released, so its decisions stand as they are")
            found = runs.unfinished(connection, self._ids(STAGED, PUBLISHED), pins)
            if found is not None:
                return Started(found, runs.chunks_done(connection, found))
            connection.execute(sa.update(PUBLICATIONS).where(self._own(STAGED)).values(status=REMOVED))
            insert = sa.insert(PUBLICATIONS).values(
                owner=self._owner,
                as_of=as_of,
                status=STAGED,
                model_version=model_version,
                policy_version=policy_version,
                read_at=read_at or datetime.now(UTC).replace(tzinfo=None),
                ration=ration.model_dump_json() if ration else None,
            )
            publication_id: int = connection.execute(insert.returning(PUBLICATIONS.c.id)).scalar_one()
            runs.begin(connection, publication_id, pins)
        self.clear()
        return Started(publication_id, {})

    def add(self, publication_id: int, decisions: pa.Table, chunk: Chunk) -> None:
        """Add a chunk's decisions to a staged publication, and to the ledger of runs that it is done."""
        rows = [(publication_id, *row) for row in with_json(decisions, TYPED)]
        with self._database.writing() as connection:
            _refuse_unless_staged(connection, publication_id)
            load_rows(connection, DECISIONS, ["publication_id", *TYPED, "record"], rows)
            runs.enter(connection, publication_id, chunk)

    def publish(self, publication_id: int) -> Publication:
        """Make a staged publication the one of its as_of, in place of an earlier one; one published already stays so.

        Raises
        ------
        RefusedError
            If another run has begun since and taken this one's place.
        """
        this = PUBLICATIONS.c.id == publication_id
        with self._deciding() as connection:
            published = connection.execute(sa.select(PUBLICATIONS).where(this, self._own(PUBLISHED))).mappings()
            if found := published.one_or_none():
                return publication_of(found)
            _refuse_unless_staged(connection, publication_id)
            count = sa.select(sa.func.count()).where(DECISIONS.c.publication_id == publication_id).scalar_subquery()
            as_of = sa.select(PUBLICATIONS.c.as_of).where(this).scalar_subquery()
            earlier = sa.update(PUBLICATIONS).where(PUBLICATIONS.c.as_of == as_of, self._own(PUBLISHED))
            connection.execute(earlier.values(status=REMOVED))
            connection.execute(
                sa.update(PUBLICATIONS)
                .where(this)
                .values(status=PUBLISHED, members=count, published_at=datetime.now(UTC).replace(tzinfo=None))
            )
            return publication_of(connection.execute(sa.select(PUBLICATIONS).where(this)).mappings().one())

    def finish(self, publication_id: int, *, keep: int) -> None:
        """Enter that a run has nothing left to do; keep the latest publications and clear away what nobody reads."""
        with self._deciding() as connection:
            runs.finish(connection, publication_id)
            latest = self._ids(PUBLISHED).order_by(PUBLICATIONS.c.as_of.desc(), PUBLICATIONS.c.id.desc())
            kept = connection.execute(latest.limit(keep)).scalars().all()
            superseded = self._own(PUBLISHED) & PUBLICATIONS.c.id.not_in(kept)
            connection.execute(sa.update(PUBLICATIONS).where(superseded).values(status=REMOVED))
        self.clear()

    def release(self, as_of: date, *, needs_approval: bool = False) -> int:
        """Let the decisions of a date stand for good, and return their publication.

        Raises
        ------
        RefusedError
            If nothing is published as of that date, or an approval is needed and nobody has given it.
        """
        with self._deciding() as connection:
            found = self._standing(connection, as_of)
            if found is None:
                raise RefusedError(f"nothing is published as of {as_of}; run `winback score --as-of {as_of}` first")
            if needs_approval:
                refuse_unapproved(connection, found.publication_id, as_of)
            runs.release(connection, found.publication_id)
            return found.publication_id

    def standing(self, as_of: date | None = None) -> Standing | None:
        """Return how far a date's publication has come, by default the current one's; None where there is none."""
        with self._database.reading() as connection:
            return self._standing(connection, as_of)

    def assigned(self, publication_id: int) -> Iterator[dict[str, Any]]:
        """Yield the decisions, as mappings, by which anything was assigned, control too; in order of member_id."""
        record = DECISIONS.c.record
        chosen = (DECISIONS.c.publication_id == publication_id) & record["assigned_by"].as_string().is_not(None)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(record).where(chosen).order_by(DECISIONS.c.member_id))
            yield from rows.yield_per(_ROWS_READ_AT_ONCE).scalars()

    def incentives(self, publication_id: int) -> set[str]:
        """Return the ids of the incentives that anybody is assigned."""
        own = (DECISIONS.c.publication_id == publication_id) & DECISIONS.c.assigned_incentive.is_not(None)
        with self._database.reading() as connection:
            return set(connection.execute(sa.select(DECISIONS.c.assigned_incentive).where(own).distinct()).scalars())

    def discard(self, publication_id: int) -> None:
        """Remove a staged publication."""
        staged = (PUBLICATIONS.c.id == publication_id) & self._own(STAGED)
        with self._deciding() as connection:
            connection.execute(sa.update(PUBLICATIONS).where(staged).values(status=REMOVED))
        self.clear()

    def clear(self) -> None:
        """Delete what was removed, a part at a time."""
        removed = self._ids(REMOVED).limit(1)
        while True:
            with self._database.writing() as connection:
                of_one = connection.execute(removed).scalar_one_or_none()
                if of_one is None:
                    return
                own = DECISIONS.c.publication_id == of_one
                some = sa.select(DECISIONS.c.member_id).where(own).limit(_ROWS_REMOVED_AT_ONCE)
                deleted = connection.execute(sa.delete(DECISIONS).where(own, DECISIONS.c.member_id.in_(some)))
                if deleted.rowcount < _ROWS_REMOVED_AT_ONCE:
                    connection.execute(sa.delete(PUBLICATIONS).where(PUBLICATIONS.c.id == of_one))

    def current(self) -> Publication | None:
        """Return the publication that is answered from; None before the first."""
        with self._database.reading() as connection:
            found = connection.execute(self._current).mappings().one_or_none()
        return None if found is None else publication_of(found)

    def read(self, member_ids: Sequence[str]) -> tuple[Publication | None, dict[str, DecisionRecord]]:
        """Return the current publication and its decisions of those members it knows, from one moment."""
        with self._database.reading() as connection:
            rows = connection.execute(self._of_members, {"member_ids": list(set(member_ids))}).mappings().all()
        if not rows:
            return None, {}
        records = [record_of(row["record"]) for row in rows if row["record"] is not None]
        return publication_of(rows[0]), {record.member_id: record for record in records}

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that alone decides which of the owner's publications stand."""
        with self._database.writing() as connection:
            one_at_a_time(connection, f"publications of {self._owner}")
            yield connection

    def starting_with(self, beginning: str, *, after: str = "", limit: int) -> list[Listed]:
        """Return members of the current publication by how their ids begin, in order of their code points.

        Parameters
        ----------
        beginning
            Of their ids.
        after
            The id the ones before ended with.
        limit
            How many at most.
        """
        columns = (DECISIONS.c[name] for name in Listed.__dataclass_fields__)
        name = DECISIONS.c.member_id
        with self._database.reading() as connection:
            if connection.dialect.name == "postgresql":
                name = name.collate("C")  # type: ignore[assignment]
            query = sa.select(*columns).where(
                DECISIONS.c.publication_id == self._latest(PUBLICATIONS.c.id).scalar_subquery(),
                name >= beginning,
                name < beginning + chr(sys.maxunicode),
                name > after,
            )
            return [Listed(*row) for row in connection.execute(query.order_by(name).limit(limit))]

    def _standing(self, connection: Connection, as_of: date | None) -> Standing | None:
        columns = PUBLICATIONS.c.id, PUBLICATIONS.c.as_of, PUBLICATIONS.c.members, runs.RUNS.c.released_at
        query = self._latest(*columns).join_from(PUBLICATIONS, runs.RUNS, isouter=True)
        of_date = query if as_of is None else query.where(PUBLICATIONS.c.as_of == as_of)
        row = connection.execute(of_date).one_or_none()
        return None if row is None else Standing(*row)

    def _decisions_of_members(self) -> sa.Select:
        """Return the query of the current publication with its decisions of some ``member_ids``, or with none."""
        publication, latest = PUBLICATIONS, self._latest(PUBLICATIONS.c.id).scalar_subquery()
        asked = DECISIONS.c.member_id.in_(sa.bindparam("member_ids", expanding=True))
        own = DECISIONS.c.publication_id == publication.c.id
        query = sa.select(publication, DECISIONS.c.record).join(DECISIONS, own & asked, isouter=True)
        return query.where(publication.c.id == latest)

    def _latest(self, *columns: Any) -> sa.Select:
        published = sa.select(*columns).where(self._own(PUBLISHED))
        return published.order_by(PUBLICATIONS.c.as_of.desc(), PUBLICATIONS.c.id.desc()).limit(1)

    def _ids(self, *statuses: str) -> sa.Select:
        return sa.select(PUBLICATIONS.c.id).where(sa.or_(*map(self._own, statuses)))

    def _own(self, status: str) -> sa.ColumnElement[bool]:
        return (PUBLICATIONS.c.owner == self._owner) & (PUBLICATIONS.c.status == status)


def open_store(programme: Programme) -> Store:
    """Open the programme's store: what was published under its name, from its model."""
    return Store(open_database(programme), owner=owner_of(programme))


def _refuse_unless_staged(connection: Connection, publication_id: int) -> None:
    """Refuse to go on with a publication another run has removed; holds its row until the transaction ends."""
    own = (PUBLICATIONS.c.id == publication_id) & (PUBLICATIONS.c.status == STAGED)
    if connection.execute(sa.update(PUBLICATIONS).where(own).values(status=STAGED)).rowcount != 1:
        raise RefusedError("another run began after this one and took its place; the earlier publication stands")
