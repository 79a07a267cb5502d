"""The real process behind `winback serve`: health, the model, and one error shape, over HTTP."""

import time
from contextlib import closing

import pytest
from builders import AS_OF, history_of

from serving.contracts import ErrorAnswer, ModelAnswer, ScoreAnswer
from serving.database import open_database, owner_of
from serving.keys import KeyStore


def score(service, **body):
    return service.post("/v1/score", json=body)


def test_it_is_alive_ready_and_measured(service):
    assert [service.get(path).status_code for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]


def test_it_names_the_model_the_policy_and_the_publication(service, published):
    answer = ModelAnswer.model_validate(service.get("/v1/model").json())
    assert answer.model_version == published.bundle.version
    assert answer.policy_version == published.policy_table.version
    assert (answer.publication.as_of, answer.publication.members) == (AS_OF, len(published.records))


def test_unknown_members_are_errors_of_their_items_only(service, published):
    known = next(iter(published.records))
    answer = ScoreAnswer.model_validate(
        score(service, member_ids=["stranger", known, "'; drop table decisions; --"]).json()
    )
    assert [item.member_id for item in answer.results] == ["stranger", known, "'; drop table decisions; --"]
    assert [getattr(item, "error", None) and item.error.code for item in answer.results] == [
        "unknown_member", None, "unknown_member",
    ]  # fmt: skip


def test_a_member_the_programme_does_not_score_is_not_eligible_by_id_too(service, published):
    left_out = next(member for member in published.member_ids if member not in published.records)
    answer = ScoreAnswer.model_validate(score(service, member_ids=[left_out]).json())
    assert answer.results[0].error.code == "not_eligible"


def test_histories_that_do_not_fit_are_errors_of_their_items_only(service, published):
    good, other, *_ = (history_of(member, published.frames) for member in published.records)
    twice = {**other, "orders": [*other["orders"], {**other["orders"][0], "net_amount": -5.0, "order_id": "odd"}]}
    stranger = {"member_id": "stranger"}
    lapsed = {
        "member_id": "lapsed",
        "orders": [{"order_id": "long-ago", "ordered_at": "2020-05-01T10:00:00", "net_amount": 20.0}],
    }
    answer = ScoreAnswer.model_validate(score(service, histories=[twice, good, stranger, good, lapsed]).json())
    codes = [getattr(item, "error", None) and item.error.code for item in answer.results]
    assert codes == ["invalid_history", None, "no_history", "duplicate_member", "not_eligible"]
    assert answer.results[1].decision == published.records[good["member_id"]]


def test_an_as_of_the_model_has_seen_is_refused(service, published):
    history = history_of(published.member_ids[0], published.frames)
    response = score(service, histories=[history], as_of="2025-01-01")
    assert response.status_code == 409
    assert "has seen what came after" in ErrorAnswer.model_validate(response.json()).error.message


def test_a_time_of_day_may_be_asked_for(service, published):
    history = history_of(next(iter(published.records)), published.frames)
    answer = ScoreAnswer.model_validate(score(service, histories=[history], as_of="2026-01-05T15:30:00+08:00").json())
    assert answer.as_of == "2026-01-05T07:30:00+00:00"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"x", "headers": {"Content-Type": "application/vnd.bentoml+pickle"}}, 415),
        ({"json": {"member_ids": [1]}}, 422),
        ({"json": {"histories": [{"member_id": "a", "orders": [{"order_id": "1"}]}]}}, 422),
    ],
)
def test_what_is_wrong_with_a_call_is_said_in_one_shape(service, request_, status):
    response = service.post("/v1/score", **request_)
    assert response.status_code == status
    assert ErrorAnswer.model_validate(response.json()).error.request_id == response.headers["x-request-id"]


def test_nobody_is_let_in_without_a_key(service, published):
    response = service.post("/v1/score", json={"member_ids": published.member_ids[:1]}, headers={"Authorization": ""})
    assert response.status_code == 401
    assert service.get("/metrics", headers={"Authorization": "Bearer wb_guess"}).status_code == 401


def test_keys_made_and_revoked_while_it_runs_are_noticed(service, published):
    def until(status: int, key: str) -> None:
        deadline = time.monotonic() + 20
        while service.get("/v1/model", headers={"Authorization": f"Bearer {key}"}).status_code != status:
            assert time.monotonic() < deadline

    with closing(open_database(published.programme)) as database:
        keys = KeyStore(database, owner_of(published.programme))
        key, text = keys.add("crm", ["score"])
        until(200, text)
        keys.revoke(key.id)
        until(401, text)


@pytest.mark.parametrize("path", ["/", "/schema.json", "/docs.json", "/assets/index.js", "/static_content/x.js"])
def test_pages_of_the_server_that_refer_to_others_are_not_served(service, path):
    response = service.get(path)
    assert response.status_code == 404
    assert ErrorAnswer.model_validate(response.json()).error.code == "not_found"
