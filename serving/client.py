"""A client of the service: typed answers, and another try where another try can help."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from features.errors import WinbackError
from serving.contracts import (
    ErrorAnswer,
    ExplainAnswer,
    ExplainRequest,
    Features,
    HealthAnswer,
    ModelAnswer,
    RecommendAnswer,
    RecommendRequest,
    ScoreAnswer,
    ScoreRequest,
    SegmentsAnswer,
)
from serving.ledger_contracts import (
    AlertsAnswer,
    EventsAnswer,
    EventsRequest,
    OffersAnswer,
    OffersRequest,
    OutcomesAnswer,
    OutcomesRequest,
)
from serving.rows import History

A = TypeVar("A", bound=BaseModel)

AGAIN: Final = (429, 503)
"""Statuses that a later try may not meet again."""
LONGEST_WAIT_SECONDS: Final = 30.0


class ServiceError(WinbackError):
    """The service refused a call, failed at it, or could not be reached.

    Attributes
    ----------
    status
        HTTP status; None where there was no answer.
    code, field, request_id
        As in the service's one error shape; None where the answer had another.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.field, self.request_id = status, code, field, request_id


class Client:
    """Calls the service; close it, or use it in a ``with`` statement.

    Parameters
    ----------
    url
        Where the service is, such as ``http://127.0.0.1:3000``.
    key
        The text of a key; None for a service that asks for none.
    tries
        How often a call that can be repeated without harm is made before its error is raised.
    pause_seconds
        Mean wait before the second try; it doubles with each, by chance up to twice as long or not at all. What the
        service asks for in ``Retry-After`` is waited for as well.
    timeout_seconds
        For connecting, and between any two bytes.
    transport
        How to get there, for tests; None is the network.
    sleep
        How to wait.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        tries: int = 4,
        pause_seconds: float = 0.2,
        timeout_seconds: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds, transport=transport)
        self._tries, self._pause_seconds, self._sleep = tries, pause_seconds, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def score(self, member_ids: Sequence[str]) -> ScoreAnswer:
        """Return the published decisions of members, in the order asked.

        Raises
        ------
        ServiceError
            If the whole call fails; a member without a decision is an error of their item only.
        """
        return self.call("POST", "/v1/score", ScoreAnswer, ScoreRequest(member_ids=list(member_ids)))

    def score_histories(self, histories: Sequence[History], *, as_of: str | None = None) -> ScoreAnswer:
        """Return decisions about members from their own rows, computed now; see :meth:`score`."""
        return self.call("POST", "/v1/score", ScoreAnswer, ScoreRequest(histories=list(histories), as_of=as_of))

    def score_features(self, features: Sequence[Features], *, as_of: str | None = None) -> ScoreAnswer:
        """Return decisions about members from their features, all of the catalogue; see :meth:`score`."""
        return self.call("POST", "/v1/score", ScoreAnswer, ScoreRequest(features=list(features), as_of=as_of))

    def recommend(self, member_ids: Sequence[str]) -> RecommendAnswer:
        """Return what to send to members, if anything, and why or why not; see :meth:`score`."""
        return self.call("POST", "/v1/recommend", RecommendAnswer, RecommendRequest(member_ids=list(member_ids)))

    def explain(self, member_ids: Sequence[str]) -> ExplainAnswer:
        """Return what moved members' churn probabilities, input by input; see :meth:`score`."""
        return self.call("POST", "/v1/explain", ExplainAnswer, ExplainRequest(member_ids=list(member_ids)))

    def write_events(self, new: EventsRequest) -> EventsAnswer:
        """Write down orders and events; each counts once, however often its id is sent."""
        return self.call("POST", "/v1/events", EventsAnswer, new)

    def write_offers(self, new: OffersRequest) -> OffersAnswer:
        """Write down offers made, which reserves their budget; each counts once."""
        return self.call("POST", "/v1/offers", OffersAnswer, new)

    def write_outcomes(self, new: OutcomesRequest) -> OutcomesAnswer:
        """Write down what became of offers; each counts once."""
        return self.call("POST", "/v1/outcomes", OutcomesAnswer, new)

    def alerts(self, after: int = 0) -> AlertsAnswer:
        """Return the alerts raised after a cursor, the ``next`` of the answer before."""
        return self.call("GET", f"/v1/alerts?after={after}", AlertsAnswer)

    def segments(self) -> SegmentsAnswer:
        """Return what is offered in each policy segment, and what was considered."""
        return self.call("GET", "/v1/segments", SegmentsAnswer)

    def model(self) -> ModelAnswer:
        """Return the model, the policy and the publication that answers come from."""
        return self.call("GET", "/v1/model", ModelAnswer)

    def health(self) -> HealthAnswer:
        """Tell whether the service is as it should be."""
        return self.call("GET", "/healthz", HealthAnswer)

    def call(
        self, method: str, path: str, answer: type[A], question: BaseModel | None = None, *, repeatable: bool = True
    ) -> A:
        """Ask, and ask again after a while where that may help.

        Parameters
        ----------
        method, path
            What to call.
        answer
            The contract of the answer.
        question
            The body.
        repeatable
            Whether it does no harm to ask twice. It never does where rows carry ids: the service takes each once.
        """
        body = None if question is None else question.model_dump_json(exclude_none=True)
        headers = {"X-Request-ID": uuid.uuid4().hex} | ({"Content-Type": "application/json"} if body else {})
        request = self._http.build_request(method, path, content=body, headers=headers)
        for tried in range(1, self._tries + 1 if repeatable else 2):
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                failure, asked_for = ServiceError(f"cannot reach {self._http.base_url}: {error}"), 0.0
            else:
                if response.is_success:
                    return _parsed(answer, response)
                failure, asked_for = _failure(response), _retry_after(response)
                if response.status_code not in AGAIN:
                    break
            if repeatable and tried < self._tries:
                wait = 2**tried * self._pause_seconds * random.random()  # noqa: S311 -- spreads callers, guards nothing
                self._sleep(min(asked_for + wait, LONGEST_WAIT_SECONDS))
        raise failure


def _parsed(answer: type[A], response: httpx.Response) -> A:
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        problem = f"{response.request.url.path} was answered in another shape than this client knows: {error}"
        raise ServiceError(problem, status=response.status_code) from error


def _failure(response: httpx.Response) -> ServiceError:
    try:
        told = ErrorAnswer.model_validate_json(response.content).error
    except ValidationError:
        return ServiceError(f"status {response.status_code}", status=response.status_code)
    return ServiceError(
        told.message, status=response.status_code, code=told.code, field=told.field, request_id=told.request_id
    )


def _retry_after(response: httpx.Response) -> float:
    seconds: Any = response.headers.get("Retry-After", "0")
    return float(seconds) if seconds.isdecimal() else 0.0
