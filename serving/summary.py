"""What a run decided, counted by streaming over what it wrote."""

# ruff: noqa: S608 -- every name put into SQL here is our own or quoted by `literal`

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from pydantic import Field

from features.checks import Finding
from features.programme import Programme
from features.readers import literal
from features.sources import Loaded
from serving.bundle import Record
from serving.consent import unreachable
from serving.drift import drifted, united
from serving.engines import Terms
from serving.incentives import arms_named, campaign_costs
from serving.outlook import Outlook, outlook, typical_values, weights
from serving.policy_table import Evidence, PolicyTable
from serving.ration import Ration, set_up_paid
from serving.runs import Chunk


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
    ration: Ration | None = None
    """What set-up costs and a budget left of the policy; None where they took nothing."""
    expected: Outlook | None = None
    """What sending everything recommended would bring, the holdout left out; None without effects."""
    expected_by_incentive: dict[str, Outlook] = Field(default_factory=dict)
    """The same of each incentive alone, by whichever channel."""
    file: Path


def summarise(loaded: Loaded, terms: Terms, chunks: Sequence[Chunk], decisions: Path, *, file: Path) -> RunSummary:
    """Sum up the decisions in a file, which is to be called ``file``, and the chunks they were made in."""
    programme, bundle, policy_table = terms.programme, terms.bundle, terms.policy_table
    unpaid = set_up_paid(programme, terms.ration.paid if terms.ration else ())
    as_of = programme.local_date(terms.as_of)
    with duckdb.connect(config={"threads": programme.training.threads}) as con:
        con.execute(f"create view decisions as from read_parquet({literal(str(decisions))})")
        sums = ", ".join(f"sum(cast({name} as decimal(38, 6)))" for name in ("expected_value", "value_at_stake"))
        totals = con.execute(f"select {sums}, count(*) filter (assigned_by = 'holdout') from decisions").fetchall()
        value, stake, held = totals[0]
        sent = con.execute(
            "select assigned_incentive, assigned_cost from decisions where assigned_incentive is not null"
        ).df()
        return RunSummary(
            programme=programme.name,
            as_of=as_of,
            currency=programme.currency,
            model_version=bundle.version,
            policy_version=policy_table.version if policy_table else None,
            evidence=policy_table.evidence if policy_table else "none",
            data_until=loaded.data_until,
            data_fingerprint=loaded.fingerprint,
            members_known=sum(chunk.known for chunk in chunks),
            decided=sum(chunk.decided for chunk in chunks),
            not_eligible=sum(chunk.known - chunk.decided for chunk in chunks),
            findings=(*loaded.findings, *unreachable(programme, _contacts(programme, loaded, as_of))),
            tiers=_counts(con, "tier"),
            states=_counts(con, "state"),
            personas=_counts(con, "persona"),
            policy_segments=_counts(con, "policy_segment"),
            recommended=_counts(con, "recommended_incentive"),
            assigned=_counts(con, "assigned_incentive"),
            holdout=held,
            no_offer_reasons=_counts(con, "no_offer_reason"),
            drift=drifted(united([chunk.distribution for chunk in chunks]), bundle),
            money=Money(
                expected_value=float(value),
                value_at_stake=float(stake),
                expected_cost=campaign_costs(sent, unpaid.incentives)["cost"].sum(),
            ),
            ration=terms.ration,
            **_expected(con, policy_table, unpaid, terms.ration),
            file=file,
        )


def _expected(
    con: duckdb.DuckDBPyConnection, policy: PolicyTable | None, programme: Programme, ration: Ration | None
) -> dict[str, Any]:
    if policy is None:
        return {}
    groups = con.execute(
        "select policy_segment, recommended_incentive, channel, assigned_by is not distinct from 'holdout' as held, "
        "cast(count(*) as double) as members, cast(sum(cast(value_if_active as decimal(38, 6))) as double) as value, "
        "cast(sum(cast(expected_cost as decimal(38, 6))) as double) as cost "
        "from decisions where recommended_incentive is not null group by all order by all"
    ).df()
    of_groups = groups["value"], groups["members"], groups["policy_segment"]
    typical = ration.typical_values if ration else {}
    weight = weights(*of_groups, typical or typical_values(*of_groups))
    sent = groups.assign(weight=weight, arm=arms_named(groups["recommended_incentive"], groups["channel"], programme))
    sent = sent[~sent["held"]]
    return {
        "expected": outlook(sent, policy, programme),
        "expected_by_incentive": {
            str(incentive): outlook(own, policy, programme) for incentive, own in sent.groupby("recommended_incentive")
        },
    }


def _counts(con: duckdb.DuckDBPyConnection, column: str) -> dict[str, int]:
    grouped = f"select {column}, count(*) from decisions where {column} is not null group by 1 order by 1"
    return dict(con.execute(grouped).fetchall())


def _contacts(programme: Programme, loaded: Loaded, as_of: date) -> dict[str, int] | None:
    """Count the rows of contacts known by then, per channel; None where the programme has no such table."""
    contacts = loaded.tables.contacts
    known = contacts.filter(contacts.updated_at.isnull() | (contacts.updated_at < programme.instant(as_of)))
    rows = known.group_by("channel").agg(rows=known.count()).to_pyarrow().to_pylist()
    if programme.data.contacts is None and not rows:
        return None
    return {row["channel"]: row["rows"] for row in rows}
