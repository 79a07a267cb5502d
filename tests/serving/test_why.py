"""Why something is recommended, also where an incentive was never tried."""

from collections.abc import Iterator
from contextlib import closing
from math import nan

import pytest
from builders import AS_OF, small_policy
from houses import Browser
from web import application, request

from serving.answers import Answers, answers_of
from serving.policy_table import Estimate, PolicyTable
from serving.why import considered, policy_segments

NEVER = Estimate(value=nan, se=nan, low=nan, high=nan, simultaneous_low=nan, simultaneous_high=nan)


@pytest.fixture
def policy(shop) -> PolicyTable:
    """Beside what works everywhere, something that was tried nowhere."""
    tried = small_policy(shop.programme.instant(AS_OF))
    nothing = {"recall": NEVER, "margin": NEVER, "net": NEVER, "cost_per_member": nan, "redemption_rate": nan}
    more = {"incentive_id": "aaa", "n_treated": 0, "verdict": "insufficient_evidence", **nothing}
    untried = [effect.model_copy(update=more) for effect in tried.effects]
    return tried.model_copy(update={"effects": (*untried, *tried.effects)})


def test_what_was_never_tried_has_no_numbers_and_comes_last(policy):
    tried, untried = considered("high__mid", policy)
    assert tried.cost_per_member is not None
    assert untried.incentive_id == "aaa"
    assert (untried.cost_per_member, untried.recall, untried.recall_low, untried.recall_high) == (None,) * 4
    assert all(len(segment.considered) == 2 for segment in policy_segments(policy, paused=False))


@pytest.fixture
def answers(published, policy) -> Iterator[Answers]:
    with closing(answers_of(published.programme, published.bundle, policy)) as made:
        yield made


def test_segments_are_told_where_something_was_never_tried(answers):
    segments = request(application(answers), "GET", "/v1/segments").json()["segments"]
    assert [each["recall"] is None for segment in segments for each in segment["considered"]] == [False, True] * 12
    page = Browser(application(answers)).get("/console/segments")
    assert page.status_code == 200
    assert page.text.count("not tried") == 12


def test_recommendations_are_told_where_something_was_never_tried(published, answers):
    members = [name for name, record in published.records.items() if record.policy_segment]
    answered = request(application(answers), "POST", "/v1/recommend", json={"member_ids": members})
    assert answered.status_code == 200
    assert all(len(item["considered"]) == 2 for item in answered.json()["results"])
