"""The weekly job against the least it could take and against the obvious pipeline. Writes results/batch.json.

MEMBERS="100000 300000 1000000" chooses sizes, DATA=folder where the made-up tables are kept. Every part runs in a
process of its own, one after another, on the same threads, so that peak memory is its own and ratios are of one run.
Features alone, and the obvious pipeline, are measured at the smallest size only. Of a run that was broken off, the next
one of the same code keeps the parts that were done.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from crowd import AS_OF, write_crowd
from floor import write_features
from rich.console import Console

from features.catalogue import feature_names
from features.programme import Programme
from serving.bundle_files import load_bundle, save_bundle
from serving.console import rows_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "batch.json"
DATA = Path(os.environ.get("DATA") or tempfile.gettempdir()) / "winback-crowd"
MEASURED = DATA / "measured"
SIZES = [int(size) for size in (os.environ.get("MEMBERS") or "100000 300000 1000000").split()]
TRAINED_ON = 20_000
TRAINED_UNTIL = "2025-09-01"
SAMPLE = 20_000
THREADS = 2
MEMORY = "3GB"
BATCH = 50_000

Seconds = dict[str, float]


def programme_of(members: int) -> Programme:
    """Return the programme of so many members, its tables written if they are not there yet."""
    settings = (ROOT / "programme.toml").read_text(encoding="utf-8")
    return write_crowd(DATA / str(members), members, settings[settings.index("[horizons]") :])


def trained() -> Path:
    """Return the folder of a bundle trained on a small crowd."""
    folder = DATA / "bundle"
    if not folder.exists():
        from features.sources import load_tables
        from training.fit import train
        from training.snapshots import build_snapshots, observe

        programme = programme_of(TRAINED_ON)
        tables, until = load_tables(programme, threads=THREADS).tables, programme.instant(TRAINED_UNTIL)
        snapshots = build_snapshots(tables, until, programme)
        save_bundle(train(snapshots, observe(tables, until, programme), programme).bundle, folder)
    return folder


# What is measured, each in a process of its own


def ours(members: int) -> Seconds:
    """Run the weekly job, from raw tables to published decisions."""
    import serving.batch as batch
    import serving.decisions as decisions
    import serving.engines as engines
    import serving.parts as parts
    import serving.store as store

    spent: Seconds = defaultdict(float)

    def timed(module: Any, name: str, what: str) -> None:
        inner: Callable[..., Any] = getattr(module, name)

        def outer(*args: Any, **options: Any) -> Any:
            with clocked(spent, what):
                return inner(*args, **options)

        setattr(module, name, outer)

    timed(batch, "load", "read and check tables")
    timed(batch, "spans", "divide members")
    timed(engines, "span_candidates", "features")
    timed(decisions, "score_numbers", "scores")
    timed(decisions, "_reasons", "SHAP and reasons")
    timed(engines, "decide", "decide, with scores and reasons")
    timed(engines, "decision_table", "check decisions")
    timed(batch, "publish", "publish")
    timed(store.Store, "add", "load into the store")
    timed(parts.Parts, "write", "write parts")
    programme = programme_of(members)
    out = DATA / "out" / str(members)
    for left_behind in (out, programme.path("var")):
        shutil.rmtree(left_behind, ignore_errors=True)
    with clocked(spent, "total"):
        batch.score_programme(programme, out, as_of=AS_OF, bundle_folder=DATA / "bundle")
    return spent


def features_only(members: int) -> Seconds:
    """Build the features of all members, tables checked and sorted first; the second alone."""
    from features.sources import load_tables
    from serving.decisions import candidates
    from serving.parts import spans

    spent: Seconds = defaultdict(float)
    programme = programme_of(members)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        with clocked(spent, "load"):
            tables = load_tables(programme, threads=THREADS, folder=Path(folder)).tables
        with clocked(spent, "total"):
            for span in spans(tables, BATCH):
                candidates(span.of(tables), programme.instant(AS_OF), programme)
    return spent


def least(members: int) -> Seconds:
    """Do the least: features by hand, trees, SHAP values, and the same decisions written to Parquet and SQLite."""
    import sqlalchemy as sa

    from serving.attribution import shap_values
    from serving.bulk import load_rows, with_json
    from serving.database import Database
    from serving.scoring import booster, priors_of

    spent: Seconds = defaultdict(float)
    programme, bundle = programme_of(members), load_bundle(DATA / "bundle")
    names = feature_names(programme.windows)
    with tempfile.TemporaryDirectory(dir=DATA) as scratch, clocked(spent, "total"):
        file = Path(scratch) / "features.parquet"
        with clocked(spent, "features"):
            write_features(DATA / str(members), AS_OF, list(names), file, threads=THREADS, memory=MEMORY)
        for batch in pq.ParquetFile(file).iter_batches(BATCH):
            frame = batch.to_pandas()
            inputs = pd.concat([frame, priors_of(frame, bundle)], axis=1)
            matrix = inputs[list(bundle.feature_names)].to_numpy("float64")
            with clocked(spent, "trees"):
                for name in ("churn", "value"):
                    booster(bundle.models[name].text).predict(matrix, num_threads=THREADS)
            with clocked(spent, "SHAP"):
                shap_values(bundle.models["churn"], matrix)
        decided = pq.ParquetFile(DATA / "out" / str(members) / f"as_of={AS_OF}" / "decisions.parquet")
        columns = (sa.Column("member_id", sa.String, primary_key=True), sa.Column("record", sa.Text))
        table = sa.Table("least", sa.MetaData(), *columns)
        with (
            closing(Database("sqlite:///least.db", Path(scratch))) as database,
            pq.ParquetWriter(Path(scratch) / "decisions.parquet", decided.schema_arrow) as writer,
        ):
            with database.writing() as connection:
                table.create(connection)
            for batch in decided.iter_batches(BATCH):
                with clocked(spent, "write Parquet"):
                    writer.write_batch(batch)
                with clocked(spent, "load SQL"), database.writing() as connection:
                    load_rows(
                        connection,
                        table,
                        ["member_id", "record"],
                        with_json(pa.Table.from_batches([batch]), ["member_id"]),
                    )
    return spent


def obvious(members: int) -> Seconds:
    """Run the obvious pipeline on a sample: the same features by pandas group-bys, wrappers, TreeExplainer."""
    from obvious import run

    spent: Seconds = defaultdict(float)
    run(DATA / str(members), AS_OF, SAMPLE, load_bundle(DATA / "bundle"), lambda what: clocked(spent, what))
    return {what: seconds * members / SAMPLE for what, seconds in spent.items()}


@contextmanager
def clocked(spent: Seconds, what: str) -> Iterator[None]:
    """Add the time a block takes."""
    started = time.perf_counter()
    try:
        yield
    finally:
        spent[what] = spent.get(what, 0.0) + time.perf_counter() - started


PARTS = {part.__name__: part for part in (ours, features_only, least, obvious)}


def measured(part: str, members: int) -> tuple[Seconds, float]:
    """Run a part in a process of its own; return its seconds by step, and its peak memory in GB.

    What is done is kept until a run of all sizes ends.
    """
    done = MEASURED / revision() / f"{part}-{members}.json"
    if done.exists():
        spent, peak = json.loads(done.read_text(encoding="utf-8"))
        return spent, peak
    spent, peak = _measured(part, members)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(json.dumps([spent, peak]), encoding="utf-8")
    return spent, peak


@cache
def revision() -> str:
    """Return which code is measured."""
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def _measured(part: str, members: int) -> tuple[Seconds, float]:
    process = subprocess.Popen([sys.executable, __file__, part, str(members)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{part} of {members:,} members failed")
    spent: Seconds = json.loads(told.splitlines()[-1])
    return spent, used.ru_maxrss / 1024**2


def main() -> None:
    """Measure every size and print what it took."""
    trained()
    rows: list[dict[str, Any]] = []

    def record(name: str, value: float, goal: str = "", holds: bool | None = None) -> None:
        rows.append({"name": name, "value": round(value, 3), "goal": goal, "holds": holds})
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    per_member, peak = {}, {}
    for members in SIZES:
        size = f"{members:,} members"
        print(f"{size}: drawing their tables, unless they are there", file=sys.stderr)
        programme_of(members)
        given = sum(file.stat().st_size for file in (DATA / str(members)).glob("*.parquet"))
        record(f"{size}: raw tables, GB", given / 1e9)
        spent, peak[members] = measured("ours", members)
        per_member[members] = spent["total"] / members * 1e6
        record(f"{size}: microseconds per member", per_member[members])
        record(f"{size}: peak memory, GB", peak[members], "at most 6", peak[members] <= 6)
        for what, seconds in spent.items():
            record(f"{size}: seconds, {what}", seconds)
        floor, _ = measured("least", members)
        for what, seconds in floor.items():
            record(f"{size}: seconds of the least, {what}", seconds)
        ratio = spent["total"] / floor["total"]
        goal = members == max(SIZES)
        record(f"{size}: times the least", ratio, "at most 1.5" if goal else "", ratio <= 1.5 if goal else None)
    smallest = min(SIZES)
    size = f"{smallest:,} members"
    features, _ = measured("features_only", smallest)
    by_hand = measured("least", smallest)[0]["features"]
    ratio = features["total"] / by_hand
    record(f"{size}: features, times hand-written SQL", ratio, "at most 1.5", ratio <= 1.5)
    record(f"{size}: features with tables checked, times", sum(features.values()) / by_hand)
    plain, _ = measured("obvious", smallest)
    spent_by = per_member[smallest] * smallest / 1e6
    faster = sum(plain.values()) / spent_by
    record("times faster than the obvious pipeline, scaled", faster, "at least 4", faster >= 4)
    faster = plain["features"] / features["total"]
    record("features: times faster than pandas, scaled", faster, "at least 4", faster >= 4)
    if len(SIZES) > 1:
        growth = per_member[max(SIZES)] / per_member[smallest]
        record("growth of cost per member, smallest to largest", growth, "at most 1.2", growth <= 1.2)
        second = sorted(SIZES)[-2]
        growth = peak[max(SIZES)] / peak[second]
        record(f"growth of peak memory, {second:,} to {max(SIZES):,}", growth, "below 2", growth < 2)
    shutil.rmtree(MEASURED)
    Console().print(rows_table("the weekly job", rows))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(PARTS[sys.argv[1]](int(sys.argv[2]))))
    else:
        main()
