"""The jobs behind the commands that learn: load, call, say what came out.

Each reads the programme's tables unless it is handed tables already loaded.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.errors import RefusedError
from features.programme import Programme
from features.sources import Loaded
from serving.bundle_files import save_policy_table
from serving.jobs import JobResult
from serving.loading import Pace, Step, as_of_or_next_day, load
from serving.policy_table import PolicyTable
from serving.resolve import policy_file
from training import backtest as backtests
from training.champions import judge, record_verdict
from training.depth import dose_responses
from training.effects import effects_frame, estimate_effects
from training.fit import Training
from training.fit import train as fit_models
from training.guard import refuse_leaks
from training.labels import days_after, known_until, longest_horizon
from training.ladder import ladder_table
from training.member_level import EFFECTIVE, OFFER_LOG, MemberLevel, with_member_uplift
from training.offer_log import read_offer_log
from training.profit import profit_table
from training.sim_blocks import simulate_to
from training.sim_offers import Experiment
from training.snapshots import build_snapshots, most_members, observe
from training.sureness import sureness
from training.tracking import log_training, log_tuning
from training.trials import read_trials

if TYPE_CHECKING:
    from training.tune import Tuned

NOT_OUT_OF_TIME = (
    "the history is too short to keep a later date apart: rounds and calibration rest on other members of the same "
    "dates, so a change of level from one window to the next was not seen"
)
CHURN_COLUMNS = ["model", "auc", "average_precision", "log_loss", "brier", "ece", "ece_band_high", "ece_at_level"]
PROFIT_COLUMNS = ["model", "incentive", "expected_maximum_profit", "targeted_share", "threshold", "profit_at_threshold"]
LADDER_COLUMNS = ["history_level", "members", "churn_share", "auc", "log_loss", "ece", "total_bias"]
DAYS_PER_YEAR = 365
UPLIFT_COLUMNS = ["incentive_id", "qini", "qini_low", "gain", "gain_low", "withheld_share", "used", "says"]
VALUE_COLUMNS = ["model", "rmse", "tweedie_deviance", "spearman", "normalised_gini", "total_bias"]


def train(
    programme: Programme, as_of: str | None, *, trials: int = 0, step: Step, loaded: Loaded | None = None
) -> JobResult:
    """Fit the models on all snapshots known by a date, log and register them; a better model becomes champion.

    With ``trials`` it first searches how best to grow them, on earlier dates.
    """
    loaded = loaded or load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    _refuse_beyond_data(instant, loaded, programme)
    step("looking back: features and outcomes at past dates")
    snapshots = build_snapshots(loaded.tables, instant, programme)
    now = observe(loaded.tables, instant, programme, most=most_members(programme))
    refuse_leaks(snapshots, now, programme)
    tuned = _tune(loaded, instant, programme, trials, step) if trials else None
    growth = tuned.growth if tuned else None
    step(f"fitting the models on {len(snapshots)} past dates")
    training = fit_models(snapshots, now, programme, growth=growth)
    bundle = training.bundle
    step("comparing with the champion")
    promotion = judge(loaded, instant, programme, growth=growth)
    step("logging the run and registering the model")
    number = log_training(training, now, programme, fingerprint=loaded.fingerprint)
    record_verdict(programme, number, promotion)
    record = {
        "model": programme.output.model,
        "number": number,
        "version": bundle.version,
        "trained_until": programme.local_date(instant).isoformat(),
        "learnt_from": _dates([each.as_of for each in snapshots], programme),
        "members": len(now.features),
        "features": len(bundle.feature_names),
        "champion": promotion.promote,
        "reason": promotion.reason,
        "metrics": bundle.metrics,
        "tuned": _tuned_record(tuned, programme) if tuned else None,
    }
    shown = {name: record[name] for name in ("model", "number", "version", "trained_until", "champion", "reason")}
    found = {"tuned": [_tuned_row(tuned)]} if tuned else {}
    return JobResult(record, {"model": [shown], **found}, loaded.findings, _warnings(training))


def backtest(programme: Programme, as_of: str | None, *, step: Step, loaded: Loaded | None = None) -> JobResult:
    """Back-test at a date, by default the latest one whose outcome is known."""
    loaded = loaded or load(programme, step)
    latest = days_after(known_until(loaded.data_until, programme), -longest_horizon(programme), programme)
    instant = latest if as_of is None else programme.instant(as_of)
    step(f"training and scoring as of {programme.local_date(instant)}, and comparing with what happened")
    result = backtests.backtest(loaded, instant, programme)
    clv = float(result.members["value_if_active"].mean()) * DAYS_PER_YEAR / programme.horizons.value_days
    predicted = {name: each["churn_probability"] for name, each in result.predictions.items()}
    profit = profit_table(result.members["churned"], predicted, clv=clv, incentives=programme.arms)
    ladder = ladder_table(result.members)
    intervals = pd.DataFrame([asdict(sureness(result.members, result.bundle))])
    tables = {
        "churn": _rows(result.churn),
        "value": _rows(result.value),
        "churn_deciles": _rows(result.churn_deciles),
        "value_deciles": _rows(result.value_deciles),
        "profit": _rows(profit),
        "history_levels": _rows(ladder),
        "intervals": _rows(intervals),
    }
    record = {
        "as_of": programme.local_date(instant).isoformat(),
        "version": result.bundle.version,
        "learnt_from": _dates(result.learnt_from, programme),
        "members": len(result.members),
        **tables,
    }
    shown = {
        "churn": _rows(result.churn[CHURN_COLUMNS]),
        "value": _rows(result.value[VALUE_COLUMNS]),
        "profit": _rows(profit[PROFIT_COLUMNS]),
        "history_levels": _rows(ladder[LADDER_COLUMNS]),
    }
    return JobResult(record, {**tables, **shown}, loaded.findings, _warnings(result.training))


def simulate(
    programme: Programme,
    out: Path,
    *,
    members: int,
    weeks: int,
    seed: int,
    experiment: Experiment,
    season: float,
    trend_per_year: float,
    gap_days: float,
    step: Step,
) -> JobResult:
    """Simulate a programme's history and write its tables, and the truth apart from them."""
    pace = Pace(f"simulating {weeks} weeks of members", members, step)
    written = simulate_to(
        out,
        members,
        weeks,
        seed,
        programme=programme,
        experiment=experiment,
        season=season,
        trend_per_year=trend_per_year,
        gap_days=gap_days,
        passed=pace.passed,
    )
    files = [*(out / f"{name}.parquet" for name in written), *sorted((out / "truth").glob("*.parquet"))]
    rows = [{"table": name, "rows": count} for name, count in written.items()]
    return JobResult({"files": [str(file) for file in files], "tables": rows}, {f"{out}": rows})


def effects(
    programme: Programme,
    as_of: str | None,
    *,
    uplift: bool = False,
    step: Step,
    loaded: Loaded | None = None,
) -> JobResult:
    """Estimate what each incentive does and write the policy table.

    Whether members of a segment differ, and leaving some of them out pays, is judged where the programme file says so
    (`member_uplift`) or with ``uplift``.
    """
    loaded = loaded or load(programme, step)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    step(f"estimating effects from offers before {programme.local_date(instant)}")
    table = estimate_effects(loaded.tables, programme, instant)
    levels: list[MemberLevel] = []
    if uplift or (programme.guardrails.member_uplift and any(one.verdict == EFFECTIVE for one in table.effects)):
        table, levels = _member_levels(table, loaded, programme, instant, step)
    file = policy_file(programme)
    save_policy_table(table, file)
    record = {
        "as_of": programme.local_date(instant).isoformat(),
        "version": table.version,
        "evidence": table.evidence,
        "offers": table.offers,
        "maturing": table.maturing,
        "file": str(file),
    }
    estimated = _rows(effects_frame(table))
    choices = [{"policy_segment": segment, **choice.model_dump()} for segment, choice in table.choices.items()]
    shown: dict[str, Any] = {
        "policy table": [record],
        "choices": [{name: value for name, value in choice.items() if name != "why"} for choice in choices],
    }
    found: dict[str, Any] = {"effects": estimated, "choices": choices}
    if depths := [asdict(depth) for depth in dose_responses(table, programme)]:
        found["depths"] = shown["depths"] = depths
    found["uplift"] = [asdict(level) for level in levels]
    if levels:
        shown["members within policy segments"] = [
            {name: value for name, value in asdict(level).items() if name in UPLIFT_COLUMNS} for level in levels
        ]
    return JobResult(
        {**record, **found},
        shown,
        loaded.findings,
        table.warnings,
    )


def _member_levels(
    table: PolicyTable, loaded: Loaded, programme: Programme, as_of: datetime, step: Step
) -> tuple[PolicyTable, list[MemberLevel]]:
    step("judging whether leaving out members with whom an incentive is expected to lose money pays")
    logs = {OFFER_LOG: read_offer_log(loaded.tables, programme, as_of)}
    logs |= dict(zip((trials.path for trials in programme.data.trials), read_trials(programme), strict=True))
    return with_member_uplift(table, logs, programme)


def _tune(loaded: Loaded, as_of: datetime, programme: Programme, trials: int, step: Step) -> Tuned:
    from training.tune import tune

    step(f"tuning: up to {trials} trials on earlier dates")
    with log_tuning(programme) as log:
        return tune(loaded, as_of, programme, trials=trials, log=log)


def _tuned_record(tuned: Tuned, programme: Programme) -> dict[str, Any]:
    return {**_tuned_row(tuned), "dates": _dates(tuned.dates, programme)}


def _tuned_row(tuned: Tuned) -> dict[str, Any]:
    """Show the parameters found, the same for every model, and the loss beside the defaults' 1."""
    return {"trials": tuned.trials, "loss": tuned.loss, **next(iter(tuned.growth.values()))}


def _refuse_beyond_data(as_of: datetime, loaded: Loaded, programme: Programme) -> None:
    known = known_until(loaded.data_until, programme)
    if as_of > known:
        raise RefusedError(
            f"the data end before {programme.local_date(known)}: training as of {programme.local_date(as_of)} would "
            "take missing days for days without orders; use an earlier date or bring the tables up to date"
        )


def _warnings(training: Training) -> tuple[str, ...]:
    return () if training.out_of_time else (NOT_OUT_OF_TIME,)


def _dates(instants: list[datetime] | tuple[datetime, ...], programme: Programme) -> list[str]:
    return [programme.local_date(instant).isoformat() for instant in instants]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lay out a frame as records; missing numbers become null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]
