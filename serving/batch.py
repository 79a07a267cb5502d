"""The weekly job: a decision for every eligible member, published whole; run again for the same as_of, it replaces.

Members are taken in spans by their ids, and each span goes the whole way, from features to decisions, to a part of the
file and to the store under a publication no reader asks for; the ledger of runs knows which are done. So memory does
not grow with the members, and a run that was killed goes on where it was. When all are done the store is switched over,
then the file: in between, a reader of the file still sees the publication before, whole. Each names its as_of and
versions.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from features.errors import RefusedError
from features.programme import Programme
from features.sources import Loaded
from serving.board import pin
from serving.bundle import ModelBundle
from serving.decisions import refuse_later_effects, refuse_unfit
from serving.drift import distribution
from serving.engines import DUCKDB, Decided, DecideSpans, Terms, working
from serving.loading import Pace, Step, as_of_or_next_day, load
from serving.locks import only_run
from serving.parts import Parts, Span, spans, written
from serving.pause import is_paused
from serving.phases import PhaseName
from serving.published_history import publish_history, unpublished
from serving.rationing import ration
from serving.registry import record_run
from serving.resolve import resolve_bundle, resolve_policy_table
from serving.runs import Chunk, Pins
from serving.store import Store, open_store
from serving.summary import RunSummary, summarise

CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Job:
    """What a run rests on."""

    loaded: Loaded
    terms: Terms
    chunk_rows: int
    engine: str

    @property
    def day(self) -> date:
        """The as_of as a local date."""
        return self.terms.programme.local_date(self.terms.as_of)

    @property
    def pins(self) -> Pins:
        """What must be the same for a run to be gone on with."""
        terms = self.terms
        return {
            "as_of": self.day.isoformat(),
            "model": terms.bundle.version,
            "policy": terms.policy_table.version if terms.policy_table else None,
            "data": self.loaded.fingerprint,
            "programme": hashlib.sha256(terms.programme.model_dump_json().encode()).hexdigest(),
            "chunk_rows": self.chunk_rows,
            "engine": self.engine,
            "paused": terms.paused,
            "ration": terms.ration.model_dump_json() if terms.ration else None,
            "threads": terms.programme.training.threads,
            **{name: version(name) for name in ("winback", "duckdb", "lightgbm", "numpy")},
        }


def score_programme(
    programme: Programme,
    out: Path,
    *,
    as_of: date | str | None = None,
    budget: float | None = None,
    phase: PhaseName | None = None,
    bundle_folder: Path | None = None,
    loaded: Loaded | None = None,
    chunk_rows: int = CHUNK_ROWS,
    engine: str = DUCKDB,
    scratch: Path | None = None,
    step: Step = lambda _: None,
) -> RunSummary:
    """Decide about every eligible member and publish the decisions to Parquet and to the store.

    Parameters
    ----------
    programme
        Whose tables, settings and store to use.
    out
        Folder of the Parquet files, one folder per as_of in it.
    as_of
        Date or time, local unless it says otherwise; None means the day after the last row.
    budget
        What is assigned may be expected to cost, set-up and exploration included; None means no limit.
    phase
        Spend only this phase's share of the budget; see :func:`serving.rationing.ration_phase`.
    bundle_folder
        A model bundle; None means the registry's champion.
    loaded
        The programme's tables if they are already read.
    chunk_rows
        Members decided about and written at once.
    engine
        ``duckdb``, or a Spark master; see :func:`serving.engines.working`.
    scratch
        Folder that Spark and its workers share, for one of the run's own in it; None means ``var`` of the programme.
    step
        Told what is being done.

    Returns
    -------
    RunSummary
        Also written beside the decisions as ``_summary.json``, and logged as a run of the programme.

    Raises
    ------
    RefusedError
        If the model saw data from after as_of, nobody is eligible, or another run of the programme has not ended. The
        publication before stands.
    OutputError
        If the decisions cannot be written: a full disk, a folder of somebody else. The next run goes on.
    """
    lock = programme.path("var") / f"{programme.output.model}.lock"
    with (
        only_run(lock, f"scoring of {programme.name}"),
        unpublished(programme) as folder,
        TemporaryDirectory(dir=folder.parent, prefix=".features") as features,
    ):
        loaded = loaded or load(programme, step, set_aside=out / "_set_aside", folder=folder)
        bundle = resolve_bundle(programme, bundle_folder)
        policy_table = resolve_policy_table(programme)
        when = as_of_or_next_day(programme, as_of, loaded.data_until)
        refuse_unfit(bundle, programme, when)
        refuse_later_effects(policy_table, programme, when)
        left = ration(
            loaded.tables,
            when,
            bundle,
            policy_table,
            programme,
            budget=budget,
            phase=phase,
            chunk_rows=chunk_rows,
            step=step,
            kept=Path(features),
        )
        terms = Terms(when, bundle, policy_table, programme, is_paused(programme), left)
        job = Job(loaded, terms, chunk_rows, engine)
        file = out / f"as_of={job.day.isoformat()}" / "decisions.parquet"
        shared = (scratch or programme.path("var")) / f"{programme.output.model}.spark"
        with (
            closing(open_store(programme)) as store,
            working(engine, loaded.tables, terms, shared, Path(features)) as decide_spans,
        ):
            return _run(job, decide_spans, store, file, step)


def _run(job: Job, decide_spans: DecideSpans, store: Store, file: Path, step: Step) -> RunSummary:
    terms = job.terms
    started = store.start(
        job.day,
        model_version=terms.bundle.version,
        policy_version=terms.policy_table.version if terms.policy_table else None,
        pins=job.pins,
        read_at=job.loaded.read_at,
        ration=terms.ration,
    )
    run = started.publication_id
    parts = Parts(terms.programme.path("var") / f"{terms.programme.output.model}.parts", run)
    chunks = dict(started.done)
    todo = [
        span
        for span in spans(job.loaded.tables, job.chunk_rows)
        if span.number not in chunks or span.number not in parts
    ]
    pace = Pace("deciding about members", sum(span.members for span in todo), step)
    for span, decided in zip(todo, decide_spans(todo), strict=True):
        chunk = _chunk(span, decided, terms.bundle)
        parts.write(span.number, decided.decisions)
        if span.number not in chunks:
            store.add(run, decided.decisions, chunk)
        chunks[span.number] = chunk
        pace.passed(span.members)
    if not sum(chunk.decided for chunk in chunks.values()):
        store.discard(run)
        parts.remove()
        raise RefusedError(f"no member is eligible as of {job.day}; what was published before stands")
    step("publishing")
    summary = publish(job, store, run, parts, list(chunks.values()), file)
    record_run(terms.programme, summary)
    return summary


def _chunk(span: Span, decided: Decided, bundle: ModelBundle) -> Chunk:
    return Chunk(
        number=span.number,
        known=decided.known,
        decided=len(decided.decisions),
        distribution=distribution(decided.features, bundle),
    )


def publish(job: Job, store: Store, run: int, parts: Parts, chunks: list[Chunk], file: Path) -> RunSummary:
    """Join the parts, then switch store and file over, and clear away what they replace."""
    unseen = parts.join(file)
    terms, programme = job.terms, job.terms.programme
    summary = summarise(job.loaded, terms, chunks, unseen, file=file)
    publish_history(job.loaded, programme)
    store.publish(run)
    with written(file):
        unseen_summary = file.with_name("._summary.json")
        unseen_summary.write_text(summary.model_dump_json(indent=2), encoding="utf-8")
        unseen.replace(file)
        unseen_summary.replace(file.with_name("_summary.json"))
    pin(programme, job.day, summary)
    store.finish(run, keep=programme.output.keep_publications)
    parts.remove()
    return summary
