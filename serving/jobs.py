"""The jobs behind the commands that need no training: build features, score, decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.loading import Step, as_of_or_next_day, load

if TYPE_CHECKING:
    from datetime import date

    from features.checks import Finding
    from features.programme import Programme
    from serving.phases import PhaseName
    from serving.plan import Plan
    from serving.summary import RunSummary

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class JobResult:
    """A job's outcome: a record for machines; tables, what was found in the input, warnings and text for people."""

    record: dict[str, Any]
    tables: dict[str, Rows] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = ""


def write_features(programme: Programme, as_of: str | None, out: Path, *, step: Step) -> JobResult:
    """Build the FeatureTable and write it as one Parquet file."""
    from features.build import build_features

    loaded = load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    step(f"building features as of {programme.local_date(instant)}")
    table = build_features(loaded.tables, instant, programme)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}")
    table.to_parquet(temporary, index=False)
    temporary.replace(out)
    record = {
        "as_of": programme.local_date(instant).isoformat(),
        "members": len(table),
        "features": table.shape[1] - 2,
        "file": str(out),
    }
    return JobResult(record, {"features": [record]}, loaded.findings)


def explain_features(programme: Programme, as_of: str | None, *, step: Step) -> JobResult:
    """Return the SQL that would build the features."""
    import ibis

    from features.build import features_expression

    loaded = load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    plan = str(ibis.to_sql(features_expression(loaded.tables, instant, programme), dialect="duckdb"))
    return JobResult({"as_of": programme.local_date(instant).isoformat(), "sql": plan}, text=plan)


def score(
    programme: Programme,
    as_of: str | None,
    out: Path,
    *,
    budget: float | None,
    phase: PhaseName | None,
    bundle_folder: Path | None,
    engine: str,
    scratch: Path | None,
    step: Step,
) -> JobResult:
    """Decide about every eligible member and publish the decisions."""
    from features.errors import InputError
    from serving.batch import score_programme

    if phase is not None and budget is None:
        raise InputError("--phase spends its share of a budget: say --budget too")
    summary = score_programme(
        programme,
        out,
        as_of=as_of,
        budget=budget,
        phase=phase,
        bundle_folder=bundle_folder,
        engine=engine,
        scratch=scratch,
        step=step,
    )
    outcomes: list[dict[str, Any]] = [
        *({"decision": f"recommend {name}", "members": count} for name, count in summary.recommended.items()),
        *({"decision": f"no offer: {reason}", "members": count} for reason, count in summary.no_offer_reasons.items()),
    ]
    expected = {**summary.expected_by_incentive, **({"all": summary.expected} if summary.expected else {})}
    return JobResult(
        record=summary.model_dump(mode="json"),
        tables={
            f"{summary.programme}: {summary.file}": [_totals(summary)],
            "decisions": outcomes,
            "expected of all recommended": [{"incentive": name, **asdict(of)} for name, of in expected.items()],
        },
        findings=summary.findings,
        warnings=tuple(_score_warnings(summary)),
    )


def _totals(summary: RunSummary) -> dict[str, Any]:
    limit = summary.ration.limit if summary.ration else None
    return {
        "as_of": summary.as_of.isoformat(),
        "members": summary.decided,
        "not_eligible": summary.not_eligible,
        "expected_value": summary.money.expected_value,
        "value_at_stake": summary.money.value_at_stake,
        "currency": summary.currency,
        "evidence": summary.evidence,
        **(limit.model_dump(include={"budget", "phase", "multiplier"}, exclude_none=True) if limit else {}),
    }


def _score_warnings(summary: RunSummary) -> Iterator[str]:
    yield from (_drift(name, index) for name, index in summary.drift.items())
    if summary.ration is None:
        return
    for name in summary.ration.closed:
        yield f"{name} is not sent: its set-up would not be earned back, or trying it is beyond the budget"
    limit, cost = summary.ration.limit, summary.money.expected_cost
    if limit and cost > limit.budget:
        yield (
            f"as the lots of exploration fell, what is assigned is expected to cost {cost:,.2f}, more than the budget "
            f"of {limit.budget:,.2f}"
        )


def plan(
    programme: Programme,
    as_of: str | None,
    budget: float,
    out: Path | None,
    *,
    bundle_folder: Path | None,
    step: Step,
) -> JobResult:
    """Plan whom to send what within a budget, and pin the curve up for the console; nothing is reserved."""
    from features.errors import RefusedError
    from serving.batch import CHUNK_ROWS
    from serving.board import pin
    from serving.decisions import refuse_later_effects
    from serving.frontier import frontier
    from serving.plan import plan_budget
    from serving.rationing import find_contenders
    from serving.resolve import resolve_bundle, resolve_policy_table
    from serving.setups import left_to_pay

    policy = resolve_policy_table(programme)
    if policy is None:
        raise RefusedError("there is no policy table to plan with; run `winback effects` first")
    loaded = load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    refuse_later_effects(policy, programme, instant)
    bundle = resolve_bundle(programme, bundle_folder)
    contenders = find_contenders(loaded.tables, instant, bundle, policy, programme, chunk_rows=CHUNK_ROWS, step=step)
    step(f"planning as of {programme.local_date(instant)}")
    unpaid = left_to_pay(loaded.tables.offers, instant, programme)
    planned = plan_budget(contenders, policy, unpaid, budget=budget)
    pin(programme, programme.local_date(instant), frontier(planned, policy.version))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        planned.offers.to_csv(out, index=False)
    return _plan_result(planned, budget, programme.local_date(instant), loaded.findings)


def _plan_result(planned: Plan, budget: float, as_of: date, findings: tuple[Finding, ...]) -> JobResult:
    kinds = ["policy_segment", "incentive_id", "channel", "evidence"]
    by_incentive = planned.offers.groupby(kinds, as_index=False).agg(
        members=("member_id", "size"), expected_cost=("expected_cost", "sum")
    )
    totals = {
        "budget": budget,
        **asdict(planned.outlook),
        "assigned_cost": planned.assigned_cost,
        "exploration_cost": planned.exploration_cost,
        "multiplier": planned.multiplier,
    }
    rows: dict[str, Rows] = {
        "plan": [totals],
        "offers": [{str(name): value for name, value in row.items()} for row in by_incentive.to_dict("records")],
        "phases": [asdict(phase) for phase in planned.phases],
        "curve": [{"budget": spent, **asdict(outlook)} for spent, outlook in planned.curve],
    }
    record = {
        "as_of": as_of.isoformat(),
        "full_cost": planned.full_cost,
        "not_earned_back": list(planned.not_earned_back),
        **totals,
        **rows,
    }
    told: dict[str, Rows] = {
        "plan": [{"of the plan": name.replace("_", " "), "value": value} for name, value in totals.items()]
    }
    shown = {**rows, **told} if planned.full_cost else told
    return JobResult(record, shown, findings, tuple(plan_warnings(planned, budget)))


def plan_warnings(planned: Plan, budget: float) -> Iterator[str]:
    """Say what somebody who asked for a plan within a budget has to know of it."""
    for name in planned.not_earned_back:
        yield f"{name} is not planned: its set-up would not be earned back, or trying it is beyond the budget"
    if not planned.full_cost:
        yield "nothing was shown to be worth sending, whatever the budget; `winback effects` says why"
    if planned.assigned_cost > budget * (1 + 1e-9):
        yield (
            f"what exploration may send, set-up included, is expected to cost {planned.assigned_cost:,.2f}, "
            f"more than the budget of {budget:,.2f}; `exploration_share` sets how much is explored"
        )


def pause(programme: Programme, reason: str) -> JobResult:
    """Pause all recommendations."""
    from serving.pause import programme_switch

    with programme_switch(programme) as switch:
        paused = switch.pause(reason)
    record = {"programme": programme.name, "paused_since": f"{paused.since.isoformat()}Z", "reason": paused.reason}
    return JobResult(record, {"paused": [record]})


def resume(programme: Programme) -> JobResult:
    """End the pause, if there is one."""
    from serving.pause import programme_switch

    with programme_switch(programme) as switch:
        ended = switch.resume()
    record = {"programme": programme.name, "paused_since": f"{ended.since.isoformat()}Z" if ended else None}
    return JobResult(record, {"resumed": [record]})


def measure(programme: Programme, as_of: str | None, campaign: str | None, *, step: Step) -> JobResult:
    """Measure what offers brought beyond their control offers; asked for all, pin the latest up for the console."""
    from serving.board import pin
    from serving.measure import left_out
    from serving.measure import measure as measure_offers
    from serving.measure_tables import tables
    from serving.results import latest_results

    loaded = load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    step(f"measuring offers as of {programme.local_date(instant)}")
    measured = measure_offers(loaded.tables, programme, instant, campaign=campaign)
    rows = [row.model_dump() for row in measured]
    if campaign is None:
        pin(programme, programme.local_date(instant), latest_results(loaded.tables, programme, instant))
    losing = [row for row in rows if row["verdict"] == "loses" and row["incentive"]]
    return JobResult(
        record={"as_of": programme.local_date(instant).isoformat(), "campaign": campaign, "measured": rows},
        tables=tables(measured),
        findings=loaded.findings,
        warnings=(
            *left_out(loaded.tables, programme, instant, campaign=campaign),
            *(
                f"{row['incentive']} loses money in {row['policy_segment'] or 'all policy segments together'}: after "
                f"{row['days']} days between {row['net_value_low']:,.0f} and {row['net_value_high']:,.0f} in net value"
                for row in losing
            ),
        ),
    )


def _drift(feature: str, index: float) -> str:
    from serving.drift import THRESHOLD

    return (
        f"{feature} is distributed unlike where the model was trained (population stability index {index:.2f}, "
        f"above {THRESHOLD}); look at the tables first, then train again"
    )
