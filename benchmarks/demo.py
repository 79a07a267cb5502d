"""Measure the demo as a whole process: wall time, processor time, peak memory. Writes results/demo.json."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from serving.console import rows_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "demo.json"


def main() -> None:
    """Run the demo once and print what it took."""
    started = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("winback"), "demo"], cwd=ROOT, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = [
        {"name": "wall_seconds", "value": round(time.perf_counter() - started, 1)},
        {"name": "processor_seconds", "value": round(used.ru_utime + used.ru_stime, 1)},
        {"name": "peak_memory_gb", "value": round(used.ru_maxrss / 1024**2, 2)},
    ]
    Console().print(rows_table("winback demo", rows))
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
