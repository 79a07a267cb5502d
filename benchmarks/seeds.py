"""Measurements over many seeds that can be broken off: each seed's is kept, and a later run goes on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "var" / "benchmarks"

Measured = dict[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One question: what is measured per seed, on how many, what all of them say, and the code that asks it."""

    name: str
    seeds: int
    measure: Callable[[int], Measured]
    summarise: Callable[[Sequence[Measured]], list[Record]]
    sources: tuple[Path, ...]


def fingerprint(files: Iterable[Path]) -> str:
    """Hash the code that measurements depend on: what older code measured is not taken over."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def kept(part: Part, code: str) -> list[Measured]:
    """Return what was measured so far of a part's seeds, in their order."""
    file = KEPT / f"{part.name}-{code}.jsonl"
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [line for line in sorted(lines, key=lambda line: line["seed"]) if line["seed"] < part.seeds]


def measure(part: Part, code: str, *, after_each: Callable[[], None] = lambda: None) -> None:
    """Measure the seeds of a part that are missing."""
    KEPT.mkdir(parents=True, exist_ok=True)
    done = {line["seed"] for line in kept(part, code)}
    for seed in range(part.seeds):
        if seed not in done:
            line = json.dumps({"seed": seed, **part.measure(seed)})
            with (KEPT / f"{part.name}-{code}.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            after_each()
