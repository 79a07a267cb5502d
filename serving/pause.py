"""The kill switch: while it is on nobody is recommended anything, and everybody is still scored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
import sqlalchemy as sa

from features.programme import Programme
from serving.database import METADATA, Commits, Database, open_database, owner_of
from serving.records import DecisionRecord

_pauses = sa.Table(
    "pauses",
    METADATA,
    sa.Column("owner", sa.String, primary_key=True),
    sa.Column("since", sa.DateTime, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)

_WITHHELD: Final = (
    "recommended_incentive",
    "channel",
    "assigned_incentive",
    "assigned_channel",
    "assigned_cost",
    "assigned_by",
    "assigned_probability",
    "expected_cost",
    "expected_recall",
    "expected_recall_low",
    "expected_recall_high",
)


@dataclass(frozen=True)
class Pause:
    """Since when, naive UTC, and why nothing is recommended."""

    since: datetime
    reason: str


class Switch:
    """A programme's switch, kept in the database: every process heeds it as soon as it is thrown."""

    def __init__(self, database: Database, *, owner: str = "") -> None:
        self._database = database
        self._owner = owner
        self._on = sa.select(_pauses.c.since, _pauses.c.reason).where(_pauses.c.owner == owner)
        self._asked: tuple[Commits | None, Pause | None] = None, None

    def pause(self, reason: str = "") -> Pause:
        """Recommend nothing from now on; said again it gives the reason anew."""
        pause = Pause(datetime.now(UTC).replace(tzinfo=None), reason)
        with self._database.writing() as connection:
            connection.execute(sa.delete(_pauses).where(_pauses.c.owner == self._owner))
            connection.execute(sa.insert(_pauses).values(owner=self._owner, since=pause.since, reason=reason))
        return pause

    def resume(self) -> Pause | None:
        """Recommend again, and return the pause that ends; None when there was none."""
        with self._database.writing() as connection:
            ended = self._read(connection)
            connection.execute(sa.delete(_pauses).where(_pauses.c.owner == self._owner))
        return ended

    def current(self) -> Pause | None:
        """Return the pause that is on."""
        commits = self._database.commits()
        with self._database.reading() as connection:
            pause = self._read(connection)
        self._asked = commits, pause
        return pause

    def is_off_still(self) -> bool:
        """Tell in microseconds whether no pause was on when last asked and nobody has written anything since."""
        commits, pause = self._asked
        return pause is None and commits is not None and commits == self._database.commits()

    def _read(self, connection: sa.Connection) -> Pause | None:
        row = connection.execute(self._on).one_or_none()
        return None if row is None else Pause(row.since, row.reason)


def withheld(record: DecisionRecord) -> DecisionRecord:
    """Return the decision with nothing recommended."""
    return record.model_copy(update={**dict.fromkeys(_WITHHELD), "probabilities": {}, "no_offer_reason": "paused"})


def all_withheld(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the decisions, one per row, with nothing recommended."""
    everybody = np.ones(len(decisions), dtype=bool)
    nothing = {name: decisions[name].mask(everybody) for name in _WITHHELD}
    no_chances = pd.Series([{} for _ in range(len(decisions))], index=decisions.index, dtype=object)
    return decisions.assign(**nothing, probabilities=no_chances, no_offer_reason="paused")


@contextmanager
def programme_switch(programme: Programme) -> Iterator[Switch]:
    """Yield a programme's switch."""
    with closing(open_database(programme)) as database:
        yield Switch(database, owner=owner_of(programme))


def is_paused(programme: Programme) -> bool:
    """Tell whether a programme's recommendations are paused."""
    with programme_switch(programme) as switch:
        return switch.current() is not None
