"""What takes computing is answered by a process of its own, as the service's own routes answer it."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import httpx
import pytest
from builders import AS_OF, history_of, small_bundle, small_policy, small_programme
from web import application, request

from features.errors import PassingError, RefusedError
from serving import inside
from serving.answers import Answers, answers_of, open_answers
from serving.aside import LARGE_BYTES
from serving.batch import score_programme
from serving.bundle_files import save_bundle
from serving.computing import ComputingProcess
from serving.inside import Call, Parts
from serving.lookup import iso, utc_now


@pytest.fixture(scope="module")
def computing(published) -> Iterator[ComputingProcess]:
    with closing(ComputingProcess(parts(published))) as process:
        process.take_over(parts(published))
        yield process


@pytest.fixture(scope="module")
def answers(published) -> Iterator[Answers]:
    with closing(answers_of(published.programme, published.bundle, published.policy_table)) as made:
        yield made


@pytest.fixture
def within(monkeypatch) -> Iterator[inside._Inside]:
    """What runs inside the process, run here."""
    made = inside._Inside()
    monkeypatch.setattr(inside, "_inside", made, raising=False)
    yield made
    made.loop.close()


def parts(shop) -> Parts:
    return Parts(shop.programme, shop.bundle, shop.policy_table)


def both(answers, computing, path: str, **asked) -> tuple[httpx.Response, httpx.Response]:
    """Ask an application that computes by itself, and one that has a process for it."""
    alone, helped = application(answers), application(answers)
    helped.state.computing = computing
    headers = {"X-Request-ID": "same"}
    return request(alone, "POST", path, headers=headers, **asked), request(
        helped, "POST", path, headers=headers, **asked
    )


def without_times(response: httpx.Response) -> object:
    def bare(value):
        if isinstance(value, dict):
            return {name: bare(inner) for name, inner in value.items() if name != "computed_at"}
        return [bare(inner) for inner in value] if isinstance(value, list) else value

    return bare(response.json())


def of_members(shop, count: int = 2) -> dict[str, object]:
    return {"histories": [history_of(member_id, shop.frames) for member_id in list(shop.records)[:count]]}


@pytest.mark.parametrize("path", ["/v1/score", "/v1/recommend", "/v1/explain"])
def test_histories_are_answered_as_they_would_be_here(published, answers, computing, path):
    here, aside = both(answers, computing, path, json={**of_members(published), "as_of": AS_OF})
    assert (here.status_code, aside.status_code) == (200, 200)
    assert without_times(aside) == without_times(here)


def test_a_large_body_and_one_that_does_not_fit_are_answered_as_they_would_be_here(answers, computing):
    ids = {"member_ids": ["m001"] * 500, "reasons": 1}
    padded = json.dumps(ids).encode() + b" " * LARGE_BYTES
    for content in (padded, padded[:-LARGE_BYTES], b'{"histories": [{"orders": 3}]}', b'{"histories": '):
        kind = {"Content-Type": "application/json", "X-Request-ID": "same"}
        responses = []
        for process in (None, computing):
            app = application(answers)
            app.state.computing = process
            responses.append(request(app, "POST", "/v1/score", content=content, headers=kind))
        here, aside = responses
        assert aside.status_code == here.status_code
        assert without_times(aside) == without_times(here)


def test_a_name_that_only_a_reader_of_json_can_tell_is_sent_on_all_the_same(published, answers, computing):
    body = json.dumps({**of_members(published, 1), "as_of": AS_OF}).replace("histories", "\\u0068istories")
    app = application(answers)
    app.state.computing = computing
    response = request(app, "POST", "/v1/score", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    assert response.json()["results"][0].get("source") == "computed", response.json()


def test_what_is_answered_there_is_counted_and_logged_here(published, answers, computing, caplog):
    app = application(answers)
    app.state.computing = computing
    with caplog.at_level("INFO", logger="winback.requests"):
        request(app, "POST", "/v1/score", json={**of_members(published), "as_of": AS_OF})
    page = app.state.surroundings.metrics.page().decode()
    assert "winback_churn_probability_count 2.0" in page
    [line] = [record.fields for record in caplog.records if record.name == "winback.requests"]
    assert line["members"] == 2


def test_calls_come_to_the_parts_they_were_given_in_order(published, computing):
    other = small_policy(published.programme.instant(AS_OF), incentive_id="coupon_20")
    unfit = published.bundle.model_copy(update={"churn_days": 57})
    call = Call("/v1/score", json.dumps({**of_members(published, 1), "as_of": AS_OF}).encode(), "1")

    def version() -> str:
        return json.loads(asyncio.run(computing.answer(call)).body)["policy_version"]

    try:
        computing.take_over(replace(parts(published), policy_table=other))
        assert version() == other.version
        with pytest.raises(RefusedError, match="train again"):
            computing.take_over(replace(parts(published), bundle=unfit))
        assert version() == other.version
    finally:
        computing.take_over(parts(published))
    assert version() == published.policy_table.version


def test_our_faults_in_there_are_500_in_the_one_shape(within, caplog):
    class Faulty:
        def score(self, request, *, request_id):
            raise ZeroDivisionError("a secret")

    within.app.state.answers = Faulty()
    reply = inside.answer(Call("/v1/score", b'{"member_ids": ["m001"]}', "7"))
    assert reply.status == 500
    assert json.loads(reply.body)["error"] | {"message": ""} == {
        "code": "internal", "message": "", "field": None, "request_id": "7",
    }  # fmt: skip
    assert b"secret" not in reply.body
    assert "a secret" in caplog.text


def test_before_it_has_its_parts_it_asks_to_be_asked_again(within):
    with pytest.raises(PassingError, match="ask again"):
        inside.answer(Call("/v1/score", b"{}", "7"))


def test_a_lost_process_is_replaced_and_the_call_answered(published, computing):
    call = Call("/v1/score", json.dumps({**of_members(published, 1), "as_of": AS_OF}).encode(), "1")
    (lost,) = children_of(computing)
    os.kill(lost, signal.SIGKILL)
    assert asyncio.run(computing.answer(call)).status == 200
    assert children_of(computing) != [lost]


def test_a_process_lost_over_the_call_again_is_a_passing_failure(published, computing, monkeypatch):
    monkeypatch.setattr("serving.computing.inside.answer", os._exit)  # pickled by its name
    with pytest.raises(PassingError, match="ask again"):
        asyncio.run(computing.answer(3))
    monkeypatch.undo()
    computing.take_over(parts(published))


def test_parts_that_crash_or_never_decide_are_refused_and_the_old_go_on(published, computing, monkeypatch):
    call = Call("/v1/score", json.dumps({**of_members(published, 1), "as_of": AS_OF}).encode(), "1")
    for crashes, why in ((os._exit, "was lost"), (time.sleep, "does not decide")):
        monkeypatch.setattr("serving.computing.inside.take_over", crashes)
        monkeypatch.setattr("serving.computing.TAKE_OVER_SECONDS", 1.0)
        with pytest.raises(RefusedError, match=why):
            computing.take_over(30)
        monkeypatch.undo()
        assert asyncio.run(computing.answer(call)).status == 200


def test_what_moves_a_risk_is_watched_and_recomputed_there(tmp_path):
    programme = small_programme(tmp_path)
    save_bundle(small_bundle(programme), tmp_path / "bundle")
    score_programme(programme, tmp_path / "out", as_of=AS_OF, bundle_folder=tmp_path / "bundle")
    order = {"order_id": "new", "member_id": "m002", "ordered_at": iso(utc_now()), "net_amount": 500.0}
    with closing(open_answers(programme, tmp_path / "bundle")) as answers:
        own = Parts(programme, answers.bundle, answers.policy_table)
        with closing(ComputingProcess(own)) as computing:
            app = application(answers)
            app.state.computing = computing
            written = request(app, "POST", "/v1/events", json={"orders": [order]}).json()
            asked = {"member_ids": ["m001", "m002"]}
            unmoved, moved = request(app, "POST", "/v1/score", json=asked).json()["results"]
            known = answers.alerts.computed(["m002"])
    assert (written["orders"][0]["status"], written["alerts_complete"]) == ("recorded", True)
    assert set(known) == {"m002"}
    assert (unmoved["source"], moved["source"]) == ("published", "recomputed")


def children_of(computing: ComputingProcess) -> list[int]:
    return list(computing._pool._processes)
