"""The demo: two programmes from raw tables to decisions, on one page.

Complete Journey is real input for churn and value, with campaigns whose effects cannot be known; the simulated
programme has randomised offers whose true effects are known, so that choices can be laid beside the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import get_args

import pandas as pd

from features.programme import Programme, load_programme
from features.settings import Language
from features.sources import Loaded
from serving.batch import score_programme
from serving.jobs import JobResult, Rows
from serving.loading import Step, as_of_or_next_day, load
from serving.policy_table import PolicyTable
from serving.report.job import write_report
from serving.resolve import resolve_policy_table
from serving.summary import RunSummary
from training import page, run
from training.backtest import OURS, BacktestResult, backtest
from training.demo_data import write_dataset
from training.explain import decile_figure, gain_figure, reliability_figure
from training.labels import days_after, known_until, longest_horizon
from training.simulator import DEMO_EXPERIMENT, simulate, write

MEMBERS = 20_000
WEEKS = 130
SEED = 20
COMPLETE_JOURNEY_AS_OF = "2017-12-02"

CHURN_CAPTION = "Churn. Higher AUC is better; lower log loss, Brier score and calibration error (ECE) are."
VALUE_CAPTION = "Value. Lower RMSE and deviance are better; higher Spearman and Gini; total bias near 0."

NEXT_STEPS = (
    'Ask the service: `make serve`, then POST {"member_ids": ["M0000001"]} to http://127.0.0.1:3000/v1/score.',
    "Look at runs, figures and models: `.venv/bin/mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db`.",
    "Try your own tables: `.venv/bin/winback init FILES` describes them; docs/quickstart.md goes on from there.",
)


@dataclass(frozen=True)
class Walk:
    """Everything one programme's walk from raw tables to decisions left behind."""

    programme: Programme
    loaded: Loaded
    backtest: BacktestResult
    summary: RunSummary
    policy: PolicyTable
    decisions: pd.DataFrame


def run_demo(folder: Path, *, members: int = MEMBERS, weeks: int = WEEKS, step: Step) -> JobResult:
    """Walk both programmes described in a folder and write ``demo/index.html`` there.

    Parameters
    ----------
    folder
        Holds ``programme.toml`` and ``programmes/complete_journey.toml``.
    members, weeks
        Size of the simulated programme.
    step
        Told what is being done.
    """
    started = perf_counter()
    parts = [
        _complete_journey(folder, _named(step, "Complete Journey")),
        _simulated(folder, members, weeks, _named(step, "simulated programme")),
    ]
    file = folder / "demo" / "index.html"
    seconds = perf_counter() - started
    page.write_page(parts, file, minutes=f"{seconds / 60:.1f} minutes", next_steps=NEXT_STEPS)
    return JobResult(
        record={
            "page": str(file),
            "seconds": round(seconds, 1),
            "parts": [{"title": part.title, "as_of": part.as_of, "verdict": part.verdict} for part in parts],
        },
        tables={
            name: rows
            for part in parts
            for name, rows in (
                (f"{part.title}: back-test of churn as of {part.backtest_as_of}", part.backtest_tables[CHURN_CAPTION]),
                (f"{part.title}: decisions as of {part.as_of}", part.decisions),
            )
        },
        warnings=tuple(f"{part.title}: {warning}" for part in parts for warning in part.warnings),
    )


def _complete_journey(folder: Path, step: Step) -> page.Part:
    programme = load_programme(folder / "programmes" / "complete_journey.toml")
    step("writing the public tables")
    write_dataset("complete_journey", folder / "demo" / "complete_journey")
    walk = _walk(programme, COMPLETE_JOURNEY_AS_OF, folder / "demo" / "decisions" / "complete_journey", step)
    return _part(
        walk,
        title="Complete Journey",
        provenance=(
            "2,469 households of a US grocer over 2017. The publisher, 84.51°, calls the data simulated from real "
            "patterns. Licence as stated: MIT on the package index, CC0 on CRAN.",
            "Campaigns A, B and C were targeted at better customers, not randomised: the offer log is observational. "
            "What the campaigns cost is assumed.",
        ),
        verdict=(
            f"{walk.policy.offers:,} logged offers, and still no answer: who was targeted was decided by people who "
            "knew the customers, so a difference between targeted and untargeted households says nothing about the "
            "campaign. The honest advice is to send nothing on this evidence, and to test.",
        ),
    )


def _simulated(folder: Path, members: int, weeks: int, step: Step) -> page.Part:
    programme = load_programme(folder / "programme.toml")
    step(f"simulating {members:,} members over {weeks} weeks")
    simulation = simulate(members, weeks, SEED, programme=programme, experiment=DEMO_EXPERIMENT)
    write(simulation, folder / "demo" / "simulated")
    walk = _walk(programme, None, folder / "demo" / "decisions" / "simulated", step, weeks=2)
    truth, choices = simulation.truth["effects"], simulation.truth["choices"]
    rows = page.choice_rows(walk.policy, truth, choices)
    step("writing the weekly report")
    reports = _reports(walk, folder / "demo")
    page.effects_figure(walk.policy, truth, most_segments=4).savefig(folder / "demo" / "effects.png", dpi=130)
    return _part(
        walk,
        title="Simulated programme",
        provenance=(
            "A made-up Chinese retailer. Incentives' effects differ by policy segment and were drawn by chance, about "
            "half of them nothing and the others 3 to 8 points of recall, more than in real life so that a small "
            "programme can find some. Offers were randomised with logged propensities. The truth is kept apart: only "
            "this page reads it, to lay it beside what was chosen.",
        ),
        verdict=_verdict(walk.decisions, rows, programme),
        choices=rows,
        choices_caption="What was chosen per policy segment, beside the truth. True values are per member treated.",
        effects=(
            page.picture(
                page.effects_figure(walk.policy, truth),
                "Estimated effects on recall against control, and the truth. An incentive is chosen only when its "
                "whole interval lies above zero and its net value is not below the tolerance.",
            ),
        ),
        reports=reports,
    )


def _reports(walk: Walk, folder: Path) -> tuple[str, ...]:
    """Write the weekly report in both languages, and return the files' names."""
    decisions = walk.summary.file.parent.parent
    for language in get_args(Language):
        file = folder / f"report_{language}.html"
        write_report(walk.programme, None, decisions, file, language=language, loaded=walk.loaded)
    return tuple(f"report_{language}.html" for language in get_args(Language))


def _walk(programme: Programme, backtest_as_of: str | None, out: Path, step: Step, *, weeks: int = 1) -> Walk:
    """Train as of the first of the last so many weeks, and decide in each."""
    loaded = load(programme, step)
    latest = days_after(known_until(loaded.data_until, programme), -longest_horizon(programme), programme)
    as_of = latest if backtest_as_of is None else programme.instant(backtest_as_of)
    step(f"back-testing as of {programme.local_date(as_of)}")
    tested = backtest(loaded, as_of, programme)
    today = as_of_or_next_day(programme, None, loaded.data_until)
    first, *later = [days_after(today, -7 * week, programme) for week in reversed(range(weeks))]
    trained = programme.local_date(first).isoformat()
    run.train(programme, trained, step=step, loaded=loaded)
    run.effects(programme, trained, step=step, loaded=loaded)
    summary = score_programme(programme, out, as_of=trained, loaded=loaded, step=step)
    for week in later:
        summary = score_programme(programme, out, as_of=programme.local_date(week), loaded=loaded, step=step)
    policy = resolve_policy_table(programme)
    assert policy is not None, "effects were just written"
    return Walk(programme, loaded, tested, summary, policy, pd.read_parquet(summary.file))


def _part(
    walk: Walk,
    *,
    title: str,
    provenance: tuple[str, ...],
    verdict: tuple[str, ...],
    choices: Rows = (),
    choices_caption: str = "",
    effects: tuple[page.Picture, ...] = (),
    reports: tuple[str, ...] = (),
) -> page.Part:
    programme, tested = walk.programme, walk.backtest
    happened = tested.members
    return page.Part(
        title=title,
        provenance=provenance,
        as_of=walk.summary.as_of.isoformat(),
        currency=programme.currency,
        figures={
            "members decided": walk.summary.decided,
            "not eligible": walk.summary.not_eligible,
            "churn horizon": f"{programme.horizons.churn_days} days",
            "value is": tested.bundle.value_basis,
            "expected value": f"{walk.summary.money.expected_value:,.0f} {programme.currency}",
            "value at stake": f"{walk.summary.money.value_at_stake:,.0f} {programme.currency}",
        },
        warnings=tuple(str(finding) for finding in walk.loaded.findings if not finding.declared),
        backtest_as_of=programme.local_date(tested.as_of).isoformat(),
        backtest_tables={
            CHURN_CAPTION: page.records(tested.churn[page.BACKTEST_CHURN]),
            VALUE_CAPTION: page.records(tested.value[page.BACKTEST_VALUE]),
        },
        pictures=(
            page.picture(
                reliability_figure(happened["churned"], happened["churn_probability"]),
                "Are the probabilities right? Members in ten groups by predicted churn, and how many of each left.",
            ),
            page.picture(
                decile_figure(tested.value_deciles, quantity=f"value, {programme.currency}"),
                "Is the level right? Expected and actual value by tenths of the members.",
            ),
            page.picture(
                gain_figure(happened["value"], {OURS: happened["expected_value"]}, quantity="value"),
                "Who brings the money? Going from the highest expected value down.",
            ),
        ),
        segments=page.segment_rows(walk.decisions),
        members=page.example_members(walk.decisions),
        verdict=verdict,
        decisions=page.decision_rows(walk.decisions),
        meanings=page.meanings(walk.decisions),
        choices=choices,
        choices_caption=choices_caption,
        effects=effects,
        reports=reports,
    )


def _verdict(decisions: pd.DataFrame, choices: Rows, programme: Programme) -> tuple[str, ...]:
    offered = decisions[decisions["recommended_incentive"].notna()]
    sent = [row for row in choices if row["true_recall_of_chosen"] is not None]
    worked = sum(row["true_recall_of_chosen"] > 0 for row in sent)
    works = sum(row["true_cheapest_effective"] != "nothing" for row in choices)
    return (
        f"{len(offered):,} of {len(decisions):,} members are recommended an incentive: "
        f"{offered['expected_recall'].sum():,.0f} recalls expected at a cost of "
        f"{offered['expected_cost'].sum():,.0f} {programme.currency}.",
        f"An incentive was chosen in {len(sent)} of {len(choices)} policy segments; it truly recalls members in "
        f"{worked} of them. In truth something works in {works}: where it was not found, the offers did not suffice.",
    )


def _named(step: Step, name: str) -> Callable[[str], None]:
    return lambda message: step(f"{name}: {message}")
