"""The same question about published decisions is answered from memory, until what it comes from changes."""

import asyncio

from builders import decision
from web import application, request

from serving.cache import AnswerCache, Cached, Kept
from serving.contracts import ScoreAnswer, ScoredItem
from serving.metrics import Tally

QUESTION = ("/v1/score", b"{}")


def kept(size: int) -> Kept:
    return Kept(b" " * (size - 1024), (), Tally())


class CountingAnswers:
    """Counts how often it is asked."""

    asked = 0

    def __init__(self, source="published"):
        self.source, self.paused = source, False

    def is_unpaused_still(self):
        return not self.paused

    def is_paused(self):
        return self.paused

    def score(self, asked, *, request_id):
        self.asked += 1
        where = {
            "source": self.source,
            "as_of": "2026-01-05",
            "computed_at": "2026-01-05T01:00:00+00:00",
            "model_version": "model1",
            "policy_version": None,
        }
        said = {"no_offer_reason": "paused"} if self.paused else {}
        results = [ScoredItem(member_id=each, **where, decision=decision(each, **said)) for each in asked.member_ids]
        return ScoreAnswer(
            request_id=request_id, model_version="m", policy_version=None,
            as_of="2026-01-05", computed_at="2026-01-05T01:00:00+00:00", results=results,
        )  # fmt: skip


def score(app, request_id, *members):
    return request(app, "POST", "/v1/score", json={"member_ids": members}, headers={"X-Request-ID": request_id})


def test_what_was_worked_out_as_of_now_is_not_kept():
    app = application(CountingAnswers("recomputed"))
    score(app, "r1", "a"), score(app, "r2", "a")
    assert app.state.answers.asked == 2


def test_the_same_question_is_worked_out_once_and_each_answer_has_its_own_request_id():
    app = application(CountingAnswers())
    first, again, other = score(app, "r1", "a"), score(app, "r-two", "a"), score(app, "r3", "b")
    assert app.state.answers.asked == 2
    assert again.headers["x-request-id"] == again.json()["request_id"] == "r-two"
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert {**again.json(), "request_id": "r1"} == first.json()
    assert other.json()["results"][0]["member_id"] == "b"


def test_a_pause_holds_and_ends_for_what_is_kept_from_the_moment_it_is_thrown():
    app, reasons = application(CountingAnswers()), []
    for paused in (False, True, True, False):
        app.state.answers.paused = paused
        reasons.append(score(app, "r1", "a").json()["results"][0]["decision"]["no_offer_reason"])
    assert reasons == [None, "paused", "paused", None]
    assert app.state.answers.asked == 3


def test_what_is_answered_from_memory_counts_as_well():
    app = application(CountingAnswers())
    for name in ("r1", "r2", "r3"):
        score(app, name, "a")
    page = app.state.surroundings.metrics.page().decode()
    assert 'winback_requests_total{path="/v1/score",status="200"} 3.0' in page
    assert 'winback_decisions_total{decision="none"} 3.0' in page


def test_refusals_are_not_kept():
    app = application(CountingAnswers())
    assert [score(app, "r1").status_code, score(app, "r1").status_code] == [422, 422]


def test_long_questions_are_not_kept():
    app = application(CountingAnswers())
    members = [f"member-{number}" for number in range(200)]
    score(app, "r1", *members)
    score(app, "r2", *members)
    assert app.state.answers.asked == 2


def test_what_is_written_drops_what_was_kept_before_it_is_acknowledged():
    app, seen = application(), []
    cache = app.state.answer_cache

    async def acknowledging(scope, receive, send):
        cache.keep(QUESTION, kept(2000), state=cache.state)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        seen.append(cache.find(QUESTION))

    scope = {"type": "http", "method": "POST", "path": "/v1/told", "app": app}
    asyncio.run(Cached(acknowledging, needs={("POST", "/v1/told"): "write"}, readers=None)(scope, None, send))
    assert seen == [None]


def test_an_answer_worked_out_before_a_change_is_not_kept_after_it():
    cache = AnswerCache()
    before = cache.state
    cache.drop()
    cache.keep(QUESTION, kept(2000), state=before)
    assert cache.find(QUESTION) is None


def test_only_a_change_of_the_source_drops_anything():
    cache = AnswerCache()
    cache.renew("week 1")
    cache.keep(QUESTION, kept(2000), state=cache.state)
    cache.renew("week 1")
    assert cache.find(QUESTION) is not None
    cache.renew("week 2")
    assert cache.find(QUESTION) is None


def test_what_was_not_asked_for_longest_makes_room():
    cache = AnswerCache(max_bytes=5000)
    for body in (b"1", b"2"):
        cache.keep(("/v1/score", body), kept(2000), state=cache.state)
    cache.find(("/v1/score", b"1"))
    cache.keep(("/v1/score", b"3"), kept(2000), state=cache.state)
    assert [cache.find(("/v1/score", body)) is not None for body in (b"1", b"2", b"3")] == [True, False, True]
