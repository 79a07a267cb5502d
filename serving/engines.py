"""What works decisions out: DuckDB in this process, or Spark. Both apply the same terms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd
import pyarrow as pa

from features.programme import Programme
from features.schemas import Tables
from serving.bundle import ModelBundle
from serving.decisions import Candidates, decide
from serving.kept import span_candidates
from serving.parts import Span
from serving.pause import all_withheld
from serving.policy_table import PolicyTable
from serving.ration import Ration
from serving.records import decision_table

DUCKDB: Final = "duckdb"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Terms:
    """What decisions rest on besides the members' rows."""

    as_of: datetime
    bundle: ModelBundle
    policy_table: PolicyTable | None
    programme: Programme
    paused: bool
    ration: Ration | None

    def decide(self, known: Candidates) -> pa.Table:
        """Decide about candidates, and check the decisions."""
        decided = decide(known, self.bundle, self.policy_table, self.programme, self.ration)
        return decision_table(all_withheld(decided) if self.paused else decided)


@dataclass(frozen=True)
class Decided:
    """A span of members: how many are known, the features of the eligible ones, and the decisions about these."""

    known: int
    features: pd.DataFrame
    decisions: pa.Table


DecideSpans = Callable[[Iterable[Span]], Iterator[Decided]]


@contextmanager
def working(engine: str, tables: Tables, terms: Terms, scratch: Path, kept: Path) -> Iterator[DecideSpans]:
    """Yield what decides about spans of members, in their order.

    Parameters
    ----------
    engine
        ``duckdb``, or a Spark master such as ``local[*]`` or ``spark://host:7077``.
    tables
        Canonical tables.
    terms
        What the decisions rest on.
    scratch
        Folder Spark and its workers share; what is left there is removed.
    kept
        Folder of features an earlier look has kept, for DuckDB; see :func:`serving.kept.span_candidates`.

    Raises
    ------
    RefusedError
        If the engine is not there.
    """
    if engine == DUCKDB:
        yield partial(_decide_here, tables, terms, kept)
        return
    from serving.spark import working as working_on_spark

    with working_on_spark(engine, tables, terms, scratch) as decide_span:
        yield partial(map, decide_span)


def _decide_here(tables: Tables, terms: Terms, kept: Path, spans: Iterable[Span]) -> Iterator[Decided]:
    """Build the features of a span while the one before is decided about, and the one before that is stored."""

    def known_of(span: Span) -> Candidates:
        return span_candidates(span, tables, terms.as_of, terms.programme, kept)

    def decided(known: Candidates) -> Decided:
        return Decided(len(known.features) + len(known.not_eligible), known.features, terms.decide(known))

    return ahead(decided, ahead(known_of, spans))


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to items in order, in a thread of its own, one item ahead of who takes the results."""
    with ThreadPoolExecutor(1) as thread:
        coming: deque[Future[Result]] = deque()
        for item in items:
            coming.append(thread.submit(function, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
