"""A CRM hears of the members whose decision changed in what it acts on, once, and of nobody else."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import decision, decisions_table

from features.errors import InputError, RefusedError
from serving.changes import ACTED_ON, write_changes
from serving.records import DecisionRecord
from serving.report.publications import SUMMARY

LAST_WEEK, THIS_WEEK = "2026-01-05", "2026-01-12"


@pytest.fixture
def decisions(tmp_path, published) -> Path:
    """Two publications; the second one's summary is the first one's, of which only the layout matters here."""
    summary = published.programme.path(f"out/as_of={LAST_WEEK}/{SUMMARY}").read_bytes()

    def publish(day: str, *records: DecisionRecord) -> None:
        folder = tmp_path / "decisions" / f"as_of={day}"
        folder.mkdir(parents=True)
        pq.write_table(decisions_table(*records), folder / "decisions.parquet")
        (folder / SUMMARY).write_bytes(summary)

    publish(LAST_WEEK, *(decision(member) for member in ("gone", "moved", "scored", "same")))
    publish(
        THIS_WEEK,
        decision("=new"),
        decision("moved", as_of=THIS_WEEK, tier="low", persona="sleeping", recommended_incentive=None),
        decision("same", as_of=THIS_WEEK),
        decision("scored", as_of=THIS_WEEK, churn_probability=0.9, expected_value=7.5, reasons=[]),
    )
    return tmp_path / "decisions"


def test_only_members_are_written_who_are_new_gone_or_changed_in_what_is_acted_on(decisions, tmp_path):
    result = write_changes(decisions, None, None, tmp_path / "new" / "changes.parquet")
    rows = pq.read_table(tmp_path / "new" / "changes.parquet").to_pylist(maps_as_pydicts="strict")
    told = [(row["member_id"], row["change"], row["changed"]) for row in rows]
    assert told == [
        ("=new", "new", ""),
        ("gone", "gone", ""),
        ("moved", "changed", "tier persona recommended_incentive"),
    ]
    assert DecisionRecord(**{name: rows[2][name] for name in DecisionRecord.model_fields}) == decision(
        "moved", as_of=THIS_WEEK, tier="low", persona="sleeping", recommended_incentive=None
    )
    assert {name for name, value in rows[1].items() if value is not None} == {"member_id", "change", "changed"}
    assert result.record == {
        "as_of": THIS_WEEK,
        "since": LAST_WEEK,
        "new": 1,
        "changed": 1,
        "gone": 1,
        "file": str(tmp_path / "new" / "changes.parquet"),
    }


def test_a_csv_file_has_no_cell_that_is_taken_for_a_formula_and_no_lists(decisions, tmp_path):
    write_changes(decisions, THIS_WEEK, LAST_WEEK, tmp_path / "changes.csv")
    with (tmp_path / "changes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["member_id"] for row in rows] == ["'=new", "gone", "moved"]
    assert set(ACTED_ON) < set(rows[0])
    assert not {"reasons", "probabilities", "order_within"} & set(rows[0])
    assert (rows[2]["recommended_incentive"], rows[2]["value_at_stake"]) == ("", "30.0")


def test_without_an_earlier_publication_everybody_is_new(decisions, tmp_path):
    record = write_changes(decisions, LAST_WEEK, None, tmp_path / "changes.csv").record
    assert (record["since"], record["new"], record["changed"], record["gone"]) == (None, 4, 0, 0)


def test_a_publication_compared_with_itself_has_no_changes(decisions, tmp_path):
    record = write_changes(decisions, THIS_WEEK, THIS_WEEK, tmp_path / "changes.parquet").record
    assert record["new"] == record["changed"] == record["gone"] == 0
    assert pq.read_table(tmp_path / "changes.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("as_of", "since", "name", "error", "message"),
    [
        (None, None, "changes.xlsx", InputError, "must end in .csv or .parquet"),
        ("last week", None, "changes.csv", InputError, "'last week' is not a date"),
        (None, "2025-12-29", "changes.csv", RefusedError, "no decisions as of 2025-12-29"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(
    decisions, tmp_path, as_of, since, name, error, message
):
    with pytest.raises(error, match=message):
        write_changes(decisions, as_of, since, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_decisions_of_another_version_are_refused(decisions, tmp_path):
    file = decisions / f"as_of={LAST_WEEK}" / "decisions.parquet"
    pq.write_table(pq.read_table(file).drop_columns("persona"), file)
    with pytest.raises(RefusedError, match="by another version"):
        write_changes(decisions, None, None, tmp_path / "changes.csv")
