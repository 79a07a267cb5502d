"""A real local Spark, on Java, computes the features and decisions that DuckDB does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from builders import AS_OF, small_bundle, small_frames, small_policy, small_programme

from features.build import build_features, features_expression, finished
from features.programme import Programme
from features.schemas import Tables
from features.sources import load_tables
from serving.batch import score_programme
from serving.bundle_files import save_bundle
from serving.decisions import candidates
from serving.engines import Terms
from serving.spark import decide_on_spark, open_spark, to_spark

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
    plan = ibis.to_sql(features_expression(on_spark, as_of, programme), dialect="pyspark")
    theirs = finished(session.sql(plan).orderBy("member_id").toArrow().to_pandas())
    ours = build_features(tables, as_of, programme)
    assert list(theirs["member_id"]) == list(ours["member_id"])
    assert list(theirs.columns) == list(ours.columns)
    numbers = [name for name in ours.columns if name not in ("member_id", "as_of")]
    np.testing.assert_allclose(theirs[numbers].to_numpy(), ours[numbers].to_numpy(), rtol=1e-9, atol=0)


def test_decisions_on_the_workers_heed_consent_and_effects(
    session: SparkSession, on_spark: Tables, tables: Tables, programme: Programme
):
    bundle = small_bundle(programme)
    terms = Terms(
        programme.instant(AS_OF), bundle, small_policy(bundle.trained_until), programme, paused=False, ration=None
    )
    ours = terms.decide(candidates(tables, terms.as_of, programme))
    features = session.sql(ibis.to_sql(features_expression(on_spark, terms.as_of, programme), dialect="pyspark"))
    theirs = decide_on_spark(session, features, on_spark, terms).orderBy("member_id").toArrow()
    assert "consent" in ours.column("no_offer_reason").to_pylist()
    assert theirs.to_pylist() == ours.to_pylist()


def test_the_weekly_job_publishes_the_same_decisions(programme: Programme, tmp_path: Path):
    save_bundle(small_bundle(programme), tmp_path / "bundle")
    published = {}
    for engine in ("duckdb", "local[2]"):
        summary = score_programme(
            programme, tmp_path / engine, as_of=AS_OF, bundle_folder=tmp_path / "bundle", chunk_rows=50, engine=engine
        )
        published[engine] = pq.read_table(summary.file).to_pylist(), summary.drift, summary.members_known
    assert {row["no_offer_reason"] for row in published["duckdb"][0]} >= {"not_lapsed", "insufficient_evidence"}
    ours, theirs = (rows for rows, *_ in published.values())
    differing = {row["member_id"]: _differing(row, other) for row, other in zip(ours, theirs, strict=True)}
    assert {member: names for member, names in differing.items() if names} == {}, "ties at a threshold, if any"
    assert published["local[2]"][1:] == published["duckdb"][1:]
    assert not list((programme.folder / "var").glob("*.spark"))


def _differing(row: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the fields in which two decisions differ."""
    return [name for name in {**row, **other} if row.get(name) != other.get(name)]
