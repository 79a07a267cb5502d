"""Development back-tests: what defaults are chosen on. Earlier dates, and simulated programmes of other seeds, than any
the benchmarks report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from cases import Case, fewer, possible_cases, prepare

from features.programme import Programme
from training.labels import labels
from training.snapshots import Population, Snapshot, build_snapshots, observe

CASES = (
    Case("cdnow", "1997-07-02", 91),
    Case("cdnow", "1997-07-30", 28),
    Case("cdnow", "1997-09-03", 28),
    Case("complete_journey", "2017-07-02", 91),
    Case("complete_journey", "2017-07-08", 28),
    Case("complete_journey", "2017-08-05", 28),
    Case("complete_journey", "2017-09-02", 28),
    Case("tafeng", "2001-01-04", 14),
    Case("tafeng", "2001-01-04", 28),
    Case("simulated", "2024-04-01", 91, season=1.0, trend_per_year=0.2, seed=108),
    Case("simulated", "2024-07-01", 91, season=1.0, seed=106),
    Case("simulated", "2024-08-01", 91, season=2.0, trend_per_year=-0.3, seed=102),
    Case("simulated", "2024-10-01", 28, season=1.0, trend_per_year=0.05, seed=110),
    Case("simulated", "2024-10-01", 91, season=1.0, trend_per_year=0.05, seed=105),
    Case("simulated", "2024-10-01", 91, season=0.5, trend_per_year=-0.2, seed=109),
    Case("simulated", "2024-11-01", 91, season=1.0, trend_per_year=0.05, seed=101),
    Case("simulated", "2024-11-01", 91, season=2.0, trend_per_year=-0.3, seed=103),
    Case("simulated", "2024-11-01", 91, season=0.0, trend_per_year=0.4, seed=104),
    Case("simulated", "2025-01-01", 91, season=2.0, trend_per_year=-0.3, seed=107),
)


@dataclass(frozen=True)
class Development:
    """A development back-test: what could be learnt by its date, who was eligible then, and what they did."""

    name: str
    programme: Programme
    snapshots: list[Snapshot]
    now: Population
    happened: pd.DataFrame


def developments(most: int) -> Iterator[Development]:
    """Yield those there are data for; at most so many members per past date are learnt from."""
    for case, data in possible_cases(CASES):
        programme, loaded = prepare(case, data)
        as_of = programme.instant(case.as_of)
        snapshots = [fewer(each, most) for each in build_snapshots(loaded.tables, as_of, programme)]
        now = observe(loaded.tables, as_of, programme)
        happened = labels(loaded.tables, as_of, programme, now.features["member_id"])
        name = case.name if case.season is None else f"{case.name} ({case.seed})"
        yield Development(name, programme, snapshots, now, happened)
