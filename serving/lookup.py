"""What the service answers with, and what it knows of members: published, or brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from features.errors import WinbackError
from features.programme import Programme
from serving.alerts import Alerts
from serving.approvals import Approvals
from serving.board import Board
from serving.bundle import ModelBundle
from serving.contracts import Features, ItemError, MembersRequest, Source
from serving.histories import from_histories
from serving.known import Known, from_features, not_eligible
from serving.ledger import Ledger
from serving.loading import not_in_future
from serving.pause import Switch
from serving.policy_table import PolicyTable
from serving.publications import Publication
from serving.published_history import PublishedHistory
from serving.ration import Ration
from serving.recompute import Recomputer
from serving.records import DecisionRecord
from serving.rows import History
from serving.store import Store

T = TypeVar("T")

SETTLING: Final = timedelta(minutes=1)
"""What was received so shortly before the ledger was read may not have been written down by then."""


class NotReadyError(WinbackError):
    """There is nothing to answer from yet."""


class ElsewhereError(Exception):
    """What is asked has to be computed, which is not done here."""


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from, by which versions, as of when (ISO date or time), and when computed (ISO time)."""

    source: Source
    as_of: str
    computed_at: str
    model_version: str
    policy_version: str | None


@dataclass(frozen=True)
class Asked(Generic[T]):
    """One member asked about, in the order asked: what was found or an error, and where it comes from."""

    member_id: str
    found: T | ItemError
    provenance: Provenance

    def map(self, change: Callable[[T], T]) -> Asked[T]:
        """Return the same with what was found changed; errors stay."""
        return self if isinstance(self.found, ItemError) else replace(self, found=change(self.found))


@dataclass(frozen=True)
class Lookup:
    """Everything answers need, loaded before the first question."""

    programme: Programme
    bundle: ModelBundle
    policy_table: PolicyTable | None
    store: Store
    ledger: Ledger
    alerts: Alerts
    switch: Switch
    board: Board
    approvals: Approvals
    computes: bool = True
    """Whether what is not published may be computed here; if not, asking for it ends in an :class:`ElsewhereError`."""

    def published(self, member_ids: Collection[str]) -> tuple[Publication, dict[str, DecisionRecord]]:
        """Return the current publication and its decisions of these members.

        Raises
        ------
        NotReadyError
            If there is none.
        """
        publication, records = self.store.read(list(member_ids))
        if publication is None:
            raise NotReadyError("no decisions are published yet; run `winback score`")
        return publication, records

    def changed_since(self, publication: Publication) -> datetime:
        """Return the instant from which on what was received may not be in a publication."""
        return min(self.programme.instant(publication.as_of), publication.read_at - SETTLING)

    def up_to_date(self, member_ids: Collection[str], as_of: datetime) -> Known:
        """Return what is known of members before an instant, what came in since the publication included."""
        if not member_ids:
            return Known()
        self._require_computing()
        return Recomputer(self.programme, PublishedHistory(self.programme), self.ledger).known(member_ids, as_of)

    def undecided(self, member_ids: Collection[str], publication: Publication) -> dict[str, ItemError]:
        """Say of members whom a publication has no decision about whether they were not eligible, or are not known."""
        as_of = publication.as_of.isoformat()
        unknown = ItemError(code="unknown_member", message=f"no decision as of {as_of} for this member")
        seen: set[str] = set()
        if self.programme.eligible.ordered_within_days is not None:
            seen = PublishedHistory(self.programme).seen(member_ids, self.programme.instant(publication.as_of))
        return {name: not_eligible(self.programme) if name in seen else unknown for name in member_ids}

    def sent(self, request: MembersRequest, when: datetime) -> Known:
        """Return what a call tells of members, by their rows or their features."""
        self._require_computing()
        if request.histories is not None:
            return from_histories(list(_distinct(request.histories).values()), when, self.programme)
        return from_features(_distinct(request.features or ()).values(), when, self.programme)

    def _require_computing(self) -> None:
        if not self.computes:
            raise ElsewhereError

    def as_of(self, asked: str | None) -> datetime:
        """Return the instant asked for, else that of the publication, else now."""
        if asked is not None:
            return not_in_future(self.programme, asked)
        return self.moment_of(self.store.current())

    def moment_of(self, publication: Publication | None) -> datetime:
        """Return a publication's instant; now without one, and where model or policy have seen what came after it."""
        if publication is None:
            return utc_now()
        instant, policy = self.programme.instant(publication.as_of), self.policy_table
        has_seen_later = instant < self.bundle.trained_until or (policy is not None and instant < policy.as_of)
        return utc_now() if has_seen_later else instant

    @property
    def versions(self) -> dict[str, Any]:
        """The versions that answer now."""
        return {
            "model_version": self.bundle.version,
            "policy_version": self.policy_table.version if self.policy_table else None,
        }

    def ration(self) -> Ration | None:
        """Return what the current publication's budget and set-up costs leave of the policy."""
        publication = self.store.current()
        return publication.ration if publication else None

    def when(self, instant: datetime) -> str:
        """Write an instant as local date where it is a date's first moment, else as time in UTC."""
        day = self.programme.local_date(instant)
        return day.isoformat() if self.programme.instant(day) == instant else iso(instant)


def in_order(
    rows: Sequence[History] | Sequence[Features], found: Mapping[str, T | ItemError], provenance: Provenance
) -> list[Asked[T]]:
    """Return what was found about each of the rows sent; a member's second row is an error of its own."""
    again = ItemError(code="duplicate_member", message="this member was given before; one call takes one each")
    first = _distinct(rows)
    return [
        Asked(row.member_id, found[row.member_id] if first[row.member_id] is row else again, provenance) for row in rows
    ]


def utc_now() -> datetime:
    """Return the present as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso(instant: datetime) -> str:
    """Write a naive UTC instant as ISO time."""
    return instant.replace(tzinfo=UTC).isoformat()


def _distinct(rows: Sequence[T]) -> dict[str, T]:
    """Return each member's first row, in order."""
    found: dict[str, T] = {}
    for row in rows:
        found.setdefault(row.member_id, row)  # type: ignore[attr-defined]
    return found
