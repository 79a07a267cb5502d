"""The weekly job, the service by id and by history, and the notebook say the same of every member, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pandas as pd
import pytest
from builders import AS_OF, history_of, subsidised

from features.build import build_features
from features.sources import load_tables, tables_from_frames
from serving import registry
from serving.answers import Answers, open_answers
from serving.contracts import FailedItem, ScoreAnswer, ScoreRequest
from serving.decisions import decide_members
from serving.histories import frames_of
from serving.mlflow_home import connect
from serving.records import DecisionRecord
from serving.scoring import score

SCORES = (
    "churn_probability",
    "order_probability",
    "expected_value",
    "expected_value_low",
    "expected_value_high",
    "value_if_active",
    "historic_value",
    "value_at_stake",
)


@pytest.fixture(scope="module")
def answers(published) -> Iterator[Answers]:
    opened = open_answers(published.programme)
    yield opened
    opened.close()


def decisions(answer: ScoreAnswer) -> dict[str, DecisionRecord]:
    return {item.member_id: item.decision for item in answer.results if not isinstance(item, FailedItem)}


def by_id(published) -> dict:
    return {"member_ids": published.member_ids}


def by_history(published) -> dict:
    return {"histories": [history_of(member, published.frames) for member in published.member_ids]}


def asked_over_http(service: httpx.Client, body: dict) -> ScoreAnswer:
    response = service.post("/v1/score", json=body)
    assert response.status_code == 200, response.text
    return ScoreAnswer.model_validate(response.json())


def test_there_is_something_to_compare(published):
    assert len(published.records) > 20
    assert {record.assigned_by for record in published.records.values()} == {"policy", "holdout", None}
    assert {len(record.reasons) for record in published.records.values()} == {3}
    assert {tuple(record.order_within) for record in published.records.values()} == {("28", "182")}


@pytest.mark.parametrize("form", [by_id, by_history])
def test_the_service_answers_the_batchs_records(published, answers, form):
    answer = answers.score(ScoreRequest.model_validate(form(published)), request_id="test")
    assert decisions(answer) == published.records
    assert [item.member_id for item in answer.results] == published.member_ids
    assert (answer.as_of, answer.model_version) == (AS_OF, published.bundle.version)


@pytest.mark.parametrize("form", [by_id, by_history])
def test_the_service_answers_the_batchs_records_over_http(published, service, form):
    assert decisions(asked_over_http(service, form(published))) == published.records


def test_a_history_alone_is_answered_as_among_others(published, answers):
    for member, record in list(published.records.items())[:3]:
        request = ScoreRequest.model_validate({"histories": [history_of(member, published.frames)]})
        assert decisions(answers.score(request, request_id="test")) == {member: record}


def test_histories_have_the_features_of_the_tables(published):
    programme, as_of = published.programme, published.programme.instant(AS_OF)
    of_tables = build_features(load_tables(programme, threads=2).tables, as_of, programme)
    request = ScoreRequest.model_validate(by_history(published))
    of_histories = build_features(
        tables_from_frames(programme, **frames_of(request.histories)).tables, as_of, programme
    )
    pd.testing.assert_frame_equal(of_tables, of_histories, check_exact=True)


def test_the_notebooks_model_scores_as_the_batch(published):
    programme, as_of = published.programme, published.programme.instant(AS_OF)
    features = build_features(load_tables(programme, threads=1).tables, as_of, programme)
    connect(programme)
    import mlflow

    model = mlflow.pyfunc.load_model(f"models:/{programme.output.model}@{registry.CHAMPION}")
    notebook = model.predict(features).set_index("member_id")
    pd.testing.assert_frame_equal(notebook, score(features, published.bundle).set_index("member_id"), check_exact=True)
    batch = pd.DataFrame([record.model_dump() for record in published.records.values()]).set_index("member_id")
    pd.testing.assert_frame_equal(notebook.loc[batch.index, list(SCORES)], batch[list(SCORES)], check_exact=True)


def test_members_are_left_out_alike_whether_decided_about_among_all_alone_or_by_their_history(published):
    programme, as_of = published.programme, published.programme.instant(AS_OF)
    subsidy = subsidised("points_x3", "order_count_364d", 6.5)
    policy = published.policy_table.model_copy(update={"member_uplift": (subsidy,)})
    tables = load_tables(programme, threads=1).tables
    everybody = decide_members(tables, as_of, published.bundle, policy, programme)
    left_out = set(everybody.loc[everybody["no_offer_reason"] == "not_moved", "member_id"])
    assert left_out
    assert everybody["recommended_incentive"].notna().any()
    for member in [
        *sorted(left_out)[:2],
        everybody.loc[everybody["recommended_incentive"].notna(), "member_id"].iloc[0],
    ]:
        request = ScoreRequest.model_validate({"histories": [history_of(member, published.frames)]})
        history = tables_from_frames(programme, **frames_of(request.histories)).tables
        among_all = everybody[everybody["member_id"] == member].reset_index(drop=True)
        for alone in (
            decide_members(tables, as_of, published.bundle, policy, programme, [member]),
            decide_members(history, as_of, published.bundle, policy, programme),
        ):
            pd.testing.assert_frame_equal(alone, among_all, check_exact=True)


def test_the_notebooks_decisions_are_the_batchs(published):
    programme, as_of = published.programme, published.programme.instant(AS_OF)
    some = sorted(published.records)[:5]
    tables = load_tables(programme, threads=1).tables
    decided = decide_members(tables, as_of, published.bundle, published.policy_table, programme, some)
    assert list(decided["member_id"]) == some
    for row in decided.to_dict("records"):
        assert row["churn_probability"] == published.records[row["member_id"]].churn_probability
