"""The weekly decisions on Spark: the same plan of the features and the same `decide`, part by part on its workers.

Ibis compiles the features to Spark's SQL. Workers read the canonical tables from Parquet, so the folder these are in
must be one they all see.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset

from features.build import features_expression, finished
from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables
from serving.decisions import Candidates, is_eligible, known_contacts, known_unsubscribed
from serving.engines import Decided, Terms
from serving.parts import Span
from serving.records import DECISIONS_ARROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_PER_PART: Final = 20_000
_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_PER_PART),
}
_LOCAL: Final = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def open_spark(master: str) -> SparkSession:
    """Return a Spark session at a master, e.g. ``local[*]`` or ``spark://host:7077``.

    Raises
    ------
    RefusedError
        If Spark or Java is not there, or the master does not answer.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise RefusedError("Spark is not installed: install winback[spark]") from error
    builder = SparkSession.builder.appName("winback").master(master)
    settings = _SETTINGS
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings = _SETTINGS | _LOCAL
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except PySparkException as error:
        raise RefusedError(f"no Spark at {master}: it needs Java 17, and a master that answers ({error})") from error


def to_spark(session: SparkSession, tables: Tables, folder: Path) -> Tables:
    """Write canonical tables to Parquet files and return them as Spark reads them.

    Parameters
    ----------
    session
        Spark.
    tables
        Canonical tables on DuckDB, which writes them without holding them in memory.
    folder
        Where to; every worker must see it under this name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    duckdb, spark = tables.orders.get_backend(), ibis.pyspark.connect(session)
    on_spark = {}
    for name in (field.name for field in fields(Tables)):
        file = folder / f"{name}.parquet"
        duckdb.raw_sql(f"copy ({ibis.to_sql(getattr(tables, name))}) to '{file}' (format parquet)")
        on_spark[name] = spark.read_parquet(file, table_name=f"winback_{name}")
    return Tables(**on_spark)


@contextmanager
def working(master: str, tables: Tables, terms: Terms, scratch: Path) -> Iterator[Callable[[Span], Decided]]:
    """Let Spark work out all decisions, and yield what reads those of a span; see :func:`serving.engines.working`."""
    session = open_spark(master)
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        on_spark = to_spark(session, tables, scratch / "tables")
        plan = features_expression(on_spark, terms.as_of, terms.programme)
        _frame(session, plan).orderBy("member_id").write.parquet(str(scratch / "features"))
        features = session.read.parquet(str(scratch / "features"))
        decide_on_spark(session, features, on_spark, terms).orderBy("member_id").write.parquet(
            str(scratch / "decisions")
        )
        yield partial(_decided, scratch, terms.programme)
    finally:
        session.stop()
        shutil.rmtree(scratch, ignore_errors=True)


def decide_on_spark(session: SparkSession, features: DataFrame, tables: Tables, terms: Terms) -> DataFrame:
    """Decide about every eligible member, in parts, where Spark has put them.

    Parameters
    ----------
    session
        Spark.
    features
        The rows of :func:`features.build.features_expression`.
    tables
        Canonical tables on Spark; see :func:`to_spark`.
    terms
        What the decisions rest on.

    Returns
    -------
    pyspark.sql.DataFrame
        Lazy; one row per member with the fields of :class:`serving.records.DecisionRecord`, in no order.
    """
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_schema

    members = features
    for name, rows in _CONSENT.items():
        found = _frame(session, rows(tables, terms.as_of))
        columns = [column for column in found.columns if column != "member_id"]
        listed = functions.collect_list(functions.struct(*columns)).alias(name)
        members = members.join(found.groupBy("member_id").agg(listed), "member_id", "left")
    return members.mapInArrow(_Decider(terms), from_arrow_schema(_PLAIN))


_CONSENT: Final = {"contacts": known_contacts, "unsubscribed": known_unsubscribed}

_PLAIN: Final = DECISIONS_ARROW.set(DECISIONS_ARROW.get_field_index("as_of"), pa.field("as_of", pa.string()))
"""The schema of decisions without the dictionary of `as_of`, which Spark does not know."""


@dataclass(frozen=True)
class _Decider:
    """Decides about the members of one part, on a worker."""

    terms: Terms

    def __call__(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            known = self._candidates(pa.Table.from_batches([part]))
            if not known.features.empty:
                yield from self.terms.decide(known).cast(_PLAIN).to_batches()

    def _candidates(self, part: pa.Table) -> Candidates:
        lists = {name: _rows(part, name) for name in _CONSENT}
        features = finished(part.drop_columns(list(_CONSENT)).to_pandas())
        chosen = is_eligible(features, self.terms.programme)
        return Candidates(
            as_of=self.terms.as_of,
            features=features[chosen].reset_index(drop=True),
            contacts=lists["contacts"] if self.terms.programme.data.contacts is not None else None,
            unsubscribed=lists["unsubscribed"],
            not_eligible=tuple(features.loc[~chosen, "member_id"]),
        )


def _decided(scratch: Path, programme: Programme, span: Span) -> Decided:
    features = finished(_of_span(scratch / "features", span).to_pandas())
    decisions = _of_span(scratch / "decisions", span).select(DECISIONS_ARROW.names).cast(DECISIONS_ARROW)
    return Decided(len(features), features[is_eligible(features, programme)].reset_index(drop=True), decisions)


def _of_span(folder: Path, span: Span) -> pa.Table:
    ids = dataset.field("member_id")
    rows = dataset.dataset(folder, format="parquet").to_table(filter=(ids >= span.first) & (ids <= span.last))
    return rows.sort_by("member_id")


def _frame(session: SparkSession, table: ibis.Table) -> DataFrame:
    return session.sql(ibis.to_sql(table, dialect="pyspark"))


def _rows(part: pa.Table, name: str) -> pd.DataFrame:
    """Lay a column of lists of structs out as the rows they are, with the member each belongs to."""
    column = part.column(name).combine_chunks()
    fields_ = pa.Table.from_struct_array(pc.list_flatten(column))
    owners = part.column("member_id").take(pc.list_parent_indices(column))
    rows: pd.DataFrame = fields_.append_column("member_id", owners).to_pandas()
    return rows
