"""Publications and their decisions: the tables they are kept in, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from serving.database import METADATA, StoreError
from serving.ration import Ration
from serving.records import DecisionRecord
from serving.runs import Chunk

STAGED, PUBLISHED, REMOVED = "staged", "published", "removed"

PUBLICATIONS = sa.Table(
    "publications",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("model_version", sa.String(64), nullable=False),
    sa.Column("policy_version", sa.String(64)),
    sa.Column("members", sa.Integer, nullable=False, default=0),
    sa.Column("published_at", sa.DateTime),
    sa.Column("read_at", sa.DateTime),
    sa.Column("ration", sa.Text),
    sqlite_autoincrement=True,
)

DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("publication_id", sa.ForeignKey(PUBLICATIONS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.String, primary_key=True),
    sa.Column("tier", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("policy_segment", sa.String(64)),
    sa.Column("assigned_incentive", sa.String(64)),
    sa.Column("churn_probability", sa.Float, nullable=False),
    sa.Column("value_at_stake", sa.Float, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)

TYPED = [column.name for column in DECISIONS.columns if column.name not in ("publication_id", "record")]


@dataclass(frozen=True)
class Started:
    """A publication under way, and the chunks of it that are done, by number."""

    publication_id: int
    done: Mapping[int, Chunk]


@dataclass(frozen=True)
class Publication:
    """One as_of's decisions, whole; ``read_at`` is when the tables behind them were read. Instants are naive UTC.

    ``ration`` is what set-up costs and a budget left of the policy; None where they took nothing.
    """

    as_of: date
    model_version: str
    policy_version: str | None
    members: int
    published_at: datetime
    read_at: datetime
    ration: Ration | None = None


@dataclass(frozen=True)
class Listed:
    """What a list says of a member; churn probability and value at stake as published."""

    member_id: str
    tier: str
    state: str
    churn_probability: float
    value_at_stake: float


@dataclass(frozen=True)
class Standing:
    """A publication, its members, and when its send list was released (naive UTC), if it was."""

    publication_id: int
    as_of: date
    members: int
    released_at: datetime | None


def record_of(content: Any) -> DecisionRecord:
    """Return a decision as it was published.

    Raises
    ------
    StoreError
        If another version of winback published it.
    """
    try:
        return DecisionRecord.model_validate(content)
    except ValidationError as error:
        raise StoreError(
            "the published decisions are laid out as by another version of winback; run `winback score` again"
        ) from error


def publication_of(row: Any) -> Publication:
    """Return what a row of the publications says."""
    return Publication(
        as_of=row["as_of"],
        model_version=row["model_version"],
        policy_version=row["policy_version"],
        members=row["members"],
        published_at=row["published_at"],
        read_at=row["read_at"] or row["published_at"],
        ration=Ration.model_validate_json(row["ration"]) if row["ration"] else None,
    )
