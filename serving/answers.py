"""What the service answers, without HTTP: stored decisions by member id, fresh ones by history, and the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from features.errors import WinbackError
from features.programme import Programme
from serving.bundle import ModelBundle, PolicyTable
from serving.consent import require_stated
from serving.contracts import (
    FailedItem,
    HealthAnswer,
    History,
    ItemError,
    ModelAnswer,
    PublicationInfo,
    ScoreAnswer,
    ScoredItem,
    ScoreRequest,
)
from serving.histories import Outcome, decide_histories
from serving.loading import not_in_future
from serving.registry import resolve_bundle, resolve_policy_table
from serving.segments import check_personas
from serving.store import Publication, Store, open_store


class NotReadyError(WinbackError):
    """There is nothing to answer from yet."""


@dataclass(frozen=True)
class Answers:
    """Answers the service's calls; everything it needs is loaded before the first."""

    programme: Programme
    bundle: ModelBundle
    policy_table: PolicyTable | None
    store: Store
    refused: Mapping[str, str] = field(default_factory=dict)
    """What newer than this could not be taken over, and why."""

    def score(self, request: ScoreRequest, *, request_id: str) -> ScoreAnswer:
        """Return one result per item, in the order asked.

        Raises
        ------
        NotReadyError
            If decisions are asked for by id before any were published.
        RefusedError
            If the model saw data from after the as_of asked for.
        InputError
            If the as_of asked for lies in the future.
        """
        if request.histories is None:
            return self._stored(request.member_ids or (), request_id=request_id)
        return self._computed(request.histories, request.as_of, request_id=request_id)

    def model(self, *, request_id: str) -> ModelAnswer:
        """Return the model, the policy and the current publication."""
        publication, bundle = self.store.current(), self.bundle
        return ModelAnswer(
            request_id=request_id,
            programme=self.programme.name,
            currency=self.programme.currency,
            model_version=bundle.version,
            trained_until=self._when(bundle.trained_until),
            churn_days=bundle.churn_days,
            value_days=bundle.value_days,
            value_basis=bundle.value_basis,
            feature_names=list(bundle.feature_names),
            policy_version=self.policy_table.version if self.policy_table else None,
            evidence=self.policy_table.evidence if self.policy_table else "none",
            publication=None if publication is None else _info(publication),
            refused=dict(self.refused),
        )

    def source(self) -> object:
        """Return what changes when the answer to the same question about members by id may."""
        return self.store.current(), self.bundle.version, self.policy_table and self.policy_table.version

    def health(self) -> HealthAnswer:
        """Say whether everything is as it should be, without asking anybody."""
        return HealthAnswer(status="degraded" if self.refused else "ok", refused=sorted(self.refused))

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def _stored(self, member_ids: Sequence[str], *, request_id: str) -> ScoreAnswer:
        publication, records = self.store.read(member_ids)
        if publication is None:
            raise NotReadyError("no decisions are published yet; run `winback score`")
        as_of = publication.as_of.isoformat()
        unknown = ItemError(code="unknown_member", message=f"no decision as of {as_of} for this member")
        return ScoreAnswer(
            request_id=request_id,
            model_version=publication.model_version,
            policy_version=publication.policy_version,
            as_of=as_of,
            computed_at=_utc(publication.published_at),
            results=[_item(member_id, records.get(member_id, unknown)) for member_id in member_ids],
        )

    def _computed(self, histories: Sequence[History], as_of: str | None, *, request_id: str) -> ScoreAnswer:
        now = datetime.now(UTC).replace(tzinfo=None)
        when = self._as_of(as_of, now)
        first = {history.member_id: history for history in reversed(histories)}
        distinct = list(reversed(first.values()))
        outcomes = decide_histories(distinct, when, self.bundle, self.policy_table, self.programme)
        return ScoreAnswer(
            request_id=request_id,
            model_version=self.bundle.version,
            policy_version=self.policy_table.version if self.policy_table else None,
            as_of=self._when(when),
            computed_at=_utc(now),
            results=list(_in_order(histories, first, outcomes)),
        )

    def _as_of(self, asked: str | None, now: datetime) -> datetime:
        if asked is not None:
            return not_in_future(self.programme, asked)
        publication = self.store.current()
        return now if publication is None else self.programme.instant(publication.as_of)

    def _when(self, instant: datetime) -> str:
        """Write an instant as local date where it is a date's first moment, else as time in UTC."""
        day = self.programme.local_date(instant)
        return day.isoformat() if self.programme.instant(day) == instant else _utc(instant)


def open_answers(programme: Programme, bundle_folder: Path | None = None) -> Answers:
    """Load what the service answers with: the bundle, the policy table and the store."""
    check_personas(programme)
    if programme.data.contacts is None:
        require_stated(programme)
    return Answers(
        programme=programme,
        bundle=resolve_bundle(programme, bundle_folder),
        policy_table=resolve_policy_table(programme),
        store=open_store(programme),
    )


def _in_order(
    histories: Iterable[History], first: Mapping[str, History], outcomes: Mapping[str, Outcome]
) -> Iterable[ScoredItem | FailedItem]:
    again = ItemError(
        code="duplicate_member", message="this member's history was given before; one call takes one each"
    )
    for history in histories:
        is_first = first[history.member_id] is history
        yield _item(history.member_id, outcomes[history.member_id] if is_first else again)


def _item(member_id: str, outcome: Outcome) -> ScoredItem | FailedItem:
    if isinstance(outcome, ItemError):
        return FailedItem(member_id=member_id, error=outcome)
    return ScoredItem(member_id=member_id, decision=outcome)


def _info(publication: Publication) -> PublicationInfo:
    return PublicationInfo(
        as_of=publication.as_of.isoformat(),
        model_version=publication.model_version,
        policy_version=publication.policy_version,
        members=publication.members,
        published_at=_utc(publication.published_at),
    )


def _utc(instant: datetime) -> str:
    return instant.replace(tzinfo=UTC).isoformat()
