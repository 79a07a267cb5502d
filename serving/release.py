"""The send list: who is sent what as of a date, and the assignments behind it, written down once.

From then on the date's decisions stand: they were acted on, so no run replaces them. Releasing again writes the same
list.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from features.errors import RefusedError
from features.programme import Programme
from features.settings import Language
from features.sources import load_tables
from serving.approvals import Approvals
from serving.database import open_database, owner_of
from serving.jobs import JobResult
from serving.ledger import Entry, Ledger
from serving.loading import Step
from serving.locks import only_run
from serving.offers import offer_of
from serving.parts import written
from serving.store import Store

COLUMNS: Final = ("offer_id", "member_id", "incentive_id", "channel", "expires_on", "language", "text")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How cells begin that spreadsheets take for formulas, full-width signs too; an apostrophe makes them text."""

_ENTRIES_AT_ONCE: Final = 10_000

Decision = Mapping[str, Any]


def release(
    programme: Programme,
    as_of: str,
    out: Path,
    *,
    who: str = "winback release",
    approved_only: bool = False,
    step: Step = lambda _: None,
) -> JobResult:
    """Write the send list of a date's decisions, and who was assigned what, control included, to the ledger.

    Parameters
    ----------
    programme
        Whose decisions.
    as_of
        Local date of the decisions.
    out
        CSV file to write.
    who
        Lets it leave; kept with the approvals.
    approved_only
        Refuse what nobody has approved, even where the programme does not ask for approvals.
    step
        Told what is being done.

    Raises
    ------
    RefusedError
        If nothing is published as of that date, an approval is missing, the programme no longer has an incentive that
        is assigned, or assignments of other content were written down before.
    """
    day = programme.local_date(programme.instant(as_of))
    with only_run(programme.path("var") / f"{programme.output.model}.lock", f"scoring of {programme.name}"):
        step("reading the members' languages")
        languages = _languages(programme)
        with closing(open_database(programme)) as database:
            store, ledger = Store(database, owner=owner_of(programme)), Ledger(database, owner=owner_of(programme))
            _refuse_unknown_incentives(store, programme, day)
            publication_id = store.release(day, needs_approval=programme.output.needs_approval or approved_only)
            step("writing down who was assigned what")
            assigned = _write_down(ledger, store.assigned(publication_id), programme, day)
            step("writing the send list")
            sent = _write_list(out, store.assigned(publication_id), languages, programme, day)
            Approvals(database, owner=owner_of(programme)).enter(publication_id, day, "released", who=who)
    record = {"as_of": day.isoformat(), "assigned": assigned, "sent": sent, "file": str(out)}
    return JobResult(record, {"released": [record]})


def offer_id(programme: Programme, day: date, member_id: str) -> str:
    """Return the id of a member's offer of a date: the same whenever it is asked for."""
    named = f"{owner_of(programme)}|{day}|{member_id}"
    return f"{day:%Y%m%d}-{hashlib.sha256(named.encode()).hexdigest()[:20]}"


def safe_cell(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(FORMULA) else value


def _refuse_unknown_incentives(store: Store, programme: Programme, day: date) -> None:
    """Refuse, before anything is on record, what could not be named in the list."""
    standing = store.standing(day)
    assigned = store.incentives(standing.publication_id) if standing else set()
    if unknown := assigned - {incentive.id for incentive in programme.incentives}:
        raise RefusedError(
            f"the decisions as of {day} assign {', '.join(sorted(unknown))}, which the programme file no longer has; "
            f"put that back, or run `winback score --as-of {day}` again"
        )


def _write_down(ledger: Ledger, decisions: Iterable[Decision], programme: Programme, day: date) -> int:
    entries = (_entry(decision, programme, day) for decision in decisions)
    now, count = datetime.now(UTC).replace(tzinfo=None), 0
    while some := list(islice(entries, _ENTRIES_AT_ONCE)):
        verdicts = ledger.append(some, received_at=now, origin="release")
        if "conflict" in verdicts:
            member = some[verdicts.index("conflict")].member_id
            raise RefusedError(f"another assignment as of {day} is written down for {member!r}; nothing is overwritten")
        count += len(some)
    return count


def _entry(decision: Decision, programme: Programme, day: date) -> Entry:
    offer = offer_of(
        decision,
        offer_id=offer_id(programme, day, decision["member_id"]),
        campaign_id=f"{programme.output.model}-{day}",
        assigned_at=programme.instant(day),
        control_id=programme.guardrails.control_id,
    )
    versions = {name: decision[name] for name in ("model_version", "policy_version")}
    return Entry("offer", offer["offer_id"], decision["member_id"], offer | versions)


def _write_list(
    out: Path, decisions: Iterable[Decision], languages: Mapping[str, Language], programme: Programme, day: date
) -> int:
    unseen = out.with_name(f".{out.name}.partial")
    sent = 0
    with written(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with unseen.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in _rows(decisions, languages, programme, day):
                writer.writerow(map(safe_cell, row))
                sent += 1
        unseen.replace(out)
    return sent


def _rows(
    decisions: Iterable[Decision], languages: Mapping[str, Language], programme: Programme, day: date
) -> Iterator[tuple[str, ...]]:
    incentives = {incentive.id: incentive for incentive in programme.incentives}
    expires = (day + timedelta(days=programme.guardrails.response_days)).isoformat()
    for decision in decisions:
        member, sent = decision["member_id"], decision["assigned_incentive"]
        if sent is None:
            continue
        language = languages.get(member, programme.language)
        incentive = incentives[sent]
        text = incentive.name_zh if language == "zh" else incentive.name_en
        channel = decision["assigned_channel"] or ""
        yield offer_id(programme, day, member), member, sent, channel, expires, language, text


def _languages(programme: Programme) -> dict[str, Language]:
    """Return the members' languages, where they are known and we write in them."""
    loaded = load_tables(programme, threads=programme.training.threads, only=("identities", "members"))
    members = loaded.tables.members
    known = members.filter(members.language.notnull()).select("member_id", "language").to_pyarrow().to_pylist()
    return {row["member_id"]: "zh" if row["language"].lower().startswith("zh") else "en" for row in known}
