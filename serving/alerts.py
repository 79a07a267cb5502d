"""Alerts: raised when a member's churn probability rises to the programme's threshold, and kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.database import METADATA, Database, one_at_a_time

_risks = sa.Table(
    "risks",
    METADATA,
    sa.Column("owner", sa.String, primary_key=True),
    sa.Column("member_id", sa.String(128), primary_key=True),
    sa.Column("churn_probability", sa.Float, nullable=False),
    sa.Column("computed_at", sa.DateTime, nullable=False),
)

_alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("member_id", sa.String(128), nullable=False),
    sa.Column("churn_probability", sa.Float, nullable=False),
    sa.Column("before", sa.Float),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("raised_at", sa.DateTime, nullable=False),
    sa.Index("alerts_in_order", "owner", "number"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Alert:
    """A member's churn probability rose from ``before`` (None: never known) to the threshold or beyond."""

    number: int
    member_id: str
    churn_probability: float
    before: float | None
    threshold: float
    raised_at: datetime


class Alerts:
    """A programme's alerts, and what was last known of its members' risks."""

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner

    def watch(
        self,
        risks: Mapping[str, float],
        published: Mapping[str, float],
        *,
        threshold: float,
        now: datetime,
        published_at: datetime,
    ) -> list[Alert]:
        """Keep members' churn probabilities, and raise an alert for each that has risen to the threshold.

        Parameters
        ----------
        risks
            Churn probabilities as they are now.
        published
            Those published; what was last known, unless something was since ``published_at``.
        threshold
            Below it before and not below it now is an alert; so is not below it when nothing was known.
        now, published_at
            Naive UTC.
        """
        with self._database.writing() as connection:
            one_at_a_time(connection, f"alerts of {self._owner}")
            before = {**published, **self._known(connection, list(risks), published_at)}
            raised = [
                {"member_id": member_id, "churn_probability": risk, "before": before.get(member_id)}
                for member_id, risk in risks.items()
                if risk >= threshold and not before.get(member_id, 0.0) >= threshold
            ]
            self._keep(connection, risks, now)
            same = {"owner": self._owner, "threshold": threshold, "raised_at": now}
            insert = sa.insert(_alerts).returning(_alerts)
            return [_alert(connection.execute(insert, {**alert, **same}).mappings().one()) for alert in raised]

    def computed(self, member_ids: Collection[str]) -> dict[str, datetime]:
        """Return when the risks of those members that have any were computed last; naive UTC."""
        query = sa.select(_risks.c.member_id, _risks.c.computed_at).where(
            _risks.c.owner == self._owner, _risks.c.member_id.in_(set(member_ids))
        )
        with self._database.reading() as connection:
            return {row.member_id: row.computed_at for row in connection.execute(query)}

    def after(self, cursor: int, limit: int) -> list[Alert]:
        """Return the alerts raised after the one numbered so, in order."""
        query = sa.select(_alerts).where(_alerts.c.owner == self._owner, _alerts.c.number > cursor)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_alerts.c.number).limit(limit)).mappings()
            return [_alert(row) for row in rows]

    def latest(self, limit: int) -> list[Alert]:
        """Return the alerts raised last, the newest first."""
        query = sa.select(_alerts).where(_alerts.c.owner == self._owner).order_by(_alerts.c.number.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_alert(row) for row in connection.execute(query).mappings()]

    def _known(self, connection: Connection, member_ids: list[str], since: datetime) -> dict[str, float]:
        query = sa.select(_risks.c.member_id, _risks.c.churn_probability).where(
            _risks.c.owner == self._owner, _risks.c.member_id.in_(member_ids), _risks.c.computed_at >= since
        )
        return {row.member_id: row.churn_probability for row in connection.execute(query)}

    def _keep(self, connection: Connection, risks: Mapping[str, float], now: datetime) -> None:
        if not risks:
            return
        old = (_risks.c.owner == self._owner) & _risks.c.member_id.in_(list(risks))
        connection.execute(sa.delete(_risks).where(old))
        rows = [
            {"owner": self._owner, "member_id": member_id, "churn_probability": risk, "computed_at": now}
            for member_id, risk in risks.items()
        ]
        connection.execute(sa.insert(_risks), rows)


def _alert(row: sa.RowMapping) -> Alert:
    return Alert(**{name: value for name, value in row.items() if name != "owner"})
