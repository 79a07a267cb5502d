"""What each family of features adds: train without it, and lose how much? Prints tables, writes results/families.json
and docs/families.md.

DATA=folder adds Ta-Feng, from `tafeng_baskets.parquet` there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cases import ROOT, Case, possible_cases, prepare
from rich.console import Console

from features.catalogue import catalogue
from features.programme import Programme
from serving.console import rows_table
from serving.scoring import score
from training.backtest import Rehearsal, rehearse
from training.compare import JUDGED
from training.evaluate import paired_bootstrap
from training.fit import train
from training.snapshots import Snapshot

RESULTS = ROOT / "benchmarks" / "results" / "families.json"
PAGE = ROOT / "docs" / "families.md"
METRICS = ("log_loss", "auc", "tweedie_deviance", "gini")
CONFIDENCE = 0.95
INTRODUCTION = """# What each family of features adds

Written by `make bench-families`. For every back-test the models are trained again without one family's columns, on the
same snapshots, and judged on the same members. A gain is what the family adds, in points of the metric so that more is
better; **bold** where the 95 % interval of the paired bootstrap lies above zero, *slanted* where it lies below.
The priors of BG/NBD and Gamma-Gamma stay in all, so recency, frequency and value are never wholly absent.
"""


def ablate(case: Case, data: Path | None) -> Iterator[dict[str, Any]]:
    """Yield one flat record per family that has anything to tell in this back-test."""
    programme, loaded = prepare(case, data)
    full = rehearse(loaded, programme.instant(case.as_of), programme)
    used = set(full.training.bundle.feature_names)
    for family, columns in _families(programme).items():
        told = [name for name in columns if name in used]
        if told:
            yield {"backtest": case.name, "family": family, "features": len(told), **_gains(full, told, programme)}


def _gains(full: Rehearsal, columns: Sequence[str], programme: Programme) -> dict[str, Any]:
    reduced = train([_without(each, columns) for each in full.snapshots], full.now, programme)
    complete, less = (score(full.now.features, each.bundle) for each in (full.training, reduced))
    gains: dict[str, Any] = {"n": len(full.happened)}
    for name in METRICS:
        judged = JUDGED[name]
        difference = paired_bootstrap(
            judged.metric,
            full.happened[judged.actual],
            complete[judged.predicted],
            less[judged.predicted],
            confidence=CONFIDENCE,
        )
        sign = 1 if judged.rising_is_worse else -1
        bounds = sorted(sign * bound for bound in (difference.interval.low, difference.interval.high))
        gains |= {f"{name}_gain": sign * difference.value, f"{name}_low": bounds[0], f"{name}_high": bounds[1]}
    return gains


def _without(snapshot: Snapshot, columns: Sequence[str]) -> Snapshot:
    """Make columns constant: training leaves out what tells nothing."""
    return replace(snapshot, features=snapshot.features.assign(**dict.fromkeys(columns, 0.0)))


def _families(programme: Programme) -> dict[str, list[str]]:
    features = catalogue(programme.windows)
    return {
        family: [f.name for f in features if f.family == family] for family in dict.fromkeys(f.family for f in features)
    }


def page(records: Sequence[dict[str, Any]]) -> str:
    """Lay out the gains, one table per metric: families down, back-tests across."""
    cases = list(dict.fromkeys(record["backtest"] for record in records))
    found = {(record["backtest"], record["family"]): record for record in records}
    lines = [INTRODUCTION]
    for metric in METRICS:
        lines += [
            f"## {metric.replace('_', ' ')}",
            "",
            f"| family | {' | '.join(cases)} |",
            "|---" * (len(cases) + 1) + "|",
        ]
        for family in dict.fromkeys(record["family"] for record in records):
            cells = (_cell(found.get((case, family)), metric) for case in cases)
            lines.append(f"| {family} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(record: dict[str, Any] | None, metric: str) -> str:
    if record is None:
        return "no data"
    gain = f"{record[f'{metric}_gain']:+.4f}"
    if record[f"{metric}_low"] > 0:
        return f"**{gain}**"
    return f"*{gain}*" if record[f"{metric}_high"] < 0 else gain


def main() -> None:
    """Run all and write the results."""
    console = Console(width=200)
    records: list[dict[str, Any]] = []
    for case, data in possible_cases():
        rows = list(ablate(case, data))
        console.print(rows_table(case.name, [{k: v for k, v in row.items() if k != "backtest"} for row in rows]))
        records += rows
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main()
