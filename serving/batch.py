"""The weekly job: a decision for every eligible member, published whole; run again for the same as_of, it replaces.

Decisions are staged in Parquet under another name and in the store under a publication no reader asks for. When both
are complete the store is switched over, then the file: in between, a reader of the file still sees the publication
before, whole. Each names its as_of and versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.checks import Finding
from features.errors import RefusedError, WinbackError
from features.programme import Programme
from features.sources import Loaded
from serving.bundle import Evidence, ModelBundle, PolicyTable, Record
from serving.consent import unreachable
from serving.decisions import Candidates, candidates, decide, refuse_later_effects, refuse_unfit
from serving.drift import drifted
from serving.incentives import campaign_costs
from serving.loading import Step, as_of_or_next_day, load
from serving.locks import only_run
from serving.pause import all_withheld, is_paused
from serving.published_history import publish_history
from serving.records import DECISIONS_ARROW, decision_records, decision_table
from serving.registry import resolve_bundle, resolve_policy_table
from serving.store import Store, open_store

CHUNK_ROWS = 20_000


class OutputError(WinbackError):
    """The decisions cannot be written."""


class Money(Record):
    """Sums over all decisions, in the programme's currency."""

    expected_value: float
    value_at_stake: float
    expected_cost: float


class RunSummary(Record):
    """What a run decided; members_known = decided + not_eligible."""

    programme: str
    as_of: date
    currency: str
    model_version: str
    policy_version: str | None
    evidence: Evidence
    data_until: datetime
    data_fingerprint: str
    members_known: int
    decided: int
    not_eligible: int
    findings: tuple[Finding, ...]
    tiers: dict[str, int]
    states: dict[str, int]
    personas: dict[str, int]
    policy_segments: dict[str, int]
    recommended: dict[str, int]
    assigned: dict[str, int]
    holdout: int
    no_offer_reasons: dict[str, int]
    drift: dict[str, float]
    """Features that moved most since the model was trained, by population stability index; see `serving.drift`."""
    money: Money
    file: Path


def score_programme(
    programme: Programme,
    out: Path,
    *,
    as_of: date | str | None = None,
    bundle_folder: Path | None = None,
    loaded: Loaded | None = None,
    chunk_rows: int = CHUNK_ROWS,
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
    bundle_folder
        A model bundle; None means the registry's champion.
    loaded
        The programme's tables if they are already read.
    chunk_rows
        Members decided about and written at once.
    step
        Told what is being done.

    Returns
    -------
    RunSummary
        Also written beside the decisions as ``_summary.json``.

    Raises
    ------
    RefusedError
        If the model saw data from after as_of, nobody is eligible, or another run of the programme has not ended. The
        publication before stands.
    OutputError
        If the decisions cannot be written: a full disk, a folder of somebody else.
    """
    with only_run(programme.path("var") / f"{programme.output.model}.lock", f"scoring of {programme.name}"):
        loaded = loaded or load(programme, step, set_aside=out / "_set_aside")
        bundle = resolve_bundle(programme, bundle_folder)
        policy_table = resolve_policy_table(programme)
        when = as_of_or_next_day(programme, as_of, loaded.data_until)
        refuse_unfit(bundle, programme, when)
        refuse_later_effects(policy_table, programme, when)
        step("building the features")
        known = candidates(loaded.tables, when, programme)
        if known.features.empty:
            raise RefusedError(
                f"no member is eligible as of {programme.local_date(when)}; what was published before stands"
            )
        step(f"deciding about {len(known.features):,} members")
        as_of_date = programme.local_date(when)
        file = out / f"as_of={as_of_date.isoformat()}" / "decisions.parquet"
        paused = is_paused(programme)
        decided = (decide(part, bundle, policy_table, programme) for part in known.chunks(chunk_rows))
        decisions = (decision_table(all_withheld(part) if paused else part) for part in decided)
        with closing(open_store(programme)) as store:
            staged = store.stage(
                as_of_date,
                model_version=bundle.version,
                policy_version=policy_table.version if policy_table else None,
                read_at=loaded.read_at,
            )
            publish_history(loaded, programme)
            publish(decisions, store, staged, file)
        summary = _summarise(programme, loaded, known, bundle, policy_table, file)
        with _written(told := file.with_name("_summary.json")):
            told.write_text(summary.model_dump_json(indent=2), encoding="utf-8")
        return summary


def publish(decisions: Iterable[pa.Table], store: Store, staged: int, file: Path) -> None:
    """Write decisions to the staged publication and a staged file, then switch both over."""
    with _written(file), _staged_file(file, staged) as unseen:
        with pq.ParquetWriter(unseen, DECISIONS_ARROW) as writer:
            for table in decisions:
                writer.write_table(table)
                store.add(staged, decision_records(table))
        store.publish(staged)
        unseen.replace(file)


@contextmanager
def _written(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error


@contextmanager
def _staged_file(file: Path, run: int) -> Iterator[Path]:
    """Yield a name no reader looks at, beside the file; what this run or one that died leaves there is removed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for left_behind in file.parent.glob(f".{file.name}.*"):
        left_behind.unlink(missing_ok=True)
    unseen = file.with_name(f".{file.name}.{run}")
    try:
        yield unseen
    finally:
        unseen.unlink(missing_ok=True)


def _summarise(
    programme: Programme,
    loaded: Loaded,
    known: Candidates,
    bundle: ModelBundle,
    policy_table: PolicyTable | None,
    file: Path,
) -> RunSummary:
    decisions = pd.read_parquet(file, columns=[name for name in DECISIONS_ARROW.names if name != "reasons"])
    sent = decisions[decisions["assigned_incentive"].notna()]
    return RunSummary(
        programme=programme.name,
        as_of=programme.local_date(known.as_of),
        currency=programme.currency,
        model_version=bundle.version,
        policy_version=policy_table.version if policy_table else None,
        evidence=policy_table.evidence if policy_table else "none",
        data_until=loaded.data_until,
        data_fingerprint=loaded.fingerprint,
        members_known=len(known.features) + len(known.not_eligible),
        decided=len(decisions),
        not_eligible=len(known.not_eligible),
        findings=(*loaded.findings, *unreachable(programme, known.contacts)),
        tiers=_counts(decisions["tier"]),
        states=_counts(decisions["state"]),
        personas=_counts(decisions["persona"]),
        policy_segments=_counts(decisions["policy_segment"]),
        recommended=_counts(decisions["recommended_incentive"]),
        assigned=_counts(decisions["assigned_incentive"]),
        holdout=int((decisions["assigned_by"] == "holdout").sum()),
        no_offer_reasons=_counts(decisions["no_offer_reason"]),
        drift=drifted(known.features, bundle),
        money=Money(
            expected_value=decisions["expected_value"].sum(),
            value_at_stake=decisions["value_at_stake"].sum(),
            expected_cost=campaign_costs(sent, programme.incentives)["cost"].sum(),
        ),
        file=file,
    )


def _counts(labels: pd.Series) -> dict[str, int]:
    return {str(label): int(count) for label, count in labels.value_counts().sort_index().items()}
