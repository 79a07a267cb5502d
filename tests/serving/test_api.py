"""Over HTTP: one status per cause, one error shape, nothing of the inside leaks out."""

import json
from typing import Any

import httpx
import pytest
from builders import decision
from web import application, request

from features.errors import InputError, RefusedError
from serving.answers import NotReadyError
from serving.aside import LARGE_BYTES
from serving.contracts import ScoreAnswer, ScoredItem
from serving.database import StoreError
from serving.failures import MAX_BODY_BYTES


class FakeAnswers:
    """Answers every id with a decision, or fails as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def score(self, request, *, request_id):
        if self.failure:
            raise self.failure
        where = {
            "source": "published",
            "as_of": "2026-01-05",
            "computed_at": "2026-01-05T01:00:00+00:00",
            "model_version": "model1",
            "policy_version": None,
        }
        results = [ScoredItem(member_id=member, **where, decision=decision(member)) for member in request.member_ids]
        return ScoreAnswer(
            request_id=request_id,
            model_version="model1",
            policy_version=None,
            as_of="2026-01-05",
            computed_at="2026-01-05T01:00:00+00:00",
            results=results,
        )


def call(method: str, path: str, failure: Exception | None = None, **asked: Any) -> httpx.Response:
    """Make one request to the application, without a network."""
    return request(application(FakeAnswers(failure)), method, path, **asked)


def score(
    failure: Exception | None = None, *, content_type: str = "application/json", **request: Any
) -> httpx.Response:
    return call("POST", "/v1/score", failure, **{"headers": {"Content-Type": content_type}, **request})


def refusal(response) -> dict:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "field", "request_id"}
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    return body["error"]


def test_decisions_are_answered_as_records():
    response = score(json={"member_ids": ["a", "b"]}, headers={"X-Request-ID": "call-7"})
    assert response.status_code == 200
    answer = ScoreAnswer.model_validate(response.json())
    assert answer.request_id == response.headers["x-request-id"] == "call-7"
    assert [item.decision for item in answer.results] == [decision("a"), decision("b")]


def test_a_strange_request_id_is_replaced():
    response = score(json={"member_ids": ["a"]}, headers={"X-Request-ID": "<script>"})
    assert response.json()["request_id"].isalnum()


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_malformed(body):
    response = score(content=body)
    assert response.status_code == 400
    assert refusal(response)["code"] == "malformed"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", None),
        ("{}", None),
        ("[]", None),
        ('{"member_ids": [1]}', "member_ids.0"),
        ('{"member_ids": [NaN]}', "member_ids.0"),
        ('{"member_ids": ["a "]}', "member_ids.0"),
        ('{"member_ids": [" "]}', "member_ids.0"),
    ],
)
def test_what_does_not_fit_is_invalid_and_names_its_field(body, field):
    response = score(content=body)
    assert response.status_code == 422
    assert (refusal(response)["code"], refusal(response)["field"]) == ("invalid", field)


def test_what_a_caller_sent_is_repeated_in_part_only():
    response = score(json={"x" * 100_000: 1, "as_of": "y" * 100_000})
    assert response.status_code == 422
    assert len(response.content) < 2_000


@pytest.mark.parametrize("content_type", ["application/vnd.bentoml+pickle", "text/plain", ""])
def test_only_json_is_taken(content_type):
    response = score(content=b"{}", headers={"Content-Type": content_type})
    assert response.status_code == 415
    assert refusal(response)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused(encoding):
    response = score(
        content=b'{"member_ids": ["a"]}', headers={"Content-Type": "application/json", "Content-Encoding": encoding}
    )
    assert response.status_code == 415
    assert refusal(response)["message"] == "send the body as it is, without a Content-Encoding"


@pytest.mark.parametrize("space", ["", " " * LARGE_BYTES])
@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"member_ids": ["a"], "member_ids": ["b"]}', "'member_ids'"),
        ('{"features": [{"member_id": "a", "values": {"x": 1, "x": 2}}]}', "'x'"),
        ('{"\\ud800": 1, "\\ud800": 2}', r"'\ud800'"),
    ],
)
def test_of_two_values_of_one_name_none_is_taken(body, name, space):
    response = score(content=(body + space).encode())
    assert response.status_code == 400
    assert refusal(response)["message"] == f"the body is not JSON: {name} is given twice in one object"


def test_a_body_in_another_encoding_is_told_so():
    response = score(content='{"member_ids": ["林黛玉"]}'.encode("gbk"))
    assert response.status_code == 400
    assert refusal(response)["message"] == "the body is not JSON: it is not in UTF-8"


@pytest.mark.parametrize(("method", "path", "other"), [("GET", "/v1/score", "POST"), ("POST", "/v1/model", "GET")])
def test_another_method_is_told_which_the_path_has(method, path, other):
    response = call(method, path, json={})
    assert response.status_code == 405
    assert response.headers["Allow"] == other


def test_a_body_that_says_it_is_too_large_is_refused_unread():
    response = score(content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert refusal(response)["code"] == "too_large"


def test_a_body_of_unstated_length_is_refused_once_too_large():
    async def chunks():
        for _ in range(MAX_BODY_BYTES // 1024**2 + 1):
            yield b" " * 1024**2

    response = score(content=chunks())
    assert response.status_code == 413
    assert refusal(response)["code"] == "too_large"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (RefusedError("the model has seen it"), 409, "refused"),
        (InputError("no such time zone"), 422, "invalid"),
        (NotReadyError("nothing published"), 503, "not_ready"),
    ],
)
def test_each_known_failure_has_its_status(failure, status, code):
    response = score(failure, json={"member_ids": ["a"]})
    assert response.status_code == status
    assert refusal(response)["code"] == code
    assert refusal(response)["message"] == str(failure)


def test_where_the_store_is_that_fails_is_for_the_log_only(caplog):
    response = score(StoreError("the store at sqlite:////srv/secret.db failed"), json={"member_ids": ["a"]})
    assert response.status_code == 503
    assert refusal(response)["code"] == "not_ready"
    assert "secret" not in response.text
    assert "secret" in caplog.text


@pytest.mark.parametrize("fault", [ValueError("secret"), KeyError("secret"), RuntimeError("secret")])
def test_our_own_faults_are_500_and_say_nothing_of_the_inside(fault):
    response = score(fault, json={"member_ids": ["a"]})
    assert response.status_code == 500
    assert refusal(response)["code"] == "internal"
    assert "secret" not in response.text


def test_a_path_that_is_nearly_right_is_not_found_and_leads_nowhere_else():
    response = call("POST", "/v1/score/", json={"member_ids": ["a"]}, headers={"Host": "elsewhere"})
    assert response.status_code == 404
    refusal(response)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/score", 405), ("GET", "/v2", 404)])
def test_unknown_ways_in_have_the_one_error_shape(method, path, status):
    response = call(method, path)
    assert response.status_code == status
    refusal(response)


def test_openapi_documents_every_route_and_refusal():
    schema = call("GET", "/openapi.json").json()
    members, ledger = ("score", "recommend", "explain"), ("events", "offers", "outcomes", "alerts")
    assert set(schema["paths"]) == {f"/v1/{name}" for name in (*members, *ledger, "model", "segments")} | {
        "/healthz",
        "/metrics",
    }
    responses = schema["paths"]["/v1/score"]["post"]["responses"]
    assert set(responses) == {
        "200", "400", "401", "403", "408", "409", "413", "415", "422", "429", "500", "503", "504",
    }  # fmt: skip
    assert "HTTPValidationError" not in json.dumps(schema)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_that_loads_scripts_from_outside_is_served(path):
    assert call("GET", path).status_code == 404
