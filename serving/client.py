"""A client of the service: typed answers, and another try where another try can help."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from features.errors import InputError, WinbackError
from features.settings import Language
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
    AlertItem,
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
ReasonLanguage = Language | Literal["both"]

AGAIN: Final = (408, 429, 503)
"""Statuses that a later try may not meet again; 500 is a fault of the service's, which would be met again."""
LONGEST_WAIT_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0

_KEY: Final = re.compile(r"[!-~]+")


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
        For an answer to begin, and between any two bytes of it. What is computed for 1,000 members takes its time, and
        the service, which gives up after 60 seconds, is let say so. Connecting may take `CONNECT_SECONDS` at most.
    transport
        How to get there, for tests; None is the network.
    sleep
        How to wait.

    Raises
    ------
    InputError
        If the key cannot be one, or there is to be no try.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        tries: int = 4,
        pause_seconds: float = 0.2,
        timeout_seconds: float = 65.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if key is not None and not _KEY.fullmatch(key):
            raise InputError("key: give it as `winback keys add` printed it: ASCII, no spaces, no line ends")
        if tries < 1:
            raise InputError(f"tries: a call is made at least once, not {tries} times")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        timeout = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS))
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
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

    def score(self, member_ids: Sequence[str], *, reasons: int = 3, language: ReasonLanguage = "both") -> ScoreAnswer:
        """Return the published decisions of members, in the order asked.

        Parameters
        ----------
        member_ids
            At most 1,000.
        reasons
            How many reasons to give, at most 10; of more than three, decisions are worked out anew.
        language
            In which language.

        Raises
        ------
        InputError
            If the question does not fit the contract; nothing is sent then.
        ServiceError
            If the whole call fails; a member without a decision is an error of their item only.
        """
        return self._score(member_ids=list(member_ids), reasons=reasons, language=language)

    def score_histories(
        self,
        histories: Sequence[History],
        *,
        as_of: str | None = None,
        reasons: int = 3,
        language: ReasonLanguage = "both",
    ) -> ScoreAnswer:
        """Return decisions about members from their own rows, computed now; see :meth:`score`."""
        return self._score(histories=list(histories), as_of=as_of, reasons=reasons, language=language)

    def score_features(
        self,
        features: Sequence[Features],
        *,
        as_of: str | None = None,
        reasons: int = 3,
        language: ReasonLanguage = "both",
    ) -> ScoreAnswer:
        """Return decisions about members from their features, all of the catalogue; see :meth:`score`."""
        return self._score(features=list(features), as_of=as_of, reasons=reasons, language=language)

    def recommend(self, member_ids: Sequence[str]) -> RecommendAnswer:
        """Return what to send to members, if anything, and why or why not; raises as :meth:`score`."""
        return self._recommend(member_ids=list(member_ids))

    def recommend_histories(self, histories: Sequence[History], *, as_of: str | None = None) -> RecommendAnswer:
        """Return what to send to members by their own rows; see :meth:`recommend`."""
        return self._recommend(histories=list(histories), as_of=as_of)

    def recommend_features(self, features: Sequence[Features], *, as_of: str | None = None) -> RecommendAnswer:
        """Return what to send to members by their features; see :meth:`recommend`."""
        return self._recommend(features=list(features), as_of=as_of)

    def explain(self, member_ids: Sequence[str]) -> ExplainAnswer:
        """Return what moved members' churn probabilities, input by input; raises as :meth:`score`."""
        return self._explain(member_ids=list(member_ids))

    def explain_histories(self, histories: Sequence[History], *, as_of: str | None = None) -> ExplainAnswer:
        """Return what in members' own rows moved their churn probabilities; see :meth:`explain`."""
        return self._explain(histories=list(histories), as_of=as_of)

    def explain_features(self, features: Sequence[Features], *, as_of: str | None = None) -> ExplainAnswer:
        """Return what of members' features moved their churn probabilities; see :meth:`explain`."""
        return self._explain(features=list(features), as_of=as_of)

    def write_events(self, new: EventsRequest) -> EventsAnswer:
        """Write down orders and events; each counts once, however often its id is sent."""
        return self.call("POST", "/v1/events", EventsAnswer, new)

    def write_offers(self, new: OffersRequest) -> OffersAnswer:
        """Write down offers made, which reserves their budget; each counts once."""
        return self.call("POST", "/v1/offers", OffersAnswer, new)

    def write_outcomes(self, new: OutcomesRequest) -> OutcomesAnswer:
        """Write down what became of offers; each counts once."""
        return self.call("POST", "/v1/outcomes", OutcomesAnswer, new)

    def alerts(self, after: int = 0, *, limit: int = 100) -> AlertsAnswer:
        """Return the alerts raised after a cursor, the ``next`` of the answer before; so many at most, 1 to 1,000."""
        return self.call("GET", f"/v1/alerts?after={after}&limit={limit}", AlertsAnswer)

    def alerts_since(self, after: int = 0, *, limit: int = 100) -> Iterator[AlertItem]:
        """Yield all alerts raised after a cursor, so many per call, until there are none; each has its own cursor."""
        while (answer := self.alerts(after, limit=limit)).alerts:
            yield from answer.alerts
            after = answer.next

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

    def _score(self, **asked: Any) -> ScoreAnswer:
        return self.call("POST", "/v1/score", ScoreAnswer, _question(ScoreRequest, asked))

    def _recommend(self, **asked: Any) -> RecommendAnswer:
        return self.call("POST", "/v1/recommend", RecommendAnswer, _question(RecommendRequest, asked))

    def _explain(self, **asked: Any) -> ExplainAnswer:
        return self.call("POST", "/v1/explain", ExplainAnswer, _question(ExplainRequest, asked))


def _question(contract: type[A], asked: Mapping[str, Any]) -> A:
    try:
        return contract.model_validate(asked)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        raise InputError(f"{field} does not fit: {problem['msg'].removeprefix('Value error, ')}") from error


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
