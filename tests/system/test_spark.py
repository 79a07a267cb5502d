"""A real local Spark, on Java, computes the features and decisions that DuckDB does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import AS_OF, small_bundle, small_frames, small_policy, small_programme

from features.build import build_features
from features.programme import Programme
from features.schemas import Tables
from features.sources import load_tables
from serving.decisions import decide_members
from serving.records import decision_table
from serving.spark import decide_on_spark, features_on_spark, open_spark, to_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # py4j leaves its sockets to Python
]


@pytest.fixture(scope="module")
def session() -> Iterator[SparkSession]:
    opened = open_spark("local[2]")
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    frames = small_frames(120)
    last = pd.Timestamp(AS_OF) - pd.Timedelta(days=3)
    refusal = {"event_id": ["u1", "u2"], "member_id": ["m001", "m002"], "occurred_at": last, "event": "unsubscribe"}
    frames["events"] = pd.concat([frames["events"], pd.DataFrame(refusal)], ignore_index=True)
    return small_programme(tmp_path_factory.mktemp("programme"), frames)


@pytest.fixture(scope="module")
def tables(programme: Programme) -> Tables:
    return load_tables(programme, threads=1).tables


@pytest.fixture(scope="module")
def on_spark(session: SparkSession, tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return to_spark(session, tables, tmp_path_factory.mktemp("canonical"))


def test_features_are_those_of_duckdb(session: SparkSession, on_spark: Tables, tables: Tables, programme: Programme):
    as_of = programme.instant(AS_OF)
    ours, theirs = build_features(tables, as_of, programme), features_on_spark(session, on_spark, as_of, programme)
    assert list(theirs["member_id"]) == list(ours["member_id"])
    assert list(theirs.columns) == list(ours.columns)
    numbers = [name for name in ours.columns if name not in ("member_id", "as_of")]
    np.testing.assert_allclose(theirs[numbers].to_numpy(), ours[numbers].to_numpy(), rtol=1e-9, atol=0)


def test_decisions_are_those_of_the_weekly_job(
    session: SparkSession, on_spark: Tables, tables: Tables, programme: Programme
):
    as_of, bundle = programme.instant(AS_OF), small_bundle(programme)
    policy = small_policy(bundle.trained_until)
    ours = decision_table(decide_members(tables, as_of, bundle, policy, programme)).to_pylist()
    lazy = decide_on_spark(session, on_spark, as_of, bundle, policy, programme)
    theirs = lazy.orderBy("member_id").toArrow().to_pylist()
    assert [row["member_id"] for row in theirs] == [row["member_id"] for row in ours]
    assert {row["no_offer_reason"] for row in ours} >= {"consent", "not_lapsed"}
    assert theirs == ours
