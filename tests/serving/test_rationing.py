"""A budget given to the weekly job is kept by its decisions, told by its summary, and heeded by the service."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, history_of, small_programme

from features.build import build_features
from features.programme import Programme
from features.schemas import Tables
from features.sources import load_tables, tables_from_frames
from serving import jobs, kept
from serving.answers import Answers, open_answers
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.contracts import ScoreRequest
from serving.kept import span_candidates
from serving.known import decide_known
from serving.parts import spans
from serving.ration import Ration
from serving.rationing import ration
from serving.records import DecisionRecord, decision_records
from serving.resolve import policy_file
from serving.summary import RunSummary


@dataclass(frozen=True)
class Rationed:
    """A programme scored with half the money it could spend, and the plan for as much."""

    programme: Programme
    budget: float
    plan: dict[str, Any]
    summary: RunSummary
    records: dict[str, DecisionRecord]


def quiet(_: str) -> None:
    """Say nothing."""


def _by_share(programme: Programme) -> Programme:
    """Let a redemption cost a tenth of the order, so that every member's offer costs something else."""
    incentives = tuple(one.model_copy(update={"face_share": 0.1}) for one in programme.incentives)
    return programme.model_copy(update={"incentives": incentives})


@pytest.fixture(scope="module")
def rationed(shop, tmp_path_factory) -> Rationed:
    programme = _by_share(small_programme(tmp_path_factory.mktemp("rationed"), shop.frames))
    bundle = programme.path("bundle")
    save_bundle(shop.bundle, bundle)
    save_policy_table(shop.policy_table, policy_file(programme))
    budget = jobs.plan(programme, AS_OF, 1e9, None, bundle_folder=bundle, step=quiet).record["full_cost"] / 2
    plan = jobs.plan(programme, AS_OF, budget, None, bundle_folder=bundle, step=quiet).record
    summary = score_programme(
        programme, programme.path("out"), as_of=AS_OF, budget=budget, bundle_folder=bundle, chunk_rows=7
    )
    records = {record.member_id: record for record in decision_records(pq.read_table(summary.file))}
    return Rationed(programme, budget, plan, summary, records)


@pytest.fixture(scope="module")
def answers(rationed) -> Iterator[Answers]:
    opened = open_answers(rationed.programme, rationed.programme.path("bundle"))
    yield opened
    opened.close()


def test_plan_and_summary_agree_on_what_comes_of_the_budget(rationed):
    expected = rationed.summary.expected
    assert len({record.expected_cost for record in rationed.records.values() if record.expected_cost}) > 1
    assert 0 < expected.members < expected.members + rationed.summary.no_offer_reasons["budget"]
    assert expected.cost <= rationed.budget
    for name in ("members", "recalls", "margin", "cost", "net_value", "net_value_low", "net_value_high"):
        assert getattr(expected, name) == pytest.approx(rationed.plan[name]), name
    assert rationed.summary.ration.limit.multiplier == rationed.plan["multiplier"] > 0


def test_who_is_left_out_gets_nothing_and_is_told_that_it_is_the_budget(rationed):
    left_out = [record for record in rationed.records.values() if record.no_offer_reason == "budget"]
    assert left_out
    for record in left_out:
        assert (record.recommended_incentive, record.assigned_incentive, record.probabilities) == (None, None, {})


def test_the_service_says_of_members_anew_what_was_published(rationed, answers, shop):
    known = answers.up_to_date(shop.member_ids, rationed.programme.instant(AS_OF))
    decided = decide_known(known, answers.bundle, answers.policy_table, answers.programme, answers.ration())
    assert {name: decided[name] for name in rationed.records} == rationed.records


def test_the_service_heeds_the_budget_for_histories_sent_to_it(rationed, answers, shop):
    histories = [history_of(name, shop.frames) for name in rationed.records]
    answer = answers.score(ScoreRequest.model_validate({"histories": histories}), request_id="test")
    assert {item.member_id: item.decision for item in answer.results} == rationed.records


def test_the_features_of_a_second_look_are_those_of_the_first(rationed, tmp_path):
    tables = load_tables(rationed.programme).tables
    as_of = rationed.programme.instant(AS_OF)
    for span in spans(tables, 25):
        first = span_candidates(span, tables, as_of, rationed.programme, tmp_path, keep=True)
        assert (tmp_path / f"{span.number:06}.parquet").exists()
        second = span_candidates(span, tables, as_of, rationed.programme, tmp_path)
        pd.testing.assert_frame_equal(first.features, second.features)
        assert (first.not_eligible, len(first.contacts)) == (second.not_eligible, len(second.contacts))


def test_a_job_with_a_budget_builds_features_once(rationed, monkeypatch):
    built = []

    def counted(tables: Tables, as_of: datetime, programme: Programme) -> pd.DataFrame:
        built.append(as_of)
        return build_features(tables, as_of, programme)

    monkeypatch.setattr(kept, "build_features", counted)
    programme = rationed.programme
    summary = score_programme(
        programme, programme.path("again"), as_of=AS_OF, budget=rationed.budget / 2,
        bundle_folder=programme.path("bundle"), chunk_rows=1_000,
    )  # fmt: skip
    assert summary.expected.cost <= rationed.budget / 2
    assert len(built) == 1
    assert list(programme.path("var").rglob(".features*")) == []


def test_what_is_offered_week_by_week_is_not_set_up_anew(rationed, shop):
    programme = rationed.programme
    dear = tuple(one.model_copy(update={"setup_cost": 1e9}) for one in programme.incentives)
    programme = programme.model_copy(update={"incentives": dear})
    as_of, logged = programme.instant(AS_OF), shop.frames["offers"]

    def left(offers: pd.DataFrame) -> Ration:
        tables = tables_from_frames(programme, **{**shop.frames, "offers": offers}).tables
        return ration(
            tables, as_of, shop.bundle, shop.policy_table, programme, budget=None, chunk_rows=1_000, step=quiet
        )

    first, repeated = left(logged[logged["incentive_id"] == "control"]), left(logged)
    assert first.closed == ("points_x3",)
    assert first.paid == ()
    assert repeated.closed == ()
    assert repeated.paid == ("coupon_20", "points_x3")
