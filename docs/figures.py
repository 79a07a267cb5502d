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
ECE is the calibration error, beside the band a perfectly calibrated model would show at that number of members, and as
it is at the right level: after all log-odds are shifted alike until their mean is what happened, so that only the shape
is judged. Total bias is predicted over actual total value, less one. How the models are made, and what they miss, is in
[models](models.md).
"""

STANDING = """### Ours against the best peer

By the paired 95 % bootstrap interval of the difference; the peer that was best in the metric is named. Where the total
is off by more than 10 %, or ECE lies above its band, the aim is missed.
"""

SURE = """### How sure ours was

80 % intervals of members likelier than 30 % to order; the greatest distance of the predictive distribution from a
uniform one (PIT); and the 90 % interval of the total value, as it lies around the actual total.
"""

BY_LEVEL = """### Ours by history level

From members with one order to those back after a long silence ([what the levels are](training.md)).
"""

FAMILIES = """
## What each family adds

Measured by `make bench-families`. For every back-test the models are trained again without one family's columns, from
at most 3,000 members per date, and judged on all members. A gain is what the family adds, so that more is better;
**bold** where the 95 % interval of the paired bootstrap lies above zero, *slanted* where below. The priors of MBG/NBD
and Gamma-Gamma stay in all, so recency, frequency and value are never wholly absent.

Breadth is the one family whose gain nowhere lies above zero here, so it was left out of full back-tests, which learn
from all members. Log loss and AUC got worse on simulated growth (.4153 to .4264, .872 to .869, with a calibration that
was tried along with it) and on Complete Journey over 91 days (.1253 to .1260, .858 to .855), better on the simulated
season (.4867 to .4848), and by less than .001 elsewhere. That is a gain somewhere, so models read it; `leave_out` under
`[training]` lets a programme decide otherwise. Every family but cadence and rfm feeds personas of `programme.toml` or
reasons that no other does.
"""

JUDGED = ("auc", "log_loss", "brier", "gini", "rmse", "tweedie_deviance")
LEVEL = ("total_bias", "ece", "ece_band", "ece_at_level")
METRICS = ("model", *JUDGED, *LEVEL)
SURENESS = ("coverage_80", "members_covered", "pit_distance", "total_low", "total_bias", "total_high", "total_covered")
LADDER = (
    "backtest", "history_level", "members", "churn_share", "auc", "log_loss", "ece", "ece_band_high", "total_bias",
    "normalised_gini",
)  # fmt: skip
GAINS = ("log_loss", "auc", "tweedie_deviance", "gini")
BIASES = ("total_low", "total_high", "total_bias")

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

BATCH = """## The weekly job: `make bench-batch`

From raw Parquet to published decisions with three reasons each, on made-up members with about 50 orders, 50 order lines
and 40 events each, two threads. *The least* is hand-written SQL for the same features, the trees of both models, bulk
SHAP values and the same rows written to Parquet and SQLite, without any checks. The job builds features, decides and
stores side by side, so its steps add up to more than the total. *The obvious pipeline* has the same features in pandas,
scikit-learn's wrappers and shap's TreeExplainer. The machine was slower in this run than in those before it: what the
least takes of a million members took 1.5 times as long as then, and at 100,000 members the hand-written SQL ran in a
slow moment, so that the features seem faster than it. Compare the ratios, at a million members above all.
"""

PLANNING = """## A budget: `make bench-planning`

A budget of 0.60 per member divided among made-up members, every one of whom may be sent any of five effective
incentives, on one thread; two have a set-up, one is a share of the order. *The floor* reads the same columns as arrays
and sorts once.
"""

SIMULATION = """## The simulator: `make bench-simulation`

A programme of `winback simulate --gap-days 9`, 130 weeks with 26 of offers, written to Parquet;
members are simulated in blocks of 10,000 by two processes. *The floor* reads the tables written and writes them anew.
100,000 members were simulated beside other work on the same two cores: their minutes of one core tell more.
"""

SERVICE = """## The service: `make bench-service`

Beside a bare BentoML `async def` endpoint that is sent, and sends back, the same answer about one stored member; both
on the loopback address, one worker each, in one run. Cached: the members were asked about before; uncached: for the
first time. Eight callers, unless it says otherwise; the load is one thread on plain sockets, its connections open
before the first request. The service answers before BentoML's own middlewares, which the echo passes. An answer kept in
memory asks whether a pause is on only when somebody has written to the database since. A history's milliseconds are
those of one caller, over HTTP. Beside histories, which another process asks for one after the other, stored decisions
arrive at half the rate the echo can answer, and are compared with the same arrivals alone: their median, and their
slowest hundredth. The tails at half capacity on record are of one round of 4,000 arrivals, in which a single stall of
the machine counts; the command takes the middle of five rounds since.
"""

SIZES = {
    "microseconds per member": "microseconds per member",
    "seconds, total": "seconds",
    "peak memory, GB": "peak memory, GB",
    "raw tables, GB": "raw tables, GB",
    "times the least": "times the least",
}
"""What of the weekly job's results the sizing table has, and what it calls it."""

PLAIN = {
    "evidence": EVIDENCE,
    "batch": BATCH,
    "planning": PLANNING,
    "simulation": SIMULATION,
    "service": SERVICE,
    "demo": DEMO,
}
"""Results of flat records, in the order of the page."""


def benchmarks_markdown() -> str:
    """Lay out every result on record."""
    plain = (line for name, introduction in PLAIN.items() for line in _plain(introduction, name))
    return "\n".join([INTRODUCTION, *_quality(), REFERENCES, *plain])


def _quality() -> Iterator[str]:
    yield QUALITY
    records = _records("quality")
    ours = [row for row in records if "total_low" in row]
    if ours:
        yield STANDING
        yield _table([_standing(row) for row in ours])
        yield SURE
        yield _table([{"backtest": row["backtest"], **{name: row[name] for name in SURENESS}} for row in ours])
    if levels := _records("history_levels"):
        yield BY_LEVEL
        yield _table([{name: row[name] for name in LADDER} for row in levels])
    for backtest, rows in groupby(records, key=lambda row: row["backtest"]):
        models = list(rows)
        yield f"### {backtest}, {models[0]['n']:,} members\n"
        yield _table([{name: row.get(name) for name in METRICS} for row in models])


def _standing(ours: Mapping[str, Any]) -> dict[str, Any]:
    verdicts = {name: f"{ours[f'{name}_verdict']} ({ours[f'{name}_best_peer']})" for name in JUDGED}
    return {
        "backtest": ours["backtest"],
        **verdicts,
        **{name: ours[name] for name in LEVEL},
    }


def families_markdown() -> str:
    """Lay out what each family of features adds: families down, back-tests across, one table per metric."""
    records = _records("families")
    cases = list(dict.fromkeys(record["backtest"] for record in records))
    families = list(dict.fromkeys(record["family"] for record in records))
    found = {(record["backtest"], record["family"]): record for record in records}
    lines = [FAMILIES if records else ""]
    for metric in GAINS:
        if records:
            gains = [
                {"family": family} | {case: _gain(found.get((case, family)), metric) for case in cases}
                for family in families
            ]
            lines += [f"### {metric.replace('_', ' ')}\n", _table(gains)]
    return "\n".join(lines)


def _gain(record: Mapping[str, Any] | None, metric: str) -> str:
    if record is None:
        return "no data"
    gain = f"{record[f'{metric}_gain']:+.4f}"
    if record[f"{metric}_low"] > 0:
        return f"**{gain}**"
    return f"*{gain}*" if record[f"{metric}_high"] < 0 else gain


def scale_markdown(page: str) -> str:
    """Return the page about scale with the sizes of the weekly job that are on record."""
    before, begin, rest = page.partition("<!-- sizes -->\n")
    _, end, after = rest.partition("<!-- end of sizes -->\n")
    return f"{before}{begin}\n{_table(_sizes())}\n{end}{after}"


def _sizes() -> list[dict[str, Any]]:
    sizes: dict[str, dict[str, Any]] = {}
    for row in _records("batch"):
        members, _, what = row["name"].partition(" members: ")
        if what in SIZES:
            sizes.setdefault(members, {"members": members, **dict.fromkeys(SIZES.values())})[SIZES[what]] = row["value"]
    return list(sizes.values())


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
        if name == "members":
            return f"{value:.0f}"
        if name in BIASES:
            return f"{value:+.1%}"
        return f"{value:.1%}" if name == "coverage_80" else f"{value:.1f}" if abs(value) >= 10 else f"{value:.4f}"
    return str(value).replace("|", "/")
