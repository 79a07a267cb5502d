"""Around every request: who is let in, how often, how much and how slowly they may send, and what is logged of it."""

import asyncio
import json
import logging
import threading
from dataclasses import replace
from datetime import datetime

import pytest
from builders import decision
from fastapi.responses import StreamingResponse
from web import application, open_to_all, request

from serving import envelope
from serving.contracts import (
    ErrorAnswer,
    ExplainedItem,
    FailedItem,
    HealthAnswer,
    ItemError,
    RecommendedItem,
    ScoreAnswer,
    ScoredItem,
)
from serving.envelope import Surroundings, closed
from serving.gate import Gate, needs_of
from serving.keys import Key, KeyRing, _digest
from serving.logs import JsonFormatter, RequestLog
from serving.metrics import Metrics, Tally

TEXT = "wb_0a0b0c0d_secret"
MEMBER = "林黛玉"


WHERE = {
    "source": "published",
    "as_of": "2026-01-05",
    "computed_at": "2026-01-05T01:00:00+00:00",
    "model_version": "model1",
    "policy_version": None,
}


class FakeAnswers:
    """Knows one member."""

    def score(self, asked, *, request_id):
        unknown = ItemError(code="unknown_member", message="no decision")
        results = [
            ScoredItem(member_id=each, **WHERE, decision=decision(each))
            if each == MEMBER
            else FailedItem(member_id=each, error=unknown)
            for each in asked.member_ids
        ]
        return ScoreAnswer(
            request_id=request_id, model_version="m", policy_version=None,
            as_of="2026-01-05", computed_at="2026-01-05T01:00:00+00:00", results=results,
        )  # fmt: skip

    def is_unpaused_still(self):
        return False

    def is_paused(self):
        return False

    def health(self):
        return HealthAnswer(status="ok", refused=[])


def guarded(*scopes: str, requests_per_minute: int = 100) -> Surroundings:
    key = Key("0a0b0c0d", "crm", frozenset(scopes), datetime(2026, 1, 1))
    ring = KeyRing({key.id: (key, _digest(TEXT))})
    return Surroundings(Gate(ring, requests_per_minute=requests_per_minute), Metrics(), RequestLog(b"secret"))


def score(surroundings: Surroundings, key: str | None = TEXT, *members: str, app=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    app = app or application(FakeAnswers(), surroundings)
    return request(app, "POST", "/v1/score", json={"member_ids": members or (MEMBER,)}, headers=headers)


def error_of(response) -> str:
    return ErrorAnswer.model_validate(response.json()).error.code


def test_a_key_with_the_scope_is_let_in():
    assert score(guarded("score")).status_code == 200
    assert score(guarded("admin")).status_code == 200


@pytest.mark.parametrize("key", [None, "", "wb_0a0b0c0d_guess", "wb_ffffffff_secret", "Basic x"])
def test_without_a_key_that_holds_nobody_is_let_in(key):
    response = score(guarded("score"), key)
    assert (response.status_code, error_of(response)) == (401, "unauthorised")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_key_without_the_scope_is_forbidden():
    response = score(guarded("write"))
    assert (response.status_code, error_of(response)) == (403, "forbidden")


def test_who_asks_too_often_is_told_when_to_ask_again():
    app = application(FakeAnswers(), guarded("score", requests_per_minute=2))
    responses = [score(guarded(), app=app) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert error_of(responses[-1]) == "too_many_requests"
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 30


def test_until_the_keys_are_read_nobody_is_let_in():
    assert score(closed()).status_code == 401


def test_keys_that_change_hold_from_the_next_request_on():
    surroundings = guarded("score")
    app = application(FakeAnswers(), surroundings)
    assert score(surroundings, app=app).status_code == 200
    surroundings.gate.ring = KeyRing({})
    assert score(surroundings, app=app).status_code == 401


def test_every_route_says_what_it_needs_and_health_needs_nothing():
    app = application(FakeAnswers(), guarded())
    open_routes = {"/openapi.json", "/healthz"}
    schema = request(app, "GET", "/openapi.json").json()
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in schema["paths"].items():
        for description in methods.values():
            assert bool(description["security"]) == (path not in open_routes), path
    assert request(app, "GET", "/healthz").json() == {"status": "ok", "refused": []}
    assert request(app, "GET", "/metrics").status_code == 401


def test_a_route_that_does_not_say_what_it_needs_cannot_be_served():
    app = application()
    app.get("/v1/forgotten")(lambda: None)
    with pytest.raises(ValueError, match="/v1/forgotten"):
        needs_of(app)


def test_a_body_that_trickles_in_is_given_up(monkeypatch):
    monkeypatch.setattr(envelope, "BODY_SECONDS", 0.05)

    async def endless():
        yield b'{"member_ids": ['
        await asyncio.Event().wait()

    headers = {"Content-Type": "application/json"}
    response = request(application(FakeAnswers()), "POST", "/v1/score", content=endless(), headers=headers)
    assert (response.status_code, error_of(response)) == (408, "too_slow")


def test_a_requests_line_names_the_key_and_hashes_the_members(caplog):
    with caplog.at_level(logging.INFO, "winback.requests"):
        score(guarded("score"), TEXT, *[MEMBER] * 12)
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert (line["key"], line["path"], line["status"], line["members"]) == ("crm", "/v1/score", 200, 12)
    assert line["member_hashes"] == [RequestLog(b"secret").hashed(MEMBER)] * 10
    assert line["milliseconds"] > 0
    assert MEMBER not in str(line)
    assert TEXT not in str(line)


def test_prometheus_reads_what_was_answered():
    surroundings = replace(open_to_all(), metrics=Metrics())
    app = application(FakeAnswers(), surroundings)
    score(surroundings, None, MEMBER, "stranger", app=app)
    request(app, "GET", "/wp-login.php")
    page = request(app, "GET", "/metrics").text
    for line in (
        'winback_requests_total{path="/v1/score",status="200"} 1.0',
        'winback_requests_total{path="other",status="404"} 1.0',
        'winback_decisions_total{decision="none"} 1.0',
        'winback_item_errors_total{code="unknown_member"} 1.0',
        'winback_churn_probability_bucket{le="0.4"} 1.0',
        'winback_request_seconds_count{path="/v1/score"} 1.0',
    ):
        assert line in page


@pytest.mark.parametrize(("scopes", "most", "status"), [(("write",), 100, 403), (("score",), 1, 429)])
def test_the_line_of_a_call_that_is_refused_names_its_key(scopes, most, status, caplog):
    surroundings = guarded(*scopes, requests_per_minute=most)
    with caplog.at_level(logging.INFO, "winback.requests"):
        score(surroundings)
        score(surroundings)
    line = json.loads(JsonFormatter().format(caplog.records[-1]))
    assert (line["status"], line["key"]) == (status, "crm")


def test_a_method_of_any_length_is_logged_as_another(caplog):
    with caplog.at_level(logging.INFO, "winback.requests"):
        request(application(FakeAnswers()), "X" * 1_000, "/v1/score")
    (record,) = caplog.records
    assert json.loads(JsonFormatter().format(record))["method"] == "other"


def test_a_call_that_takes_too_long_is_ended_in_the_one_shape(monkeypatch):
    class Slow(FakeAnswers):
        def score(self, asked, *, request_id):
            begun.wait(5)
            return super().score(asked, request_id=request_id)

    begun = threading.Event()
    monkeypatch.setattr(envelope, "LONGEST_CALL_SECONDS", 0.05)
    response = score(open_to_all(), None, app=application(Slow()))
    begun.set()
    assert (response.status_code, error_of(response)) == (504, "timed_out")


def test_an_answer_that_has_begun_may_take_its_time(monkeypatch):
    async def slowly():
        for _ in range(4):
            await asyncio.sleep(0.05)
            yield b"."

    monkeypatch.setattr(envelope, "LONGEST_CALL_SECONDS", 0.1)
    app = application(FakeAnswers())
    app.add_route("/long", lambda _: StreamingResponse(slowly()))
    assert request(app, "GET", "/long").text == "...."


def test_a_caller_who_hangs_up_within_a_body_is_no_fault_of_ours(caplog):
    app, sent = application(FakeAnswers()), []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/score", "headers": headers, "query_string": b"",
        "http_version": "1.1",
    }  # fmt: skip

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert not [record for record in caplog.records if record.exc_info]


def test_recommendations_and_explanations_are_counted_as_well():
    recommended = RecommendedItem.model_construct(no_offer_reason=None, assigned_incentive="coupon_10")
    explained = ExplainedItem.model_construct(churn_probability=0.25)
    assert Tally.of([recommended, explained]) == Tally((0.25,), ("coupon_10",), ())
