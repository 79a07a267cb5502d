"""Paused, nobody is recommended anything, and everybody is still scored."""

from contextlib import closing

import pandas as pd
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, decision, small_bundle, small_policy, small_programme

from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.database import Database
from serving.pause import Switch, all_withheld, programme_switch, withheld
from serving.records import decision_records, decision_table
from serving.resolve import policy_file

SCORES = ("member_id", "churn_probability", "expected_value", "tier", "policy_segment")


def test_what_is_thrown_by_one_process_another_sees_at_once(tmp_path):
    url = "sqlite:///winback.db"
    with closing(Database(url, tmp_path)) as one, closing(Database(url, tmp_path)) as other:
        ours, theirs, stranger = Switch(one, owner="a"), Switch(other, owner="a"), Switch(other, owner="b")
        assert theirs.current() is None
        paused = ours.pause("wrong prices")
        assert (theirs.current(), stranger.current()) == (paused, None)
        again = ours.pause("wrong prices in the app")
        assert (theirs.resume(), ours.current(), ours.resume()) == (again, None, None)


def test_that_nothing_is_paused_is_certain_until_anybody_writes_anything(tmp_path):
    url = "sqlite:///winback.db"
    with closing(Database(url, tmp_path)) as one, closing(Database(url, tmp_path)) as other:
        ours, theirs, stranger = Switch(one, owner="a"), Switch(other, owner="a"), Switch(one, owner="b")
        before = ours.is_off_still()
        ours.current()
        asked = ours.is_off_still()
        stranger.pause()
        written = ours.is_off_still()
        ours.current()
        again = ours.is_off_still()
        theirs.pause()
        paused = ours.is_off_still()
        ours.current()
        assert (before, asked, written, again, paused, ours.is_off_still()) == (False, True, False, True, False, False)


def test_a_withheld_decision_keeps_its_scores():
    before = decision("m1", recommended_incentive="points_x3", assigned_incentive="points_x3", assigned_by="policy")
    after = withheld(before)
    assert after.no_offer_reason == "paused"
    assert (after.recommended_incentive, after.assigned_incentive, after.assigned_by) == (None, None, None)
    assert [getattr(after, name) for name in SCORES] == [getattr(before, name) for name in SCORES]


def test_a_frame_of_decisions_is_withheld_as_each_of_them_is():
    records = [decision("m1"), decision("m2", no_offer_reason="consent", recommended_incentive=None)]
    frame = pd.DataFrame([record.model_dump() for record in records])
    assert decision_records(decision_table(all_withheld(frame))) == [withheld(record) for record in records]


@pytest.fixture
def programme(tmp_path):
    programme = small_programme(tmp_path)
    save_bundle(small_bundle(programme), tmp_path / "bundle")
    save_policy_table(small_policy(programme.instant(AS_OF)), policy_file(programme))
    return programme


def test_the_weekly_job_heeds_it(programme, tmp_path):
    def reasons() -> set:
        run = score_programme(programme, tmp_path / "out", as_of=AS_OF, bundle_folder=tmp_path / "bundle")
        return {record.no_offer_reason for record in decision_records(pq.read_table(run.file))}

    with programme_switch(programme) as switch:
        switch.pause()
    assert reasons() == {"paused"}
    with programme_switch(programme) as switch:
        switch.resume()
    assert "paused" not in reasons()
