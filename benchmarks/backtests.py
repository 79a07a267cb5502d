"""Back-test ours beside simple peers on public data; prints tables, writes results/backtests.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from features.programme import load_programme
from features.sources import load_tables
from serving.console import rows_table
from training.backtest import backtest
from training.demo_data import write_dataset
from training.page import BACKTEST_CHURN, BACKTEST_VALUE, records

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "backtests.json"
BACKTESTS = (
    ("cdnow", "data/cdnow", "1997-10-01"),
    ("cdnow", "data/cdnow", "1998-04-01"),
    ("complete_journey", "demo/complete_journey", "2017-12-02"),
)


def run(dataset: str, folder: str, as_of: str) -> list[dict[str, Any]]:
    """Run one back-test and return one flat record per model."""
    write_dataset(dataset, ROOT / folder)
    programme = load_programme(ROOT / "programmes" / f"{dataset}.toml")
    result = backtest(load_tables(programme), programme.instant(as_of), programme)
    both = result.churn[BACKTEST_CHURN].merge(result.value[BACKTEST_VALUE], on="model", validate="1:1")
    return [{"backtest": f"{dataset} {as_of}", "n": len(result.members), **row} for row in records(both)]


def main() -> None:
    """Run all and write the results."""
    console = Console(width=200)
    results = []
    for dataset, folder, as_of in BACKTESTS:
        rows = run(dataset, folder, as_of)
        console.print(
            rows_table(
                f"{dataset} as of {as_of}: {rows[0]['n']:,} members",
                [{name: value for name, value in row.items() if name not in ("backtest", "n")} for row in rows],
            )
        )
        results += rows
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
