"""Peak memory and time of training by the rows learnt from. Writes results/learning.json.

MEMBERS chooses how many members the made-up programme has, ROWS="300000 600000" the most rows, DATA=folder where its
tables are kept. Every training runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from batch import DATA, ROOT, THREADS, TRAINED_UNTIL, programme_of
from rich.console import Console

from features.sources import load_tables
from serving.console import rows_table
from training.fit import train
from training.snapshots import build_snapshots, most_members, observe

RESULTS = ROOT / "benchmarks" / "results" / "learning.json"
MEMBERS = int(os.environ.get("MEMBERS") or 200_000)
ROWS = [int(rows) for rows in (os.environ.get("ROWS") or "300000 600000 1200000").split()]
GIB = 1024**2


def measured(rows: int) -> dict[str, float]:
    """Train on at most so many rows of the programme, and tell what it took."""
    whole = programme_of(MEMBERS)
    programme = whole.model_copy(update={"training": whole.training.model_copy(update={"most_rows": rows})})
    tables, until = load_tables(programme, threads=THREADS).tables, programme.instant(TRAINED_UNTIL)
    before, begun = _peak(), time.perf_counter()
    snapshots = build_snapshots(tables, until, programme)
    now = observe(tables, until, programme, most=most_members(programme))
    observed, looked_back = _peak(), time.perf_counter()
    bundle = train(snapshots, now, programme).bundle
    return {
        "members": MEMBERS,
        "most_rows": rows,
        "rows": sum(len(each.features) for each in snapshots),
        "features": len(bundle.feature_names),
        "peak_gib_tables": before,
        "peak_gib_snapshots": observed,
        "peak_gib": _peak(),
        "snapshot_seconds": looked_back - begun,
        "fit_seconds": time.perf_counter() - looked_back,
        "churn_log_loss": bundle.metrics["churn_log_loss"],
        "value_total_bias": bundle.metrics["value_total_bias"],
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB


def main() -> None:
    """Measure every number of rows and print the table."""
    programme_of(MEMBERS)
    found = []
    for rows in ROWS:
        ran = subprocess.run([sys.executable, __file__, str(rows)], capture_output=True, text=True, check=True)
        found.append(json.loads(ran.stdout.splitlines()[-1]))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    Console().print(rows_table(f"Training, tables in {DATA}", found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured(int(sys.argv[1]))))
    else:
        main()
