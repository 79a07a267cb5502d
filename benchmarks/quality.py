"""Back-test ours beside its peers on public and simulated data, and tell how ours does by history level.

Prints tables, writes results/quality.json and results/history_levels.json.

DATA=folder adds Ta-Feng, from `tafeng_baskets.parquet` there. AUTOML=seconds adds an automatic machine-learning peer,
which may search so long per model; `make bench-automl` makes its environment. A run that is broken off goes on where it
was, unless the code has changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from automl import NAME, automl
from cases import ROOT, Case, possible_cases, prepare
from progress import Record, as_json, resumed
from rich.console import Console

from serving.console import rows_table
from training.backtest import OURS, BacktestResult, backtest
from training.compare import JUDGED, standing
from training.evaluate import churn_metrics, value_metrics
from training.ladder import ladder_table
from training.peers import Peer, bench_peers
from training.sureness import sureness

RESULTS = ROOT / "benchmarks" / "results"
LEVEL = "history_level"
SHOWN = (
    "model",
    "auc",
    "log_loss",
    "brier",
    "gini",
    "rmse",
    "tweedie_deviance",
    "total_bias",
    "ece",
    "ece_band",
    "ece_at_level",
)


def judge(case: Case, result: BacktestResult) -> list[Record]:
    """Return one flat record per model; ours also says how it stands against the best peer, and how sure it was."""
    rows = [_metrics(case, model, result) for model in result.predictions]
    rows[0] |= {**_standing(result), **asdict(sureness(result.members, result.bundle))}
    return rows


def _metrics(case: Case, model: str, result: BacktestResult) -> Record:
    predicted = result.predictions[model]
    churn = churn_metrics(result.members["churned"], predicted["churn_probability"])
    value = value_metrics(result.members["value"], predicted["expected_value"])
    return {
        "backtest": case.name,
        "model": model,
        **{name: churn[name] for name in ("auc", "log_loss", "brier")},
        "gini": value["normalised_gini"],
        **{name: value[name] for name in ("rmse", "tweedie_deviance", "total_bias")},
        "ece": churn["ece"],
        "ece_band": [churn["ece_band_low"], churn["ece_band_high"]],
        "ece_at_level": churn["ece_at_level"],
        "n": len(result.members),
    }


def _standing(result: BacktestResult) -> Record:
    """Compare ours with the best peer in every metric, by paired bootstrap."""
    peers = {name: each for name, each in result.predictions.items() if name != OURS}
    found = [standing(metric, result.members, result.predictions[OURS], peers) for metric in JUDGED]
    return {
        f"{each.metric}_{what}": value
        for each in found
        for what, value in {
            "best_peer": each.best_peer,
            "verdict": each.verdict,
            "difference": [each.difference.low, each.difference.high],
        }.items()
    }


def peers_of(case: Case) -> Mapping[str, Peer]:
    """Return the peers to beat."""
    seconds = int(os.environ.get("AUTOML") or 0)
    return bench_peers(case.days) | ({NAME: automl(seconds)} if seconds else {})


def run(case: Case, data: Path | None) -> list[Record]:
    """Back-test one case: how every model does, and ours by history level."""
    programme, loaded = prepare(case, data)
    result = backtest(loaded, programme.instant(case.as_of), programme, peers=peers_of(case))
    levels = ladder_table(result.members).to_dict("records")
    return judge(case, result) + [
        {"backtest": case.name, **{str(name): cell for name, cell in row.items()}} for row in levels
    ]


def main() -> None:
    """Run all back-tests and write the results."""
    console = Console(width=200)
    results: list[Record] = []
    by_level: list[Record] = []
    for case, data in possible_cases():
        started = perf_counter()
        found = resumed("quality", case.name, partial(run, case, data))
        rows, levels = [row for row in found if LEVEL not in row], [row for row in found if LEVEL in row]
        results += rows
        by_level += levels
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "quality.json").write_text(as_json(results), encoding="utf-8")
        (RESULTS / "history_levels.json").write_text(as_json(by_level), encoding="utf-8")
        title = f"{case.name}: {rows[0]['n']:,} members, {perf_counter() - started:.0f} s"
        console.print(rows_table(title, [{name: _text(row[name]) for name in SHOWN} for row in rows]))
        console.print(rows_table("ours against the best peer", [*_compared(rows)]))
        console.print(rows_table("ours by history level", levels), "")
    ours = [row for row in results if row["model"] == OURS]
    console.print(rows_table("Ours against the best peer, by paired 95 % bootstrap intervals", [*map(_verdicts, ours)]))
    console.print(
        rows_table("80 % intervals, predictive distributions, 90 % interval of the total", [*map(_sure, ours)])
    )
    if not os.environ.get("AUTOML"):
        console.print("left out: an automatic machine-learning peer; make bench-automl adds it")


def _compared(rows: list[Record]) -> Iterator[Record]:
    ours, by_model = rows[0], {row["model"]: row for row in rows}
    for metric in JUDGED:
        best = ours[f"{metric}_best_peer"]
        low, high = ours[f"{metric}_difference"]
        yield {
            "metric": metric,
            "ours": ours[metric],
            "best_peer": best,
            "peer": by_model[best][metric],
            "difference_low": low,
            "difference_high": high,
            "verdict": ours[f"{metric}_verdict"],
        }


def _verdicts(ours: Record) -> Record:
    verdicts = {metric: ours[f"{metric}_verdict"] for metric in JUDGED}
    return {
        "backtest": ours["backtest"],
        **verdicts,
        **{name: _text(ours[name]) for name in ("total_bias", "ece", "ece_band", "ece_at_level")},
    }


def _sure(ours: Record) -> Record:
    names = (
        "backtest",
        "coverage_80",
        "members_covered",
        "pit_distance",
        "total_low",
        "total_bias",
        "total_high",
        "total_covered",
    )
    return {name: ours[name] for name in names}


def _text(value: Any) -> Any:
    return "-".join(f"{end:.3f}" for end in value) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
