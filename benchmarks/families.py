"""What each family of features adds: train without it, and lose how much? Prints tables, writes results/families.json;
`make docs` lays them out in docs/features.md.

DATA=folder adds Ta-Feng, from `tafeng_baskets.parquet` there. MEMBERS=number says from how many members per date to
learn at most; all are judged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from cases import ROOT, Case, fewer, possible_cases, prepare
from progress import Record, as_json, resumed
from rich.console import Console

from features.catalogue import catalogue
from features.programme import Programme
from features.sources import Loaded
from serving.console import rows_table
from serving.scoring import score
from training.backtest import Rehearsal
from training.bootstrap import paired_bootstrap
from training.compare import JUDGED
from training.fit import train
from training.labels import labels
from training.snapshots import Snapshot, build_snapshots, observe

RESULTS = ROOT / "benchmarks" / "results" / "families.json"
METRICS = ("log_loss", "auc", "tweedie_deviance", "gini")
CONFIDENCE = 0.95
MEMBERS = 3_000


def ablate(case: Case, data: Path | None) -> list[Record]:
    """Return one flat record per family that has anything to tell in this back-test."""
    programme, loaded = prepare(case, data)
    full = _rehearse(loaded, programme.instant(case.as_of), programme)
    used = set(full.training.bundle.feature_names)
    told = {family: [name for name in columns if name in used] for family, columns in _families(programme).items()}
    return [
        {"backtest": case.name, "family": family, "features": len(columns), **_gains(full, columns, programme)}
        for family, columns in told.items()
        if columns
    ]


def _rehearse(loaded: Loaded, as_of: datetime, programme: Programme) -> Rehearsal:
    most = int(os.environ.get("MEMBERS") or MEMBERS)
    snapshots = [fewer(each, most) for each in build_snapshots(loaded.tables, as_of, programme)]
    now = observe(loaded.tables, as_of, programme)
    happened = labels(loaded.tables, as_of, programme, now.features["member_id"])
    return Rehearsal(snapshots, now, train(snapshots, now, programme), happened)


def _gains(full: Rehearsal, columns: Sequence[str], programme: Programme) -> Record:
    reduced = train([_without(each, columns) for each in full.snapshots], full.now, programme)
    complete, less = (score(full.now.features, each.bundle) for each in (full.training, reduced))
    gains: Record = {"n": len(full.happened)}
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


def main() -> None:
    """Run all and write the results."""
    console = Console(width=200)
    records: list[Record] = []
    for case, data in possible_cases():
        rows = resumed("families", case.name, partial(ablate, case, data))
        console.print(rows_table(case.name, [{k: v for k, v in row.items() if k != "backtest"} for row in rows]))
        records += rows
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(as_json(records), encoding="utf-8")


if __name__ == "__main__":
    main()
