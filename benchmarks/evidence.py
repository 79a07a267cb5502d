"""Measure the evidence for incentives on offer logs whose truth is known; prints a table, writes results/evidence.json.

Each part measures many programmes, one per seed. What is measured is kept in `var/benchmarks`, so a run that was broken
off goes on where it stopped; changed code starts anew. Results are written after every programme, each line saying on
how many it rests. DATA=folder adds a real test, `hillstrom.parquet` there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

from adaptive import adaptive_nulls_part, adaptive_part
from bets import bets_part
from doubleml_peer import PYTHON, peer_part
from hillstrom import hillstrom_part
from interval_coverage import alike_part, choices_part, confounded_part, nulls_part
from members import members_part
from rich.console import Console
from seeds import ROOT, Part, Record, fingerprint, kept, measure

from serving.console import rows_table

RESULTS = ROOT / "benchmarks" / "results" / "evidence.json"
MEASURED_WITH = (
    *(
        f"training/{name}.py"
        for name in ("comparisons", "contrast", "effects", "multiplicity", "prognosis", "segment_log")
    ),
    *(f"benchmarks/{name}.py" for name in ("choice_rules", "interval_coverage", "offer_logs")),
)
"""What all measurements depend on, beside the code of their part."""


def parts() -> list[Part]:
    """List the questions; the peer takes part where its environment was made, the real test where there is data."""
    data = os.environ.get("DATA")
    return [
        nulls_part(20_000, 400),
        choices_part(50_000, 100),
        choices_part(200_000, 60),
        choices_part(1_000_000, 40),
        confounded_part(50_000, 60),
        alike_part(200_000, 60),
        adaptive_part(8_000, 60),
        adaptive_nulls_part(1_500, 400),
        *(bets_part(offers, 60) for offers in (5_000, 20_000, 50_000)),
        members_part("alike", 200_000, 40),
        members_part("subsidised", 200_000, 20),
        members_part("differing", 200_000, 20),
        members_part("differing", 1_000_000, 5),
        *([peer_part(50_000, 3)] if PYTHON.exists() else []),
        *([hillstrom_part(Path(data) / "hillstrom.parquet")] if data else []),
    ]


def code_of(part: Part) -> str:
    """Hash what a part's measurements depend on."""
    return fingerprint({*(ROOT / file for file in MEASURED_WITH), *part.sources})


def results() -> list[Record]:
    """Summarise what has been measured so far."""
    measured = [(part, kept(part, code_of(part))) for part in parts()]
    return [record for part, seen in measured if seen for record in part.summarise(seen)]


def write(records: list[Record]) -> None:
    """Put results on record."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="regular expression of the parts to measure")
    arguments = parser.parse_args()
    for part in parts():
        if re.search(arguments.only, part.name):
            measure(part, code_of(part), after_each=lambda: write(results()))
    records = results()
    write(records)
    Console(width=160).print(rows_table("Evidence for incentives", records))


if __name__ == "__main__":
    main()
