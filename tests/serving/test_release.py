"""The send list says who gets what, is safe to open, and is written down once; what was acted on stands."""

import csv
import json
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, small_programme

from features.errors import RefusedError
from features.programme import Programme
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.database import open_database, owner_of
from serving.ledger import Ledger
from serving.loading import load
from serving.logged_arms import read_probabilities
from serving.release import COLUMNS, offer_id, release, safe_cell
from serving.resolve import policy_file


@pytest.fixture(scope="module")
def programme(shop, tmp_path_factory) -> Programme:
    """A programme whose decisions are published and released; members with even numbers read Chinese."""
    members = shop.frames["members"]
    languages = ["zh-CN" if number % 2 == 0 else "en" for number in range(len(members))]
    frames = {**shop.frames, "members": members.assign(language=languages)}
    made = small_programme(tmp_path_factory.mktemp("release"), frames)
    save_bundle(shop.bundle, made.path("bundle"))
    save_policy_table(shop.policy_table, policy_file(made))
    score(made)
    return made


@pytest.fixture(scope="module")
def released(programme) -> Path:
    file = programme.path("send/list.csv")
    release(programme, AS_OF, file, step=lambda _: None)
    return file


def score(programme: Programme) -> None:
    score_programme(programme, programme.path("out"), as_of=AS_OF, bundle_folder=programme.path("bundle"))


def decided(programme: Programme) -> pd.DataFrame:
    return pq.read_table(programme.path(f"out/as_of={AS_OF}/decisions.parquet")).to_pandas()


def written_down(programme: Programme) -> list[dict]:
    with closing(open_database(programme)) as database:
        return [content for _, content in Ledger(database, owner=owner_of(programme)).read("offer")]


def test_the_list_has_a_row_for_everybody_who_is_sent_something(programme, released):
    with released.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    decisions = decided(programme)
    sent = decisions[decisions["assigned_incentive"].notna()].set_index("member_id")
    assert tuple(rows[0]) == COLUMNS
    assert [row["member_id"] for row in rows] == list(sent.index)
    names = {incentive.id: incentive for incentive in programme.incentives}
    for row in rows:
        assert row["incentive_id"] == sent.loc[row["member_id"], "assigned_incentive"]
        assert row["expires_on"] == "2026-02-02"
        chosen = names[row["incentive_id"]]
        assert row["text"] == (chosen.name_zh if row["language"] == "zh" else chosen.name_en)
        assert (row["language"] == "zh") == (int(row["member_id"][1:]) % 2 == 0)


def test_an_incentive_that_is_no_longer_described_is_refused_before_anything_is_on_record(programme, tmp_path):
    before = written_down(programme)
    without = programme.model_copy(update={"incentives": ()})
    with pytest.raises(RefusedError, match=r"which the programme file no longer has; put that back"):
        release(without, AS_OF, tmp_path / "list.csv")
    assert written_down(programme) == before
    assert not (tmp_path / "list.csv").exists()


def test_every_assignment_is_written_down_with_its_probability_control_too(programme, released):
    decisions = decided(programme)
    assigned = decisions[decisions["assigned_by"].notna()].set_index("member_id")
    offers = {offer["member_id"]: offer for offer in written_down(programme)}
    assert set(offers) == set(assigned.index)
    assert {offer["incentive_id"] for offer in offers.values()} > {programme.guardrails.control_id}
    for member, offer in offers.items():
        assert offer["propensity"] == assigned.loc[member, "assigned_probability"]
        assert sum(json.loads(offer["probabilities"]).values()) == pytest.approx(1)


def test_what_is_released_is_part_of_the_offer_log_from_then_on(programme, released):
    loaded = load(programme, step=lambda _: None)
    offers = loaded.tables.offers.to_pyarrow().to_pandas().set_index("offer_id")
    ours = offers.loc[[offer["offer_id"] for offer in written_down(programme)]]
    assert len(ours) == len(written_down(programme)) > 0
    chances = read_probabilities(ours["probabilities"])
    assert [sum(of_all.values()) for of_all in chances] == pytest.approx([1.0] * len(ours))
    assert not [finding for finding in loaded.findings if finding.table == "offers"]


def test_released_decisions_stand_and_releasing_again_changes_nothing(programme, released, tmp_path):
    before = written_down(programme)
    with pytest.raises(RefusedError, match="the send list of 2026-01-05 is released"):
        score(programme)
    release(programme, AS_OF, tmp_path / "again.csv", step=lambda _: None)
    assert (tmp_path / "again.csv").read_bytes() == released.read_bytes()
    assert written_down(programme) == before


def test_what_is_not_published_is_not_released(programme, tmp_path):
    with pytest.raises(RefusedError, match="nothing is published as of 2025-01-06"):
        release(programme, "2025-01-06", tmp_path / "list.csv", step=lambda _: None)
    assert not list(tmp_path.iterdir())


def test_offer_ids_are_a_members_and_a_dates(programme):
    day = programme.local_date(programme.instant(AS_OF))
    assert offer_id(programme, day, "m001") == offer_id(programme, day, "m001") != offer_id(programme, day, "m002")


@pytest.mark.parametrize(
    "value", ["=1+1", "+1", "-1", "@sum(a1)", "\tx", "\rx", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x"]
)
def test_no_cell_is_taken_for_a_formula(value):
    assert safe_cell(value) == f"'{value}"
    assert safe_cell(f"a{value}") == f"a{value}"
