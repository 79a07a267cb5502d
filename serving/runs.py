"""The ledger of runs: what a run rests on, and which parts of it are done, kept beside its publication.

A run that was killed is taken up again by one that rests on the very same: model, policy, data, settings, versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from serving.bundle import Record
from serving.database import METADATA

Pins = Mapping[str, str | int | None]
"""What a run rests on; of two runs with the same pins every row is the same."""

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("publication_id", sa.ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("pins", sa.Text, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("finished_at", sa.DateTime),
    sa.Column("released_at", sa.DateTime),
)

RUN_CHUNKS = sa.Table(
    "run_chunks",
    METADATA,
    sa.Column("publication_id", sa.ForeignKey("publications.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("finished_at", sa.DateTime, nullable=False),
)


class Chunk(Record):
    """A part of a run that is done: the members known and decided about, and how their features are distributed."""

    number: int
    known: int
    decided: int
    distribution: dict[str, tuple[int, ...]]
    """Counts per feature, see `serving.drift.distribution`."""


_CHUNK = TypeAdapter(Chunk)


def begin(connection: Connection, publication_id: int, pins: Pins) -> None:
    """Enter a run that begins."""
    connection.execute(sa.insert(RUNS).values(publication_id=publication_id, pins=_text(pins), started_at=_now()))


def unfinished(connection: Connection, owned: sa.Select, pins: Pins) -> int | None:
    """Return the publication of a run with these pins that has not finished, among those whose ids are selected."""
    query = sa.select(RUNS.c.publication_id).where(
        RUNS.c.publication_id.in_(owned), RUNS.c.pins == _text(pins), RUNS.c.finished_at.is_(None)
    )
    return connection.execute(query.order_by(RUNS.c.publication_id.desc()).limit(1)).scalar_one_or_none()


def enter(connection: Connection, publication_id: int, chunk: Chunk) -> None:
    """Enter a chunk that is done."""
    values = {
        "publication_id": publication_id,
        "number": chunk.number,
        "content": chunk.model_dump_json(),
        "finished_at": _now(),
    }
    connection.execute(sa.insert(RUN_CHUNKS).values(values))


def chunks_done(connection: Connection, publication_id: int) -> dict[int, Chunk]:
    """Return the chunks of a run that are done, by number."""
    query = sa.select(RUN_CHUNKS.c.content).where(RUN_CHUNKS.c.publication_id == publication_id)
    found = [_CHUNK.validate_json(content) for content in connection.execute(query).scalars()]
    return {chunk.number: chunk for chunk in sorted(found, key=lambda chunk: chunk.number)}


def finish(connection: Connection, publication_id: int) -> None:
    """Enter that a run has nothing left to do."""
    connection.execute(sa.update(RUNS).where(RUNS.c.publication_id == publication_id).values(finished_at=_now()))


def release(connection: Connection, publication_id: int) -> None:
    """Enter that a run's decisions are acted on."""
    released = (RUNS.c.publication_id == publication_id) & RUNS.c.released_at.is_(None)
    connection.execute(sa.update(RUNS).where(released).values(released_at=_now()))


def is_released(connection: Connection, publications: sa.Select) -> bool:
    """Tell whether any of the publications whose ids are selected is acted on."""
    query = sa.select(RUNS.c.publication_id).where(
        RUNS.c.publication_id.in_(publications), RUNS.c.released_at.is_not(None)
    )
    return connection.execute(query.limit(1)).first() is not None


def _text(pins: Pins) -> str:
    return json.dumps(pins, sort_keys=True)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
