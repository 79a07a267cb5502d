"""What the service answers, without HTTP: decisions, recommendations, explanations, the policy and the model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from features.errors import RefusedError
from features.programme import Programme
from serving.alerts import Alerts
from serving.approvals import Approvals
from serving.board import Board
from serving.bundle import ModelBundle
from serving.consent import require_stated
from serving.contracts import (
    ExplainAnswer,
    ExplainedItem,
    ExplainRequest,
    FailedItem,
    Found,
    HealthAnswer,
    ItemError,
    MembersRequest,
    ModelAnswer,
    PublicationInfo,
    RecommendAnswer,
    RecommendedItem,
    RecommendRequest,
    ScoreAnswer,
    ScoredItem,
    ScoreRequest,
    SegmentsAnswer,
)
from serving.database import open_database, owner_of
from serving.decisions import REASONS, refuse_later_effects, refuse_unfit
from serving.explanations import Explanation, explain_known
from serving.known import Known, decide_known
from serving.ledger import Ledger
from serving.lookup import Asked, Lookup, NotReadyError, Provenance, in_order, iso, utc_now
from serving.pause import Switch, withheld
from serving.policy_table import PolicyTable
from serving.publications import Publication
from serving.records import DecisionRecord
from serving.resolve import resolve_bundle, resolve_policy_table
from serving.segments import check_personas
from serving.store import Store
from serving.why import considered, policy_segments, why

__all__ = ["Answers", "NotReadyError", "open_answers"]

T = TypeVar("T")
R = TypeVar("R")
Head = dict[str, Any]
Where = dict[str, Any]
Say = Callable[[Known], Mapping[str, T | ItemError]]

_OF_DECISION = set(RecommendedItem.model_fields) & set(DecisionRecord.model_fields) - set(Found.model_fields)


@dataclass(frozen=True)
class Answers(Lookup):
    """Answers the service's questions. What it writes down, :mod:`serving.ledger_writing` does."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """What newer than this could not be taken over, and why."""

    def score(self, request: ScoreRequest, *, request_id: str) -> ScoreAnswer:
        """Return one decision per item, in the order asked.

        Raises
        ------
        NotReadyError
            If decisions are asked for by id before any were published.
        RefusedError
            If the model saw data from after the as_of asked for.
        InputError
            If the as_of asked for lies in the future.
        """
        head, asked = self._decided(request, request.reasons)
        results = [_item(one, lambda found, where: _scored(found, where, request)) for one in asked]
        return ScoreAnswer(request_id=request_id, **head, results=results)

    def recommend(self, request: RecommendRequest, *, request_id: str) -> RecommendAnswer:
        """Return what to send to each member, if anything, and why or why not; raises as :meth:`score`."""
        head, asked = self._decided(request)
        results = [_item(one, self._recommended) for one in asked]
        return RecommendAnswer(request_id=request_id, **head, results=results)

    def explain(self, request: ExplainRequest, *, request_id: str) -> ExplainAnswer:
        """Return what moved each member's churn probability, input by input; raises as :meth:`score`."""

        def say(known: Known) -> Mapping[str, Explanation | ItemError]:
            return explain_known(known, self.bundle)

        head, asked = (
            self._of_sent(request, say) if request.member_ids is None else self._by_id(request.member_ids, say)
        )
        results = [_item(one, _explained) for one in asked]
        return ExplainAnswer(request_id=request_id, **head, results=results)

    def segments(self, *, request_id: str) -> SegmentsAnswer:
        """Return the policy as it is served."""
        table, paused = self.policy_table, self.is_paused()
        return SegmentsAnswer(
            request_id=request_id,
            **self.head(self.as_of(None), utc_now()),
            evidence=table.evidence if table else "none",
            paused=paused,
            segments=policy_segments(table, paused=paused),
        )

    def model(self, *, request_id: str) -> ModelAnswer:
        """Return the model, the policy and the current publication."""
        publication, bundle, pause = self.store.current(), self.bundle, self.switch.current()
        return ModelAnswer(
            request_id=request_id,
            **self.head(self.as_of(None), utc_now()),
            programme=self.programme.name,
            currency=self.programme.currency,
            trained_until=self.when(bundle.trained_until),
            churn_days=bundle.churn_days,
            value_days=bundle.value_days,
            value_basis=bundle.value_basis,
            feature_names=list(bundle.feature_names),
            evidence=self.policy_table.evidence if self.policy_table else "none",
            paused_since=iso(pause.since) if pause else None,
            pause_reason=pause.reason if pause else None,
            publication=None if publication is None else _info(publication),
            refused=dict(self.refused),
        )

    def is_paused(self) -> bool:
        """Tell whether nothing is recommended to anybody now."""
        return self.switch.current() is not None

    def is_unpaused_still(self) -> bool:
        """Tell, without waiting, whether it is certain that nothing is paused; if not, :meth:`is_paused` tells."""
        return self.switch.is_off_still()

    def source(self) -> object:
        """Return what changes when the answer to the same question about members by id may."""
        versions = self.bundle.version, self.policy_table and self.policy_table.version
        return self.store.current(), self.ledger.length(), self.switch.current(), versions

    def health(self) -> HealthAnswer:
        """Say whether everything is as it should be, without asking anybody."""
        return HealthAnswer(status="degraded" if self.refused else "ok", refused=sorted(self.refused))

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def _decided(self, request: MembersRequest, reasons: int = REASONS) -> tuple[Head, list[Asked[DecisionRecord]]]:
        def say(known: Known) -> Mapping[str, DecisionRecord | ItemError]:
            return decide_known(known, self.bundle, self.policy_table, self.programme, self.ration(), reasons=reasons)

        if request.member_ids is None:
            head, asked = self._of_sent(request, say)
        elif reasons <= REASONS:
            head, asked = self._by_id(request.member_ids, say, published=lambda record: record)
        else:
            head, asked = self._by_id(request.member_ids, say)
        return head, [one.map(withheld) for one in asked] if self.is_paused() else asked

    def _of_sent(self, request: MembersRequest, say: Say[T]) -> tuple[Head, list[Asked[T]]]:
        """Answer from what the call tells of members."""
        when, now = self.as_of(request.as_of), utc_now()
        rows = request.histories or request.features or ()
        provenance = Provenance("computed", self.when(when), iso(now), **self.versions)
        return self.head(when, now), in_order(rows, say(self.sent(request, when)), provenance)

    def _by_id(
        self, member_ids: Sequence[str], say: Say[T], *, published: Callable[[DecisionRecord], T] | None = None
    ) -> tuple[Head, list[Asked[T]]]:
        """Answer from the publication, anew unless it says enough, and as of now for members of whom rows came in."""
        publication, records = self.published(member_ids)
        changed = self.ledger.changed(member_ids, self.changed_since(publication))
        as_of = publication.as_of.isoformat()
        published_by: Head = {"model_version": publication.model_version, "policy_version": publication.policy_version}
        stored = Provenance("published", as_of, iso(publication.published_at), **published_by)
        if published is None:
            found = self._anew(records.keys() - changed, self.moment_of(publication), say)
        else:
            found = {name: Asked(name, published(record), stored) for name, record in records.items()}
        found |= self._anew(changed, utc_now(), say)
        undecided = self.undecided(set(member_ids) - found.keys(), publication)
        head = {**published_by, "as_of": as_of, "computed_at": stored.computed_at}
        return head, [found.get(name) or Asked(name, undecided[name], stored) for name in member_ids]

    def _anew(self, member_ids: Collection[str], as_of: datetime, say: Say[T]) -> dict[str, Asked[T]]:
        provenance = Provenance("recomputed", self.when(as_of), iso(utc_now()), **self.versions)
        said = say(self.up_to_date(member_ids, as_of))
        return {name: Asked(name, found, provenance) for name, found in said.items()}

    def head(self, as_of: datetime, computed_at: datetime) -> Head:
        """Return what every answer says of itself but its request's id; instants are naive UTC."""
        return {**self.versions, "as_of": self.when(as_of), "computed_at": iso(computed_at)}

    def _recommended(self, decision: DecisionRecord, where: Where) -> RecommendedItem:
        why_en, why_zh = why(decision)
        return RecommendedItem(
            **where,
            **decision.model_dump(include=_OF_DECISION),
            why_en=why_en,
            why_zh=why_zh,
            considered=considered(decision.policy_segment, self.policy_table),
        )


def open_answers(programme: Programme, bundle_folder: Path | None = None) -> Answers:
    """Load what the service answers with: the bundle, the policy table and the store.

    Raises
    ------
    RefusedError
        If there is no whole model, or one of the two cannot decide as of now.
    """
    _check(programme)
    bundle, policy_table = resolve_bundle(programme, bundle_folder), resolve_policy_table(programme)
    refuse_unfit(bundle, programme, utc_now())
    refuse_later_effects(policy_table, programme, utc_now())
    return answers_of(programme, bundle, policy_table)


def open_answers_again(programme: Programme, bundle_folder: Path | None = None) -> Answers:
    """Do as :func:`open_answers`, where need be without a policy that is refused.

    The service that had an earlier one before it was restarted goes on, if only with what is published.
    """
    try:
        return open_answers(programme, bundle_folder)
    except RefusedError as error:
        answers = answers_of(programme, resolve_bundle(programme, bundle_folder), None)
        return replace(answers, refused={"policy": str(error)})


def _check(programme: Programme) -> None:
    check_personas(programme)
    if programme.data.contacts is None:
        require_stated(programme)


def answers_of(programme: Programme, bundle: ModelBundle, policy_table: PolicyTable | None) -> Answers:
    """Open the programme's store, and return what answers from it and from these parts."""
    database, owner = open_database(programme), owner_of(programme)
    return Answers(
        programme=programme,
        bundle=bundle,
        policy_table=policy_table,
        store=Store(database, owner=owner),
        ledger=Ledger(database, owner=owner),
        alerts=Alerts(database, owner=owner),
        switch=Switch(database, owner=owner),
        board=Board(database, owner=owner),
        approvals=Approvals(database, owner=owner),
    )


def _item(one: Asked[T], say: Callable[[T, dict[str, str]], R]) -> R | FailedItem:
    if isinstance(one.found, ItemError):
        return FailedItem(member_id=one.member_id, error=one.found)
    return say(one.found, {"member_id": one.member_id, **vars(one.provenance)})


def _scored(decision: DecisionRecord, where: Where, request: ScoreRequest) -> ScoredItem:
    """Give the decision with as many reasons, and in the language, asked for."""
    left_out = {} if request.language == "both" else {"zh" if request.language == "en" else "en": None}
    if left_out or request.reasons < len(decision.reasons):
        reasons = [reason.model_copy(update=left_out) for reason in decision.reasons[: request.reasons]]
        decision = decision.model_copy(update={"reasons": reasons})
    return ScoredItem(**where, decision=decision)


def _explained(explanation: Explanation, where: Where) -> ExplainedItem:
    return ExplainedItem(**where, **vars(explanation))


def _info(publication: Publication) -> PublicationInfo:
    return PublicationInfo(
        as_of=publication.as_of.isoformat(),
        model_version=publication.model_version,
        policy_version=publication.policy_version,
        members=publication.members,
        published_at=iso(publication.published_at),
    )
