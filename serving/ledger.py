"""The ledger: orders, events, offers and outcomes that came in since the tables were last written. It only grows.

An entry is durable before it is acknowledged. Its id makes sending it again harmless: the same content is known, other
content is a conflict and changes nothing. :mod:`serving.ledger_frames` unites it with the programme's tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from serving.database import METADATA, Database, one_at_a_time

Kind = Literal["order", "event", "offer", "outcome"]
Origin = Literal["service", "release"]
Verdict = Literal["recorded", "known", "conflict", "budget"]

ROWS_AT_ONCE: Final = 1_000

ledger = sa.Table(
    "ledger",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("id", sa.String(128), nullable=False),
    sa.Column("member_id", sa.String(128), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("received_at", sa.DateTime, nullable=False),
    sa.Column("cost", sa.Float, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.UniqueConstraint("owner", "kind", "id", name="ledger_once"),
    sa.Index("ledger_by_member", "owner", "member_id", "received_at"),
    sa.Index("ledger_by_time", "owner", "received_at"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Entry:
    """Something to write down.

    Attributes
    ----------
    kind, id
        Together unique within a programme.
    member_id
        Whom it is about.
    content
        The row as it was given, in values JSON has; times are ISO texts.
    cost
        Money it reserves, in the programme's currency.
    """

    kind: Kind
    id: str
    member_id: str
    content: Mapping[str, Any]
    cost: float = 0.0


@dataclass(frozen=True)
class Budget:
    """What entries received from an instant on (naive UTC) may cost in all, in the programme's currency."""

    limit: float
    since: datetime


class Ledger:
    """One programme's entries.

    Parameters
    ----------
    database
        Where they are kept.
    owner
        Whose they are, see :func:`serving.database.owner_of`.
    """

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner
        asked = ledger.c.member_id.in_(sa.bindparam("member_ids", expanding=True))
        since = self._since(sa.bindparam("since", type_=sa.DateTime))
        self._changed = sa.select(ledger.c.member_id).where(since, asked).distinct()

    def append(
        self,
        entries: Sequence[Entry],
        *,
        received_at: datetime,
        origin: Origin = "service",
        budget: Budget | None = None,
    ) -> list[Verdict]:
        """Write entries down, all in one transaction, and say of each what became of it.

        Parameters
        ----------
        entries
            In the order of their coming.
        received_at
            Naive UTC; when they became known.
        origin
            ``release`` for assignments that are published already: they do not make anybody's decision out of date.
        budget
            Entries that cost more than is left of it are not written.

        Returns
        -------
        list
            Per entry, in order: ``recorded``; ``known``, the same was there; ``conflict``, another of that id was
            there; ``budget``.
        """
        with self._database.writing() as connection:
            if budget is not None:
                one_at_a_time(connection, f"budget of {self._owner}")
            verdicts: list[Verdict] = []
            for start in range(0, len(entries), ROWS_AT_ONCE):
                part = entries[start : start + ROWS_AT_ONCE]
                verdicts += self._append(connection, part, received_at, origin, budget)
            return verdicts

    def changed(self, member_ids: Collection[str], since: datetime) -> set[str]:
        """Return those of the members about whom the service received something at or after an instant."""
        asked = {"since": since, "member_ids": list(set(member_ids))}
        with self._database.reading() as connection:
            return set(connection.execute(self._changed, asked).scalars())

    def received(self, since: datetime) -> dict[str, datetime]:
        """Return when the service last received something about each member, of those since an instant; naive UTC."""
        latest = sa.func.max(ledger.c.received_at)
        query = sa.select(ledger.c.member_id, latest.label("at")).where(self._since(since))
        with self._database.reading() as connection:
            return {row.member_id: row.at for row in connection.execute(query.group_by(ledger.c.member_id))}

    def length(self) -> int:
        """Return the number of the latest entry, 0 before the first."""
        query = sa.select(sa.func.coalesce(sa.func.max(ledger.c.number), 0)).where(ledger.c.owner == self._owner)
        with self._database.reading() as connection:
            number: int = connection.execute(query).scalar_one()
            return number

    def offered_to(self, offer_ids: Collection[str]) -> dict[str, str]:
        """Return the members of the offers that are known, by offer."""
        query = sa.select(ledger.c.id, ledger.c.member_id).where(self._are("offer", offer_ids))
        with self._database.reading() as connection:
            return {row.id: row.member_id for row in connection.execute(query)}

    def read(self, kind: Kind, member_ids: Collection[str] | None = None) -> Iterator[tuple[datetime, dict[str, Any]]]:
        """Yield when each entry was received, naive UTC, and its content, in order of coming; of these members only."""
        query = sa.select(ledger.c.received_at, ledger.c.content).where(
            ledger.c.owner == self._owner, ledger.c.kind == kind
        )
        if member_ids is not None:
            query = query.where(ledger.c.member_id.in_(set(member_ids)))
        with self._database.reading() as connection:
            for row in connection.execute(query.order_by(ledger.c.number)).yield_per(ROWS_AT_ONCE):
                yield row.received_at, row.content

    def _append(
        self,
        connection: Connection,
        entries: Sequence[Entry],
        received_at: datetime,
        origin: Origin,
        budget: Budget | None,
    ) -> list[Verdict]:
        before = self._contents(connection, entries)
        left = None if budget is None else budget.limit - self._spent(connection, budget.since)
        accepted: dict[tuple[str, str], Entry] = {}
        refused: set[tuple[str, str]] = set()
        for entry in entries:
            key = (entry.kind, entry.id)
            if key in before or key in accepted or key in refused:
                continue
            if left is not None and entry.cost > left:
                refused.add(key)
                continue
            accepted[key] = entry
            left = None if left is None else left - entry.cost
        written = self._insert(connection, accepted.values(), received_at, origin) if accepted else set()
        after = self._contents(connection, entries)
        return [
            _verdict(entry, after, is_new=key in written and accepted[key] is entry)
            for entry in entries
            for key in [(entry.kind, entry.id)]
        ]

    def _insert(
        self, connection: Connection, entries: Collection[Entry], received_at: datetime, origin: Origin
    ) -> set[tuple[str, str]]:
        """Write entries down and return kind and id of those that nobody else has written meanwhile."""
        rows = [
            {
                "owner": self._owner,
                "kind": entry.kind,
                "id": entry.id,
                "member_id": entry.member_id,
                "origin": origin,
                "received_at": received_at,
                "cost": entry.cost,
                "content": dict(entry.content),
            }
            for entry in entries
        ]
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        insert = dialect.insert(ledger).on_conflict_do_nothing().returning(ledger.c.kind, ledger.c.id)
        return {(row.kind, row.id) for row in connection.execute(insert, rows)}

    def _contents(self, connection: Connection, entries: Sequence[Entry]) -> dict[tuple[str, str], dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for kind in {entry.kind for entry in entries}:
            ids = {entry.id for entry in entries if entry.kind == kind}
            query = sa.select(ledger.c.id, ledger.c.content).where(self._are(kind, ids))
            found |= {(kind, row.id): row.content for row in connection.execute(query)}
        return found

    def _spent(self, connection: Connection, since: datetime) -> float:
        query = sa.select(sa.func.coalesce(sa.func.sum(ledger.c.cost), 0.0)).where(self._since(since))
        spent: float = connection.execute(query).scalar_one()
        return spent

    def _since(self, since: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
        return (ledger.c.owner == self._owner) & (ledger.c.origin == "service") & (ledger.c.received_at >= since)

    def _are(self, kind: Kind, ids: Collection[str]) -> sa.ColumnElement[bool]:
        return (ledger.c.owner == self._owner) & (ledger.c.kind == kind) & ledger.c.id.in_(ids)


def _verdict(entry: Entry, after: Mapping[tuple[str, str], Mapping[str, Any]], *, is_new: bool) -> Verdict:
    key = (entry.kind, entry.id)
    if key not in after:
        return "budget"
    if after[key] != entry.content:
        return "conflict"
    return "recorded" if is_new else "known"
