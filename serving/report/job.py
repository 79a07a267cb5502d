"""The job behind `winback report`: find the publication, gather, write one file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from features.programme import Programme
from features.settings import Language
from features.sources import Loaded
from serving.board import pin
from serving.bundle import Record
from serving.frontier import frontier
from serving.jobs import JobResult
from serving.loading import Step, load
from serving.report.content import Content, gather
from serving.report.page import render
from serving.report.publications import find_publications
from serving.resolve import resolve_bundle, resolve_policy_table


def write_report(
    programme: Programme,
    as_of: str | None,
    decisions: Path,
    out: Path | None,
    *,
    language: Language | None = None,
    bundle_folder: Path | None = None,
    loaded: Loaded | None = None,
    step: Step = lambda _: None,
) -> JobResult:
    """Write the weekly report about published decisions as one HTML file.

    Parameters
    ----------
    programme
        Whose report it is.
    as_of
        Date of the decisions; None means the latest published.
    decisions
        Folder that `winback score` published to.
    out
        The file; None means ``report_<language>.html`` beside the decisions.
    language
        What to write in; None means the programme's own.
    bundle_folder
        A model bundle; None means the registry's champion.
    loaded
        The programme's tables if they are already read.
    step
        Told what is being done.

    Raises
    ------
    RefusedError
        If nothing was published as of that date.
    InputError
        If the as_of is no date.
    """
    now, before = find_publications(decisions, as_of)
    tongue = language or programme.language
    bundle, policy = resolve_bundle(programme, bundle_folder), resolve_policy_table(programme)
    loaded = loaded or load(programme, step)
    step(f"adding up the decisions as of {now.as_of}")
    content = gather(programme, now, before, bundle=bundle, policy=policy, loaded=loaded)
    pin(programme, now.as_of, *_sheets(content))
    step("writing the page")
    file = out or now.folder / f"report_{tongue}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(render(content, tongue), encoding="utf-8")
    temporary.replace(file)
    record = {
        "file": str(file),
        "language": tongue,
        "as_of": now.as_of.isoformat(),
        "compared_with": before and before.as_of.isoformat(),
        **asdict(content.totals),
    }
    return JobResult(record, {"report": [record]}, warnings=_replaced(content))


def _sheets(content: Content) -> list[Record]:
    """Return what the console is to show of this."""
    if content.plan is None or content.evidence is None:
        return [content.results]
    return [content.results, frontier(content.plan, content.evidence.policy.version)]


def _replaced(content: Content) -> tuple[str, ...]:
    """Say which sections are left out because what they would show is no longer what decided."""
    made_with, missing = content.summary, "has been replaced since; its sections are left out"
    model = () if content.bundle else (f"model {made_with.model_version}, which made the decisions, {missing}",)
    policy = (
        (f"policy {made_with.policy_version}, which made the decisions, {missing}",)
        if made_with.policy_version and not content.evidence
        else ()
    )
    return model + policy
