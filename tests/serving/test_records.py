"""A decision is the same as frame, Arrow row and record."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from builders import decision
from pandera.errors import SchemaError
from pydantic import ValidationError

from serving.records import decision_records, decision_table

RECORDS = [decision("m1"), decision("m2", recommended_incentive=None, expected_cost=None, no_offer_reason="consent")]


def frame() -> pd.DataFrame:
    return pd.DataFrame([record.model_dump() for record in RECORDS])


def test_records_survive_the_frame_and_parquet(tmp_path):
    file = tmp_path / "decisions.parquet"
    pq.write_table(decision_table(frame()), file)
    assert decision_records(pq.read_table(file)) == RECORDS


def test_missing_values_become_null_also_inside_reasons():
    row = decision_table(frame()).to_pylist()[1]
    assert row["expected_cost"] is None
    assert row["reasons"][1]["feature_value"] is None


def test_a_folder_of_partitions_can_be_read_whole(tmp_path):
    for as_of in ("2026-01-05", "2026-01-12"):
        folder = tmp_path / f"as_of={as_of}"
        folder.mkdir()
        pq.write_table(decision_table(frame().assign(as_of=as_of)), folder / "decisions.parquet")
    assert pd.read_parquet(tmp_path)["as_of"].value_counts().to_dict() == {"2026-01-05": 2, "2026-01-12": 2}


@pytest.mark.parametrize(
    "changed",
    [
        {"churn_probability": 1.2},
        {"churn_probability": None},
        {"value_at_stake": float("nan")},
        {"member_id": "m1"},
        {"as_of": None},
    ],
)
def test_a_frame_that_is_no_decision_is_refused(changed):
    with pytest.raises(SchemaError):
        decision_table(frame().assign(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"churn_probability": 1.2},
        {"order_within": [{"28": 1.2}] * 2},
        {"value_at_stake": float("nan")},
        {"as_of": None},
        {"tier": "top"},
    ],
)
def test_records_are_made_of_a_frame_that_holds_decisions_and_of_no_other(changed):
    assert decision_records(frame()) == RECORDS
    with pytest.raises(ValidationError):
        decision_records(frame().assign(**changed))


def test_a_record_with_an_unknown_reason_for_no_offer_is_refused():
    with pytest.raises(ValidationError, match="no_offer_reason"):
        decision(no_offer_reason="because")
