"""The benchmarks page, made from the records the benchmarks wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

INTRODUCTION = """# Benchmarks

Generated from `benchmarks/results/` by `make docs`; each section names the command that measures it. Quality does not
depend on the machine; times do, and are given as orientation only.
"""

QUALITY = """## Model quality: `make bench-quality`

Every model learns only from what was known at the date; one default configuration for all. `DATA=folder` adds Ta-Feng.
ECE is the calibration error, beside the band a perfectly calibrated model would show at that number of members; total
bias is predicted over actual total value, less one. How the models are made, and what they miss, is in
[models](models.md).
"""

REFERENCES = """### References measured before

Untuned models of about 30 features on the same dates, as a yardstick from before this project:

| back-test | model | AUC | log loss | Brier | norm. Gini | RMSE | total bias |
|---|---|---|---|---|---|---|---|
| CDNOW 1998-04-01, 91 days | LightGBM | .840 | .298 | .0885 | .785 | 32.0 | +6 % |
| | BG/NBD + Gamma-Gamma | .834 | .308 | .0913 | .767 | 31.1 | +15 % |
| | AutoGluon 1.6 good_quality | .834 | .302 | .0904 | .733 | 34.5 | +24 % |
| CDNOW 1997-10-01, 91 days | LightGBM | .777 | .382 | .1163 | .681 | 43.0 | -22 % |
| | BG/NBD + Gamma-Gamma | .769 | .386 | .1172 | .646 | 43.4 | -18 % |
| Complete Journey 2017-12-02, 28 days | LightGBM | .865 | .299 | .0944 | .834 | 110.5 | -1 % |
| | logistic on RFM | .850 | .317 | .0989 | | | |
| | BG/NBD + Gamma-Gamma | .836 | .331 | .0995 | .795 | 118.3 | -6 % |
| | AutoGluon 1.6 good_quality | .851 | .327 | .1025 | .817 | 114.4 | +6 % |
"""

EVIDENCE = """## Evidence for incentives: `make bench-evidence`

On offer logs whose truth is known; what is meant by each line is in [evidence](evidence.md).
"""

DEMO = """## The demo: `make bench-demo`

One run of `winback demo` as a whole process, on two cores.
"""


SERVICE = """## The service: `make bench-service`

Beside a bare BentoML `async def` endpoint that is sent, and sends back, the same answer about one stored member; both
on the loopback address, one worker each, in one run. Cached: the members were asked about before; uncached: for the
first time. Eight callers, unless it says otherwise.
"""

PLAIN = {"evidence": EVIDENCE, "service": SERVICE, "demo": DEMO}
"""Results of flat records, in the order of the page."""


def benchmarks_markdown() -> str:
    """Lay out every result on record."""
    plain = (line for name, introduction in PLAIN.items() for line in _plain(introduction, name))
    return "\n".join([INTRODUCTION, *_quality(), REFERENCES, *plain])


def _quality() -> Iterator[str]:
    yield QUALITY
    for backtest, rows in groupby(_records("quality"), key=lambda row: row["backtest"]):
        models = list(rows)
        yield f"### {backtest}, {models[0]['n']:,} members\n"
        yield _table([{name: row[name] for name in row if name not in ("backtest", "n")} for row in models])


def _plain(introduction: str, name: str) -> Iterator[str]:
    yield introduction
    rows = _records(name)
    yield _table(rows) if rows else "Not on record yet: run the command.\n"


def _records(name: str) -> list[dict[str, Any]]:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    listed = list(rows)
    columns = list(dict.fromkeys(name for row in listed for name in row))
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(_cell(name, row.get(name)) for name in columns)} |" for row in listed]
    return "\n".join([*lines, ""])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "-".join(_cell(name, part) for part in value)
    if isinstance(value, float):
        return f"{value:+.1%}" if name == "total_bias" else f"{value:.1f}" if abs(value) >= 10 else f"{value:.4f}"
    return str(value).replace("|", "/")
