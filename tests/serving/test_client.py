"""The client gives typed answers, and asks again where that can help and only there."""

import re
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import AS_OF, history_of

from serving.client import LONGEST_WAIT_SECONDS, Client, ServiceError
from serving.contracts import ErrorAnswer, ErrorBody, Features, HealthAnswer
from serving.histories import from_histories
from serving.ledger_contracts import NewOutcome, OutcomesRequest
from serving.rows import History

GUIDE = Path(__file__).parents[2] / "docs" / "crm-integrator.md"
OUTCOMES = OutcomesRequest(outcomes=[NewOutcome(outcome_id="u1", offer_id="x1", cost_amount=1.5)])
FINE = HealthAnswer(status="ok", refused=[])


def answer(status: int = 200, **headers: str) -> httpx.Response:
    if status == 200:
        return httpx.Response(200, text=FINE.model_dump_json())
    body = ErrorBody(code="some_code", message="no", field="a.b", request_id="r1")
    return httpx.Response(status, text=ErrorAnswer(error=body).model_dump_json(), headers=headers)


class Service:
    """Answers one after the other, and remembers what it was asked and how long the client waited."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.asked: list[httpx.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        now = next(self.answers)
        if isinstance(now, Exception):
            raise now
        return now

    def ask(self, call: Callable[[Client], Any] = Client.health, **settings: Any) -> Any:
        transport = httpx.MockTransport(self)
        with Client("http://winback", "a-key", transport=transport, sleep=self.waits.append, **settings) as client:
            return call(client)


@pytest.mark.parametrize("obstacle", [answer(429), answer(503), httpx.ConnectError("refused"), httpx.ReadTimeout("")])
def test_it_asks_again_with_the_same_id_where_that_may_help(obstacle):
    service = Service(obstacle, obstacle, answer())
    assert service.ask() == FINE
    assert len(service.asked) == 3
    assert len({request.headers["X-Request-ID"] for request in service.asked}) == 1
    assert {request.headers["Authorization"] for request in service.asked} == {"Bearer a-key"}


def test_waits_grow_are_left_to_chance_and_end(monkeypatch):
    monkeypatch.setattr("serving.client.random.random", lambda: 0.5)
    service = Service(*[answer(503)] * 10)
    with pytest.raises(ServiceError):
        service.ask(tries=10, pause_seconds=0.2)
    assert service.waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, LONGEST_WAIT_SECONDS])


def test_what_the_service_asks_for_is_waited_for():
    service = Service(answer(429, **{"Retry-After": "7"}), answer())
    service.ask()
    assert 7 <= service.waits[0] <= 7.4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 500])
def test_what_another_try_cannot_help_is_raised_at_once(status):
    service = Service(answer(status))
    with pytest.raises(ServiceError, match="no") as raised:
        service.ask()
    error = raised.value
    assert (error.status, error.code, error.field, error.request_id) == (status, "some_code", "a.b", "r1")
    assert service.waits == []


def test_what_must_not_happen_twice_is_tried_once():
    service = Service(httpx.ReadTimeout(""))
    with pytest.raises(ServiceError, match="cannot reach"):
        service.ask(lambda client: client.call("POST", "/v1/health", HealthAnswer, FINE, repeatable=False))
    assert (len(service.asked), service.waits) == (1, [])


@pytest.mark.parametrize("odd", [httpx.Response(502, text="<html>"), httpx.Response(200, text="{}")])
def test_an_answer_of_another_shape_is_an_error_of_its_own(odd):
    with pytest.raises(ServiceError) as raised:
        Service(odd).ask()
    assert (raised.value.status, raised.value.code) == (odd.status_code, None)


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/recommend", lambda client: client.recommend(["a"])),
        ("/v1/explain", lambda client: client.explain(["a"])),
        ("/v1/score", lambda client: client.score_features([Features(member_id="a", values={})])),
        ("/v1/segments", lambda client: client.segments()),
        ("/v1/alerts?after=7", lambda client: client.alerts(after=7)),
        ("/v1/outcomes", lambda client: client.write_outcomes(OUTCOMES)),
    ],
)
def test_every_call_goes_where_it_belongs_and_may_be_made_again(path, call):
    service = Service(answer(503), answer(409))
    with pytest.raises(ServiceError):
        service.ask(call)
    assert [request.url.raw_path.decode() for request in service.asked] == [path, path]


def test_the_guides_example_runs(service, published, capsys):
    (code,) = re.findall(r"^```py\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    key = service.headers["Authorization"].removeprefix("Bearer ")
    known, record = next(iter(published.records.items()))
    exec(code.replace("http://127.0.0.1:3000", str(service.base_url)).replace("m002", known), {"key": key})
    said, failed = capsys.readouterr().out.splitlines()
    assert said == f"{known} is sent {record.assigned_incentive}"
    assert failed.startswith("stranger failed: no decision")


def test_it_speaks_with_the_service(service, published):
    key = service.headers["Authorization"].removeprefix("Bearer ")
    known = next(iter(published.records))
    with Client(str(service.base_url), key) as client:
        assert client.health() == FINE
        assert client.model().publication.as_of == AS_OF
        assert client.score([known]).results[0].decision == published.records[known]
        history = History.model_validate(history_of(known, published.frames))
        assert client.score_histories([history], as_of=AS_OF).results[0].decision == published.records[known]
        as_of = published.programme.instant(AS_OF)
        row = from_histories([history], as_of, published.programme).parts[0].features.iloc[0]
        values = {name: None if isnan(row[name]) else row[name] for name in row.index.drop(["member_id", "as_of"])}
        told = Features(member_id=known, values=values)
        decision = client.score_features([told], as_of=AS_OF).results[0].decision
        assert decision.reasons == published.records[known].reasons
        assert client.segments().policy_version == published.policy_table.version
        with pytest.raises(ServiceError, match="has seen what came after"):
            client.score_histories([history], as_of="2025-01-01")
