"""Everything the weekly report says, gathered from published decisions, the policy table, the model and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from features.programme import Programme
from serving.bundle import ModelBundle
from serving.decisions import candidates, scored_members
from serving.plan import Plan, contend, plan_budget
from serving.policy_table import PolicyTable
from serving.ration import set_up_paid
from serving.report.causes import tally_causes
from serving.report.programme_value import ProgrammeValue, programme_values
from serving.report.publications import Publication
from serving.report.sections import (
    Exploration,
    Group,
    Sending,
    Totals,
    Withheld,
    at_risk,
    explored,
    movements,
    no_offers,
    risk_grid,
    sendings,
    totals,
    verdicts,
    withheld,
)
from serving.results import Results, latest_results
from serving.setups import left_to_pay
from serving.summary import RunSummary

if TYPE_CHECKING:
    from features.sources import Loaded


@dataclass(frozen=True)
class WeekBefore:
    """The publication before, and who has moved since."""

    as_of: date
    totals: Totals
    movements: dict[str, Group]


@dataclass(frozen=True)
class Evidence:
    """What the policy table says of this week's segments; None of the rest when it was replaced since."""

    policy: PolicyTable
    withheld: list[Withheld]
    verdicts: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Content:
    """Everything the report says, before it is put into words.

    Attributes
    ----------
    summary
        What the weekly job said of the publication.
    totals, before
        The week in figures, and the one before if there was one.
    grid, causes, sendings, exploration, no_offers
        See `serving.report.sections` and `serving.report.causes`.
    evidence, plan, bundle
        Absent when the policy table or the model has been replaced since the decisions were made, or never was.
    value
        Programme value, period by period.
    results
        What the latest campaigns brought against their control offers.
    """

    programme: Programme
    summary: RunSummary
    totals: Totals
    before: WeekBefore | None
    grid: dict[str, dict[str, Group]]
    causes: pd.DataFrame
    sendings: list[Sending]
    exploration: Exploration
    no_offers: dict[str, Group]
    evidence: Evidence | None
    plan: Plan | None
    bundle: ModelBundle | None
    value: Sequence[ProgrammeValue]
    results: Results


def gather(
    programme: Programme,
    now: Publication,
    before: Publication | None,
    *,
    bundle: ModelBundle,
    policy: PolicyTable | None,
    loaded: Loaded,
) -> Content:
    """Gather what a report of a publication says; see :class:`Content`."""
    decisions, unpaid = now.decisions(reasons=True), _unpaid(programme, now)
    risky = at_risk(decisions)
    own_bundle = bundle if bundle.version == now.summary.model_version else None
    own_policy = policy if policy and policy.version == now.summary.policy_version else None
    return Content(
        programme=programme,
        summary=now.summary,
        totals=totals(decisions, unpaid),
        before=_week_before(before, decisions, programme) if before else None,
        grid=risk_grid(risky),
        causes=tally_causes(risky, programme.windows),
        sendings=sendings(decisions, own_policy, unpaid.incentives),
        exploration=explored(decisions, unpaid.incentives),
        no_offers=no_offers(risky),
        evidence=_evidence(own_policy, decisions, programme) if own_policy else None,
        plan=_plan(programme, now.as_of, own_bundle, own_policy, loaded),
        bundle=own_bundle,
        value=programme_values(loaded.tables, programme.instant(now.as_of), programme),
        results=latest_results(loaded.tables, programme, programme.instant(now.as_of)),
    )


def _unpaid(programme: Programme, publication: Publication) -> Programme:
    """Return the programme with the set-up that a publication had left to pay."""
    ration = publication.summary.ration
    return set_up_paid(programme, ration.paid if ration else ())


def _evidence(policy: PolicyTable, decisions: pd.DataFrame, programme: Programme) -> Evidence:
    return Evidence(policy, withheld(decisions, policy), verdicts(policy, programme.incentives))


def _week_before(before: Publication, now: pd.DataFrame, programme: Programme) -> WeekBefore:
    then = before.decisions()
    return WeekBefore(before.as_of, totals(then, _unpaid(programme, before)), movements(then, now))


def _plan(
    programme: Programme, as_of: date, bundle: ModelBundle | None, policy: PolicyTable | None, loaded: Loaded
) -> Plan | None:
    """Plan without a limit: its curve tells what any budget would bring. None where nothing is worth sending."""
    if bundle is None or policy is None:
        return None
    known = candidates(loaded.tables, programme.instant(as_of), programme)
    unpaid = left_to_pay(loaded.tables.offers, known.as_of, programme)
    contenders = contend(
        scored_members(known, bundle, programme),
        policy,
        programme,
        as_of=known.as_of,
        contacts=known.contacts,
        unsubscribed=known.unsubscribed,
    )
    planned = plan_budget(contenders, policy, unpaid, budget=float("inf"))
    return planned if planned.full_cost else None
