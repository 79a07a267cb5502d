"""The back-tests of the benchmarks: programmes, dates, and how far to look ahead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from features.programme import Horizons, Programme, load_programme, parse_programme
from features.sources import Loaded, load_tables, tables_from_frames
from training.demo_data import write_dataset
from training.simulator import simulate
from training.snapshots import Snapshot

ROOT = Path(__file__).parents[1]
FOLDERS = {"cdnow": "data/cdnow", "complete_journey": "demo/complete_journey"}
TAFENG = "tafeng_baskets.parquet"


@dataclass(frozen=True)
class Case:
    """A back-test: a programme's data, a date, and the days to look ahead."""

    data: str
    as_of: str
    days: int
    season: float | None = None
    trend_per_year: float = 0.0
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.data} {self.as_of} {self.days}d"


CASES = (
    Case("cdnow", "1997-10-01", 91),
    Case("cdnow", "1998-04-01", 91),
    Case("complete_journey", "2017-10-01", 91),
    Case("complete_journey", "2017-12-02", 28),
    Case("tafeng", "2001-02-01", 28),
    Case("simulated season", "2024-10-01", 91, season=1.0, trend_per_year=0.05, seed=41),
    Case("simulated strong season, decline", "2025-01-01", 91, season=2.0, trend_per_year=-0.3, seed=42),
    Case("simulated growth, no season", "2024-10-01", 91, season=0.0, trend_per_year=0.4, seed=43),
)
SIMULATED_MEMBERS = 5_000
SIMULATED_WEEKS = 118


def prepare(case: Case, data: Path | None) -> tuple[Programme, Loaded]:
    """Load a case's tables, and the programme with the case's horizons."""
    if case.season is not None:
        programme, loaded = _simulated(case)
    elif case.data == "tafeng":
        assert data is not None
        programme, loaded = _tafeng(data)
    else:
        programme, loaded = _public(case.data)
    horizons = Horizons(churn_days=case.days, value_days=case.days)
    return programme.model_copy(update={"horizons": horizons}), loaded


@lru_cache(maxsize=1)
def _public(dataset: str) -> tuple[Programme, Loaded]:
    write_dataset(dataset, ROOT / FOLDERS[dataset])
    programme = load_programme(ROOT / "programmes" / f"{dataset}.toml")
    return programme, load_tables(programme)


def _simulated(case: Case) -> tuple[Programme, Loaded]:
    programme = load_programme(ROOT / "programme.toml")
    simulation = simulate(
        SIMULATED_MEMBERS,
        SIMULATED_WEEKS,
        case.seed,
        programme=programme,
        season=case.season or 0.0,
        trend_per_year=case.trend_per_year,
    )
    return programme, tables_from_frames(programme, threads=1, **simulation.tables)


def _tafeng(data: Path) -> tuple[Programme, Loaded]:
    settings = {
        "name": "Ta-Feng",
        "currency": "TWD",
        "timezone": "Asia/Taipei",
        "data": {"orders": {"path": TAFENG}},
        "guardrails": {"consent_default": True},
    }
    programme = parse_programme(settings, folder=data)
    baskets = pd.read_parquet(data / TAFENG)
    orders = pd.DataFrame(
        {
            "order_id": [str(row) for row in range(len(baskets))],
            "member_id": baskets["CUSTOMER_ID"].astype(str),
            "ordered_at": baskets["date"],
            "net_amount": baskets["sales"].astype(float),
        }
    )
    return programme, tables_from_frames(programme, orders=orders)


def fewer(snapshot: Snapshot, most: int) -> Snapshot:
    """Draw at most so many members; always the same."""
    members = len(snapshot.features)
    rows = np.sort(np.random.default_rng(0).permutation(members)[:most])
    features, priors, happened = (
        frame.iloc[rows].reset_index(drop=True) for frame in (snapshot.features, snapshot.priors, snapshot.labels)
    )
    return replace(snapshot, features=features, priors=priors, labels=happened, weights=snapshot.weights[rows])


def possible_cases(cases: Iterable[Case] = CASES) -> Iterator[tuple[Case, Path | None]]:
    """Yield the back-tests there are data for, with the folder that DATA names; say which are left out."""
    data = Path(os.environ["DATA"]) if os.environ.get("DATA") else None
    for case in cases:
        if case.data == "tafeng" and (data is None or not (data / TAFENG).exists()):
            print(f"left out: {case.name}; DATA names no folder with {TAFENG}")
        else:
            yield case, data
