"""The client gives typed answers, and asks again where that can help and only there."""

import json
import re
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import AS_OF, history_of

from features.errors import InputError
from serving.client import AGAIN, LONGEST_WAIT_SECONDS, Client, ServiceError
from serving.contracts import ErrorAnswer, ErrorBody, Features, HealthAnswer
from serving.histories import from_histories
from serving.ledger_contracts import AlertItem, AlertsAnswer, NewOutcome, OutcomesRequest
from serving.rows import History

DOCS = Path(__file__).parents[2] / "docs"
OUTCOMES = OutcomesRequest(outcomes=[NewOutcome(outcome_id="u1", offer_id="x1", cost_amount=1.5)])
FINE = HealthAnswer(status="ok", refused=[])
HISTORY, FEATURES = History(member_id="a"), Features(member_id="a", values={})


def answer(status: int = 200, **headers: str) -> httpx.Response:
    if status == 200:
        return httpx.Response(200, text=FINE.model_dump_json())
    body = ErrorBody(code="some_code", message="no", field="a.b", request_id="r1")
    return httpx.Response(status, text=ErrorAnswer(error=body).model_dump_json(), headers=headers)


def alerts(after: int, *cursors: int) -> httpx.Response:
    same = {"member_id": "a", "churn_probability": 0.6, "churn_probability_before": None, "threshold": 0.5}
    raised = [AlertItem(cursor=cursor, raised_at="2026-01-06", **same) for cursor in cursors]
    head = {"request_id": "r1", "model_version": "m", "policy_version": None, "as_of": "now", "computed_at": "now"}
    found = AlertsAnswer(**head, alerts=raised, next=max(cursors, default=after))
    return httpx.Response(200, text=found.model_dump_json())


def example(page: str) -> str:
    """Return the one example in Python that a page has for callers of the service."""
    (code,) = re.findall(r"^```py\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(code)


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


@pytest.mark.parametrize("obstacle", [*map(answer, AGAIN), httpx.ConnectError("refused"), httpx.ReadTimeout("")])
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


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422, 500])
def test_what_another_try_cannot_help_is_raised_at_once(status):
    service = Service(answer(status))
    with pytest.raises(ServiceError, match="no") as raised:
        service.ask()
    error = raised.value
    assert (error.status, error.code, error.field, error.request_id) == (status, "some_code", "a.b", "r1")
    assert service.waits == []


def test_the_page_about_the_service_says_after_which_statuses_it_asks_again():
    page = (DOCS / "crm.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"asks again by itself after ([^;]+), and where", page)
    assert said == "{}, {} and {}".format(*AGAIN)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda client: client.score([]), "member_ids does not fit: .*at least 1 item"),
        (lambda client: client.recommend(["a"] * 1_001), "member_ids does not fit: .*at most 1000 items"),
        (lambda client: client.explain(["a", "a "]), "member_ids.1 does not fit: must not begin or end with a space"),
        (lambda client: client.score(["a"], reasons=11), "reasons does not fit: .*less than or equal to 10"),
        (lambda client: client.score(["a"], language="fr"), "language does not fit: .*'en', 'zh' or 'both'"),
        (lambda client: client.explain_histories([HISTORY], as_of="soon"), "as_of does not fit: .*'soon'"),
    ],
)
def test_a_question_that_does_not_fit_is_not_sent(call, said):
    service = Service()
    with pytest.raises(InputError, match=said):
        service.ask(call)
    assert service.asked == []


@pytest.mark.parametrize("key", ["", "cl\xe9", "\u5bc6\u94a5", "a key", "a-key\n"])
def test_what_cannot_be_a_key_is_refused_at_once_and_not_repeated(key):
    with pytest.raises(InputError) as raised:
        Client("http://winback", key)
    assert str(raised.value) == "key: give it as `winback keys add` printed it: ASCII, no spaces, no line ends"


def test_a_call_is_made_at_least_once():
    with pytest.raises(InputError, match="tries: a call is made at least once, not 0 times"):
        Client("http://winback", tries=0)


def test_an_answer_may_take_over_a_minute_and_a_connection_ten_seconds():
    service = Service(answer(), answer())
    service.ask()
    service.ask(timeout_seconds=5)
    default, short = (request.extensions["timeout"] for request in service.asked)
    assert (default["connect"], default["read"]) == (10, 65)
    assert (short["connect"], short["read"]) == (5, 5)


@pytest.mark.parametrize("method", ["score", "recommend", "explain"])
@pytest.mark.parametrize(("form", "row"), [("histories", HISTORY), ("features", FEATURES)])
def test_members_are_asked_about_by_rows_and_features_as_of_any_moment(method, form, row):
    service = Service(answer(409))
    with pytest.raises(ServiceError):
        service.ask(lambda client: getattr(client, f"{method}_{form}")([row], as_of=AS_OF))
    (request,) = service.asked
    body = json.loads(request.content)
    assert (request.url.path, body["as_of"], body[form][0]["member_id"]) == (f"/v1/{method}", AS_OF, "a")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.score(["a"], reasons=7, language="zh"),
        lambda client: client.score_histories([HISTORY], reasons=7, language="zh"),
        lambda client: client.score_features([FEATURES], reasons=7, language="zh"),
    ],
)
def test_reasons_are_asked_for_by_number_and_language(call):
    service = Service(answer(409))
    with pytest.raises(ServiceError):
        service.ask(call)
    body = json.loads(service.asked[0].content)
    assert (body["reasons"], body["language"]) == (7, "zh")


def test_alerts_are_followed_until_there_are_none():
    service = Service(alerts(4, 5, 8), alerts(8, 9), alerts(9))
    found = service.ask(lambda client: list(client.alerts_since(4, limit=2)))
    assert [alert.cursor for alert in found] == [5, 8, 9]
    assert [request.url.params["after"] for request in service.asked] == ["4", "8", "9"]
    assert {request.url.params["limit"] for request in service.asked} == {"2"}


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
        ("/v1/score", lambda client: client.score_features([FEATURES])),
        ("/v1/segments", lambda client: client.segments()),
        ("/v1/alerts?after=7&limit=100", lambda client: client.alerts(after=7)),
        ("/v1/outcomes", lambda client: client.write_outcomes(OUTCOMES)),
    ],
)
def test_every_call_goes_where_it_belongs_and_may_be_made_again(path, call):
    service = Service(answer(503), answer(409))
    with pytest.raises(ServiceError):
        service.ask(call)
    assert [request.url.raw_path.decode() for request in service.asked] == [path, path]


def test_the_guides_example_runs(service, published, capsys):
    code = example("crm-integrator.md")
    key = service.headers["Authorization"].removeprefix("Bearer ")
    known, record = next(iter(published.records.items()))
    exec(code.replace("http://127.0.0.1:3000", str(service.base_url)).replace("m002", known), {"key": key})
    said, failed = capsys.readouterr().out.splitlines()
    assert said == f"{known} is sent {record.assigned_incentive}"
    assert failed.startswith("stranger failed: no decision")


def test_the_example_by_features_decides_as_the_publication_did(service, published):
    file = published.programme.path("programme.toml")
    code = example("crm-calls.md").replace("http://127.0.0.1:3000", str(service.base_url))
    names = {"key": service.headers["Authorization"].removeprefix("Bearer ")}
    exec(code.replace("programme.toml", str(file)).replace("2026-01-05", AS_OF), names)
    decided = {item.member_id: item.decision for item in names["answer"].results}
    assert decided.keys() >= published.records.keys()
    for member_id, record in published.records.items():
        assert decided[member_id].reasons == record.reasons


def test_it_speaks_with_the_service(service, published):
    key = service.headers["Authorization"].removeprefix("Bearer ")
    known = next(iter(published.records))
    with Client(str(service.base_url), key) as client:
        assert client.health() == FINE
        assert client.model().publication.as_of == AS_OF
        assert client.score([known]).results[0].decision == published.records[known]
        history = History.model_validate(history_of(known, published.frames))
        assert client.score_histories([history], as_of=AS_OF).results[0].decision == published.records[known]
        assert len(client.score([known], reasons=1).results[0].decision.reasons) == 1
        item = client.recommend_histories([history], as_of=AS_OF).results[0]
        assert item.assigned_incentive == published.records[known].assigned_incentive
        item = client.explain_histories([history], as_of=AS_OF).results[0]
        assert item.churn_probability == published.records[known].churn_probability
        assert list(client.alerts_since()) == client.alerts(limit=1_000).alerts
        as_of = published.programme.instant(AS_OF)
        row = from_histories([history], as_of, published.programme).parts[0].features.iloc[0]
        values = {name: None if isnan(row[name]) else row[name] for name in row.index.drop(["member_id", "as_of"])}
        told = Features(member_id=known, values=values)
        decision = client.score_features([told], as_of=AS_OF).results[0].decision
        assert decision.reasons == published.records[known].reasons
        assert client.segments().policy_version == published.policy_table.version
        with pytest.raises(ServiceError, match="has seen what came after"):
            client.score_histories([history], as_of="2025-01-01")
