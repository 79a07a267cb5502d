"""The routes: each parses, asks :mod:`serving.answers` or :mod:`serving.ledger_writing`, and returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import FastAPI, Query, Request

from serving.alerts import Alert
from serving.answers import Answers
from serving.contracts import (
    ExplainAnswer,
    ExplainRequest,
    FailedItem,
    MembersRequest,
    ModelAnswer,
    RecommendAnswer,
    RecommendRequest,
    ScoreAnswer,
    ScoredItem,
    ScoreRequest,
    SegmentsAnswer,
)
from serving.failures import documented
from serving.gate import needs
from serving.ledger_contracts import (
    AlertItem,
    AlertsAnswer,
    EventsAnswer,
    EventsRequest,
    OffersAnswer,
    OffersRequest,
    OutcomesAnswer,
    OutcomesRequest,
    WrittenItem,
)
from serving.ledger_writing import behind, watch, write_activity, write_offers, write_outcomes
from serving.lookup import iso, utc_now
from serving.metrics import Tally

if TYPE_CHECKING:
    from serving.computing import ComputingProcess

T = TypeVar("T")

MAX_ALERTS: Final = 1_000
LARGEST_CURSOR: Final = 2**63 - 1
ASKED: Final = (401, 403, 429, 500, 503, 504)
"""Statuses of every route; `_POSTED` of those that take a body."""
_POSTED: Final = (400, 408, 413, 415, 422, *ASKED)


def add_member_routes(app: FastAPI, readers: Executor, computers: Executor) -> None:
    """Add what is asked about members: the published is read, the rest computed, each where it is said."""

    @app.post("/v1/score", responses=documented(*_POSTED, 409), openapi_extra=needs("score"))
    async def score(body: ScoreRequest, request: Request) -> ScoreAnswer:
        """Return members' decisions: as published, brought up to date, or computed from what is sent."""
        answers, request.state.members = _answers(request), _members(body)
        pool = readers if body.member_ids else computers
        answer = await run(pool, lambda: answers.score(body, request_id=request_id(request)))
        request.state.tally = Tally.of(answer.results)
        request.state.keep = all(map(_may_be_kept, answer.results))
        return answer

    @app.post("/v1/recommend", responses=documented(*_POSTED, 409), openapi_extra=needs("score"))
    async def recommend(body: RecommendRequest, request: Request) -> RecommendAnswer:
        """Return what to send to members, if anything, and why or why not."""
        answers, request.state.members = _answers(request), _members(body)
        pool = readers if body.member_ids else computers
        answer = await run(pool, lambda: answers.recommend(body, request_id=request_id(request)))
        request.state.tally = Tally.of(answer.results)
        return answer

    @app.post("/v1/explain", responses=documented(*_POSTED, 409), openapi_extra=needs("score"))
    async def explain(body: ExplainRequest, request: Request) -> ExplainAnswer:
        """Return what moved members' churn probabilities, input by input."""
        answers, request.state.members = _answers(request), _members(body)
        answer = await run(computers, lambda: answers.explain(body, request_id=request_id(request)))
        request.state.tally = Tally.of(answer.results)
        return answer


def add_policy_routes(app: FastAPI, readers: Executor) -> None:
    """Add what is asked about the model and the policy."""

    @app.get("/v1/model", responses=documented(*ASKED), openapi_extra=needs("score"))
    async def model(request: Request) -> ModelAnswer:
        """Return the model, the policy and the publication that answers come from."""
        answers = _answers(request)
        return await run(readers, lambda: answers.model(request_id=request_id(request)))

    @app.get("/v1/segments", responses=documented(*ASKED), openapi_extra=needs("score"))
    async def segments(request: Request) -> SegmentsAnswer:
        """Return what is offered in each policy segment, and what was considered."""
        answers = _answers(request)
        return await run(readers, lambda: answers.segments(request_id=request_id(request)))


def add_ledger_routes(app: FastAPI, writers: Executor) -> None:
    """Add what is written down, and the alerts it raises."""

    @app.post("/v1/events", responses=documented(*_POSTED), openapi_extra=needs("write"))
    async def events(body: EventsRequest, request: Request) -> EventsAnswer:
        """Write down orders and events; each is durable when it is answered, and moves the member's next score."""
        answers = _answers(request)
        members = [*(order.member_id for order in body.orders), *(event.member_id for event in body.events)]
        request.state.members = members

        orders, events = await run(writers, lambda: write_activity(answers, body.orders, body.events))
        written = zip(members, (*orders, *events), strict=True)
        moved = {member_id for member_id, item in written if isinstance(item, WrittenItem)}
        alerts = await watched(request, moved)
        return EventsAnswer(
            **_head(answers, request),
            orders=orders,
            events=events,
            alerts=[_alert(alert) for alert in alerts or ()],
            alerts_complete=alerts is not None,
        )

    @app.post("/v1/offers", responses=documented(*_POSTED), openapi_extra=needs("write"))
    async def offers(body: OffersRequest, request: Request) -> OffersAnswer:
        """Write down offers, as far as the budget goes."""
        answers, request.state.members = _answers(request), [offer.member_id for offer in body.offers]
        written = await run(writers, lambda: write_offers(answers, body.offers))
        return OffersAnswer(**_head(answers, request), offers=written)

    @app.post("/v1/outcomes", responses=documented(*_POSTED), openapi_extra=needs("write"))
    async def outcomes(body: OutcomesRequest, request: Request) -> OutcomesAnswer:
        """Write down what became of offers."""
        answers = _answers(request)
        written = await run(writers, lambda: write_outcomes(answers, body.outcomes))
        return OutcomesAnswer(**_head(answers, request), outcomes=written)

    @app.get("/v1/alerts", responses=documented(422, *ASKED), openapi_extra=needs("score"))
    async def alerts(
        request: Request,
        after: Annotated[int, Query(ge=0, le=LARGEST_CURSOR, description="the `next` of the answer before")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_ALERTS)] = 100,
    ) -> AlertsAnswer:
        """Return alerts raised after a cursor, in order."""
        answers = _answers(request)

        await watched(request, await run(writers, lambda: behind(answers)))

        def answer() -> AlertsAnswer:
            raised = [_alert(alert) for alert in answers.alerts.after(after, limit)]
            return AlertsAnswer(**_head(answers, request), alerts=raised, next=raised[-1].cursor if raised else after)

        return await run(writers, answer)

    async def watched(request: Request, member_ids: Collection[str]) -> list[Alert] | None:
        computing: ComputingProcess | None = request.app.state.computing
        if computing is not None and member_ids:
            return await computing.watch(member_ids)
        return await run(writers, lambda: watch(request.app.state.answers, member_ids))


async def run(pool: Executor, work: Callable[[], T]) -> T:
    """Run blocking work off the event loop, in a pool that bounds how much runs at once."""
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _may_be_kept(item: ScoredItem | FailedItem) -> bool:
    """Whether the answer holds until something is published or written, or recommendations are paused."""
    return isinstance(item, ScoredItem) and item.source == "published" and item.decision.no_offer_reason != "paused"


def _members(body: MembersRequest) -> list[str]:
    return body.member_ids or [row.member_id for row in (*(body.histories or ()), *(body.features or ()))]


def _answers(request: Request) -> Answers:
    """Return what answers here: what takes computing is not done where a process of its own does it."""
    answers: Answers = request.app.state.answers
    return answers if request.app.state.computing is None else replace(answers, computes=False)


def request_id(request: Request) -> str:
    """Return the id the request goes by."""
    identifier: str = request.scope["state"]["request_id"]
    return identifier


def _head(answers: Answers, request: Request) -> dict[str, Any]:
    now = utc_now()
    return {"request_id": request_id(request), **answers.head(now, now)}


def _alert(alert: Alert) -> AlertItem:
    return AlertItem(
        cursor=alert.number,
        member_id=alert.member_id,
        churn_probability=alert.churn_probability,
        churn_probability_before=alert.before,
        threshold=alert.threshold,
        raised_at=iso(alert.raised_at),
    )
