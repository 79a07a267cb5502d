"""Those among whom a budget is divided, found span by span: features and scores, and nothing said about them yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from features.programme import Programme
from features.schemas import Tables
from serving.bundle import ModelBundle
from serving.decisions import scored_members
from serving.guardrails import closed_arms
from serving.kept import span_candidates
from serving.loading import Pace, Step
from serving.parts import spans
from serving.phases import PhaseName
from serving.plan import Contenders, Plan, contend, plan_budget, ration_set_up, together
from serving.policy_table import PolicyTable
from serving.ration import Ration, member_lots, set_up_paid
from serving.setups import running


def find_contenders(
    tables: Tables,
    as_of: datetime,
    bundle: ModelBundle,
    policy: PolicyTable,
    programme: Programme,
    *,
    chunk_rows: int,
    step: Step,
    kept: Path | None = None,
) -> Contenders:
    """Score all eligible members, so many at once, and find those who may be sent anything.

    Their features are kept in the folder ``kept``, if there is one.
    """
    todo, found = spans(tables, chunk_rows), []
    pace = Pace("finding who may be sent anything", sum(span.members for span in todo), step)
    for span in todo:
        known = span_candidates(span, tables, as_of, programme, kept, keep=True)
        members = scored_members(known, bundle, programme)
        found.append(
            contend(members, policy, programme, as_of=as_of, contacts=known.contacts, unsubscribed=known.unsubscribed)
        )
        pace.passed(span.members)
    return together(found)


def ration(
    tables: Tables,
    as_of: datetime,
    bundle: ModelBundle,
    policy: PolicyTable | None,
    programme: Programme,
    *,
    budget: float | None,
    phase: PhaseName | None = None,
    chunk_rows: int,
    step: Step,
    kept: Path | None = None,
) -> Ration | None:
    """Work out what set-up costs and a budget leave of the policy; None where there are neither.

    What is running is set up already, see :mod:`serving.setups`.

    Parameters
    ----------
    tables, as_of, bundle, policy, programme
        As in :func:`serving.decisions.decide_members`.
    budget
        What is assigned may be expected to cost, set-up and exploration included; None means no limit.
    phase
        Spend only this phase's share of the budget; see :func:`ration_phase`.
    chunk_rows
        Members scored at once.
    step
        Told what is being done.
    kept
        Folder to keep members' features in; see :func:`serving.kept.span_candidates`.
    """
    paid = running(tables.offers, as_of, programme)
    unpaid = set_up_paid(programme, paid)
    if policy is None or (budget is None and not any(one.setup_cost > 0 for one in unpaid.incentives)):
        return Ration(paid=paid) if paid else None
    contenders = find_contenders(tables, as_of, bundle, policy, programme, chunk_rows=chunk_rows, step=step, kept=kept)
    left = _ration(contenders, policy, unpaid, budget=budget, phase=phase)
    return left.model_copy(update={"paid": (*paid, *left.paid)})


def _ration(
    contenders: Contenders, policy: PolicyTable, programme: Programme, *, budget: float | None, phase: PhaseName | None
) -> Ration:
    if budget is None:
        return ration_set_up(contenders, policy, programme)
    if phase is None:
        return plan_budget(contenders, policy, programme, budget=budget).ration
    return ration_phase(contenders, policy, programme, budget=budget, phase=phase)


def ration_phase(
    contenders: Contenders, policy: PolicyTable, programme: Programme, *, budget: float, phase: PhaseName
) -> Ration:
    """Spend one phase's share of a campaign's budget.

    The test goes to members drawn by lot among all the budget would reach, and pays the set-up of what the budget would
    send them; the phases share the rest. Burst and tail spend their shares on those who bring most per unit of cost
    among the members who are left: who had an offer in an earlier phase is cooling down.
    """
    whole = plan_budget(contenders, policy, programme, budget=budget)
    setup = whole.outlook.setup_cost
    money = (budget - setup) * getattr(programme.phases, phase)
    if phase == "test":
        return _of_phase(whole.ration, {"budget": setup + money, "phase": phase, **_drawn(whole, programme)})
    closed = whole.ration.closed
    paid = tuple(one.id for one in programme.incentives if one.setup_cost > 0 and one.id not in closed)
    still_open = replace(contenders, may_get=contenders.may_get & ~closed_arms(closed, programme))
    ration = plan_budget(still_open, policy, set_up_paid(programme, paid), budget=money).ration
    return _of_phase(ration.model_copy(update={"closed": closed, "paid": paid}), {"phase": phase})


def _of_phase(ration: Ration, changed: dict[str, Any]) -> Ration:
    return ration.model_copy(update={"limit": ration.limit and ration.limit.model_copy(update=changed)})


def _drawn(planned: Plan, programme: Programme) -> dict[str, float]:
    later = planned.offers.loc[planned.offers["phase"] != "test", "member_id"]
    return {"drawn_below": float(member_lots(later, programme.guardrails.seed).min(initial=1.0))}
