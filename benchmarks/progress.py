"""A benchmark that is broken off goes on where it was, unless the code or the settings have changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from cases import ROOT

FOLDER = ROOT / "build" / "benchmarks"
SOURCES = ("features", "serving", "training", "benchmarks")
SETTINGS = ("AUTOML", "DATA", "MEMBERS")

Record = dict[str, Any]


def resumed(benchmark: str, case: str, work: Callable[[], list[Record]]) -> list[Record]:
    """Return a case's records: those kept by an earlier run of the same code, or else what the work gives."""
    kept = FOLDER / state() / f"{benchmark} {case}.json"
    if kept.exists():
        found: list[Record] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    records = work()
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(as_json(records), encoding="utf-8")
    return records


def as_json(records: list[Record]) -> str:
    """Write records as results are kept."""
    return json.dumps(records, indent=1, default=_plain) + "\n"


@cache
def state() -> str:
    """Return a digest of everything that results depend on."""
    digest = hashlib.sha256(" ".join(f"{name}={os.environ.get(name)}" for name in SETTINGS).encode())
    for file in sorted(file for folder in SOURCES for file in (ROOT / folder).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
