"""Back-test ours beside its peers on public and simulated data; prints tables, writes results/quality.json.

DATA=folder adds Ta-Feng, from `tafeng_baskets.parquet` there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from features.programme import Horizons, Programme, load_programme, parse_programme
from features.sources import Loaded, load_tables, tables_from_frames
from serving.console import rows_table
from serving.intervals import total_interval, value_rank
from training.backtest import OURS, BacktestResult, backtest
from training.compare import JUDGED, Standing, standing
from training.demo_data import write_dataset
from training.evaluate import churn_metrics, interval_coverage, uniformity_distance, value_metrics
from training.peers import BENCH_PEERS
from training.simulator import simulate

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
FOLDERS = {"cdnow": "data/cdnow", "complete_journey": "demo/complete_journey"}
TAFENG = "tafeng_baskets.parquet"
BIAS_AIM = 0.10
LIKELY_TO_ORDER = 0.3


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
    return programme, tables_from_frames(programme, **simulation.tables)


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


def records(case: Case, result: BacktestResult) -> Iterator[dict[str, Any]]:
    """Yield one flat record per model."""
    for model, predicted in result.predictions.items():
        churn = churn_metrics(result.members["churned"], predicted["churn_probability"])
        value = value_metrics(result.members["value"], predicted["expected_value"])
        yield {
            "backtest": case.name,
            "model": model,
            **{name: churn[name] for name in ("auc", "log_loss", "brier")},
            "gini": value["normalised_gini"],
            **{name: value[name] for name in ("rmse", "tweedie_deviance", "total_bias")},
            "ece": churn["ece"],
            "ece_band": [churn["ece_band_low"], churn["ece_band_high"]],
            "n": len(result.members),
        }


def standings(result: BacktestResult) -> list[Standing]:
    """Compare ours with the best peer in every metric."""
    peers = {name: each for name, each in result.predictions.items() if name != OURS}
    return [standing(metric, result.members, result.predictions[OURS], peers) for metric in JUDGED]


def uncertainty(case: Case, result: BacktestResult) -> dict[str, Any]:
    """Hold our intervals and predictive distributions against what happened."""
    members, spread = result.members, result.bundle.value_spread
    chance, if_active = (members[name].to_numpy() for name in ("order_probability", "value_if_active"))
    likely = members[chance > LIKELY_TO_ORDER]
    total = total_interval(chance, if_active, spread, level_margin=result.bundle.level_margin)
    actual = float(members["value"].sum())
    return {
        "backtest": case.name,
        "coverage_80": interval_coverage(likely["value"], likely["expected_value_low"], likely["expected_value_high"]),
        "members_covered": len(likely),
        "pit_distance": uniformity_distance(value_rank(members["value"].to_numpy(), chance, if_active, spread)),
        "total_low": total.low / actual - 1,
        "total_bias": total.value / actual - 1,
        "total_high": total.high / actual - 1,
        "total_covered": total.low <= actual <= total.high,
    }


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the title says, and write the band as text."""
    low, high = row["ece_band"]
    rest = {name: value for name, value in row.items() if name not in ("backtest", "n")}
    return {**rest, "ece_band": f"{low:.3f}-{high:.3f}"}


def summary(found: list[Standing], ours: dict[str, Any]) -> dict[str, str]:
    """Say per metric how ours stands, in one row per back-test."""
    _, high = ours["ece_band"]
    return {
        "backtest": ours["backtest"],
        **{each.metric: each.verdict for each in found},
        "total_bias": f"{ours['total_bias']:+.1%}" + ("" if abs(ours["total_bias"]) <= BIAS_AIM else " (missed)"),
        "ece": f"{ours['ece']:.3f}" + ("" if ours["ece"] <= high else f" (above {high:.3f})"),
    }


def main() -> None:
    """Run all back-tests and write the results."""
    console = Console(width=200)
    data = Path(os.environ["DATA"]) if os.environ.get("DATA") else None
    results: list[dict[str, Any]] = []
    verdicts, uncertainties = [], []
    for case in CASES:
        if case.data == "tafeng" and data is None:
            console.print(f"left out: {case.name}; it needs DATA, a folder with {TAFENG}\n")
            continue
        started = perf_counter()
        programme, loaded = prepare(case, data)
        result = backtest(loaded, programme.instant(case.as_of), programme, peers=BENCH_PEERS)
        rows = list(records(case, result))
        found = standings(result)
        results += rows
        _write(results)
        verdicts.append(summary(found, rows[0]))
        uncertainties.append(uncertainty(case, result))
        seconds = perf_counter() - started
        console.print(rows_table(f"{case.name}: {len(result.members):,} members, {seconds:.0f} s", [*map(shown, rows)]))
        console.print(rows_table("ours against the best peer", [*map(_compared, found)]), "")
    console.print(rows_table("Against the best peer, by paired 95 % bootstrap intervals", verdicts))
    console.print(
        rows_table("Our 80 % intervals, predictive distributions, and 90 % interval of the total", uncertainties)
    )
    console.print("left out: an automatic machine-learning peer; AutoGluon does not install beside these versions")


def _write(results: list[dict[str, Any]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, default=_plain) + "\n", encoding="utf-8")


def _compared(found: Standing) -> dict[str, Any]:
    return {
        "metric": found.metric,
        "ours": found.ours,
        "best_peer": found.best_peer,
        "peer": found.peer,
        "difference_low": found.difference.low,
        "difference_high": found.difference.high,
        "verdict": found.verdict,
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main()
