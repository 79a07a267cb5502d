"""How long a million simulated members of about 50 orders take, and how much memory. Writes results/simulation.json.

The floor reads the tables written and writes them anew, on one thread. MEMBERS chooses how many; DATA where, 6 GB of
disk for a million.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pyarrow.parquet as pq
from batch import ROOT
from planning import row
from rich.console import Console

from features.programme import load_programme
from serving.console import rows_table
from training.run import simulate
from training.sim_offers import Experiment

RESULTS = ROOT / "benchmarks" / "results" / "simulation.json"
MEMBERS = int(os.environ.get("MEMBERS") or 1_000_000)
DATA = os.environ.get("DATA") or None
GAP_DAYS = 9.0
MINUTES, GIGABYTES = 30, 6
EVERY_SECONDS = 0.2


class Peak(threading.Thread):
    """Watches how much memory this process and those it begins take together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self.gigabytes = 0.0

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.wait(EVERY_SECONDS):
            self.gigabytes = max(self.gigabytes, _resident() / 1024**3)

    def stop(self) -> float:
        """Return the most that was seen."""
        self._done.set()
        self.join()
        return self.gigabytes


def _resident() -> int:
    total, own = 0, psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _processor_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def main() -> None:
    """Simulate once, and print what it took."""
    with TemporaryDirectory(dir=DATA) as folder:
        out, peak = Path(folder) / "simulated", Peak()
        peak.start()
        begun = time.perf_counter()
        result = simulate(
            load_programme(ROOT / "programme.toml"), out, members=MEMBERS, weeks=130, seed=1, experiment=Experiment(),
            season=1.0, trend_per_year=0.05, gap_days=GAP_DAYS, step=lambda told: print(told, flush=True),
        )  # fmt: skip
        spent, gigabytes = time.perf_counter() - begun, peak.stop()
        worked = _processor_seconds()
        floor = _written_anew([Path(file) for file in result.record["files"]])
        counts = {one["table"]: one["rows"] for one in result.record["tables"]}
    size = f"{MEMBERS:,} members"
    rows = [
        row(f"{size}: minutes", spent / 60, MINUTES if MEMBERS >= 1_000_000 else None),
        row(f"{size}: minutes of one core, all processes", worked / 60),
        row(f"{size}: GB of peak memory, all processes", gigabytes, GIGABYTES),
        row(f"{size}: orders per member", counts["orders"] / MEMBERS),
        row(f"{size}: millions of rows in all tables", sum(counts.values()) / 1e6),
        row(f"{size}: times the floor", spent / floor),
    ]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    Console().print(rows_table("simulation", rows))


def _written_anew(files: list[Path]) -> float:
    begun = time.perf_counter()
    for file in files:
        source = pq.ParquetFile(file)
        again = file.with_suffix(".again")
        with pq.ParquetWriter(again, source.schema_arrow) as sink:
            for group in range(source.num_row_groups):
                sink.write_table(source.read_row_group(group, use_threads=False))
        shutil.move(again, file)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
