"""The weekly job publishes whole or not at all, and again without duplicates."""

import json
import shutil
import sys
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from builders import AS_OF, small_programme

from features.errors import RefusedError
from features.programme import Eligible
from serving import jobs
from serving.batch import score_programme
from serving.bundle import ColumnProfile, ModelBundle
from serving.bundle_files import save_bundle, save_policy_table
from serving.resolve import policy_file
from serving.store import open_store

MONDAY = date(2026, 1, 5)


@pytest.fixture(scope="module")
def programme(shop, tmp_path_factory):
    programme = small_programme(tmp_path_factory.mktemp("batch"), shop.frames)
    save_bundle(shop.bundle, programme.path("bundle"))
    save_policy_table(shop.policy_table, policy_file(programme))
    return programme


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def summary(programme, out):
    return run(programme, out, chunk_rows=7)


def run(programme, out: Path, **changed):
    return score_programme(programme, out, **{"as_of": AS_OF, "bundle_folder": programme.path("bundle"), **changed})


def stored(programme, member_ids) -> dict:
    with closing(open_store(programme)) as store:
        return store.read(list(member_ids))[1]


def test_every_eligible_member_is_decided_about_once_in_file_and_store(programme, summary):
    decisions = pd.read_parquet(summary.file)
    assert decisions["member_id"].is_unique
    assert len(decisions) == summary.decided == summary.members_known - summary.not_eligible
    assert len(stored(programme, decisions["member_id"])) == len(decisions)


def test_the_summary_adds_up_and_is_written_beside_the_decisions(summary):
    assert sum(summary.tiers.values()) == sum(summary.states.values()) == summary.decided
    assert sum(summary.recommended.values()) + sum(summary.no_offer_reasons.values()) == summary.decided
    assert sum(summary.assigned.values()) + summary.holdout == sum(summary.recommended.values())
    written = json.loads(summary.file.with_name("_summary.json").read_text(encoding="utf-8"))
    assert written == json.loads(summary.model_dump_json())


def test_the_expected_result_adds_up_what_the_effects_say_of_those_who_are_recommended_something(shop, summary):
    decisions = pd.read_parquet(summary.file)
    sent = decisions[decisions["recommended_incentive"].notna() & (decisions["assigned_by"] != "holdout")]
    expected, parts = summary.expected, summary.expected_by_incentive.values()
    assert expected.members == len(sent) > 0
    assert expected.recalls == pytest.approx(sent["expected_recall"].sum())
    assert expected.cost - expected.setup_cost == pytest.approx(sent["expected_cost"].sum())
    assert expected.net_value == pytest.approx(sum(part.net_value for part in parts))
    assert expected.net_value == pytest.approx(expected.margin - expected.cost)
    assert expected.net_value_low < expected.net_value < expected.net_value_high


def test_money_enough_buys_what_is_recommended_and_brings_what_is_expected_of_that(programme, summary, tmp_path):
    file = tmp_path / "plan.csv"
    settings = {"bundle_folder": programme.path("bundle"), "step": lambda _: None}
    record = jobs.plan(programme, AS_OF, 1e9, file, **settings).record
    decisions = pd.read_parquet(summary.file)
    sent = decisions[decisions["recommended_incentive"].notna() & (decisions["assigned_by"] != "holdout")]
    planned = pd.read_csv(file)
    pairs = set(zip(sent["member_id"], sent["recommended_incentive"], strict=True))
    assert set(zip(planned["member_id"], planned["incentive_id"], strict=True)) <= pairs
    assert record["net_value"] >= summary.expected.net_value - 1e-6
    assert (record["members"], record["assigned_cost"]) == (len(planned), pytest.approx(record["full_cost"]))


def test_the_same_as_of_again_in_other_chunks_replaces_and_says_the_same(programme, out, summary):
    first = pd.read_parquet(summary.file)
    before = stored(programme, first["member_id"])
    again = run(programme, out)
    pd.testing.assert_frame_equal(first, pd.read_parquet(again.file))
    assert again == summary
    assert stored(programme, first["member_id"]) == before
    assert sorted(file.name for file in again.file.parent.iterdir()) == ["_summary.json", "decisions.parquet"]


def test_without_as_of_and_policy_table_it_is_the_day_after_the_last_row_and_nobody_is_sent_anything(shop, tmp_path):
    programme = small_programme(tmp_path / "programme", shop.frames)
    save_bundle(shop.bundle, programme.path("bundle"))
    summary = run(programme, tmp_path / "out", as_of=None)
    assert summary.as_of == MONDAY
    assert summary.evidence == "none"
    assert set(summary.no_offer_reasons) == {"not_lapsed", "insufficient_evidence"}
    assert not summary.recommended


def test_a_model_that_saw_what_came_after_is_refused(programme, tmp_path):
    with pytest.raises(RefusedError, match="has seen what came after"):
        run(programme, tmp_path, as_of="2025-09-01")
    assert not list(tmp_path.glob("as_of=*"))


def test_nothing_is_published_when_nobody_is_eligible(programme, tmp_path):
    of_the_last_day = programme.model_copy(update={"eligible": Eligible(ordered_within_days=1)})
    with pytest.raises(RefusedError, match="no member is eligible"):
        run(of_the_last_day, tmp_path, as_of="2026-01-07")
    assert not list(tmp_path.glob("as_of=*"))


def test_a_second_run_at_the_same_time_is_refused_and_leaves_the_first_alone(programme, tmp_path):
    refused = []

    def begin_another(_: str) -> None:
        with pytest.raises(RefusedError, match="scoring of small is running already") as refusal:
            run(programme, tmp_path / "other")
        refused.append(refusal)

    assert run(programme, tmp_path / "out", step=begin_another).file.exists()
    assert refused
    assert not (tmp_path / "other").exists()


def test_what_else_is_in_the_scratch_folder_is_left_alone(programme, tmp_path, monkeypatch):
    @contextmanager
    def without_spark(master, tables, terms, scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        raise RefusedError(f"no Spark at {master}")
        yield

    monkeypatch.setitem(sys.modules, "serving.spark", SimpleNamespace(working=without_spark))
    theirs = tmp_path / "shared" / "theirs.txt"
    theirs.parent.mkdir()
    theirs.write_text("precious")
    with pytest.raises(RefusedError, match="no Spark"):
        run(programme, tmp_path, engine="local[1]", scratch=theirs.parent)
    assert theirs.read_text() == "precious"


def test_features_that_moved_since_training_are_in_the_summary_and_the_warnings(shop, programme, tmp_path):
    usual = ColumnProfile(quantiles=tuple(float(1_000 + decile) for decile in range(11)), missing_share=0.0)
    content = shop.bundle.model_dump() | {"reference_profile": {"tenure_days": usual}}
    bundle = ModelBundle.model_validate(content)
    save_bundle(bundle, tmp_path / "bundle")
    result = jobs.score(
        programme,
        AS_OF,
        tmp_path / "out",
        budget=None,
        phase=None,
        bundle_folder=tmp_path / "bundle",
        engine="duckdb",
        scratch=None,
        step=lambda _: None,
    )
    assert list(result.record["drift"]) == ["tenure_days"]
    assert any(warning.startswith("tenure_days is distributed unlike") for warning in result.warnings)


def test_a_refused_run_leaves_the_history_as_it_was_and_nothing_beside_it(programme, summary, tmp_path):
    history = programme.path("var") / "history" / programme.output.model
    before = sorted(history.iterdir())
    with pytest.raises(RefusedError):
        run(programme, tmp_path, as_of="2025-09-01")
    assert sorted(history.iterdir()) == before
