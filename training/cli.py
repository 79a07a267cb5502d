"""The commands that learn, and the demo. They join ``winback`` where training is installed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.console import (
    PROGRAMME_FILE,
    AsOfOption,
    JsonOption,
    ProgrammeOption,
    StrictOption,
    command,
    run_job,
)
from serving.loading import Step

if TYPE_CHECKING:
    from features.programme import Programme
    from serving.jobs import JobResult

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; kept with the version in the registry.")]


class Dataset(StrEnum):
    """Public data sets that come from the package registry, and made-up shops' exports."""

    CDNOW = "cdnow"
    COMPLETE_JOURNEY = "complete_journey"
    GERMAN_SHOP = "german_shop"
    CHINESE_SHOP = "chinese_shop"


def register(app: typer.Typer) -> None:
    """Add the commands to the ``winback`` application."""
    for run in (demo, data, simulate, train, promote, rollback, backtest, effects, policy_value):
        app.command()(run)


def demo(
    folder: Annotated[Path, typer.Option(help="Holds programme.toml and programmes/; demo/ is made in it.")] = Path(),
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Walk two programmes from raw tables to decisions, and show both on one page."""
    with command(json, strict=strict) as report:
        from training.demo import run_demo

        with report.progress() as step:
            result = run_demo(folder, step=step)
        report.show(result)
        report.say(f"The page: {result.record['page']}")


def data(
    name: Annotated[Dataset, typer.Argument(help="Which data set.")],
    out: Annotated[Path, typer.Option(help="Folder; the tables go into a folder of the data set's name.")] = Path(
        "data"
    ),
    json: JsonOption = None,
) -> None:
    """Write a public data set as a programme's raw tables, or a made-up shop's exports to try `init` on."""
    with command(json) as report:
        from training.demo_data import write_dataset

        with report.progress() as step:
            step(f"writing {name} to {out / name}")
            files = write_dataset(name, out / name)
        report.record = {"files": [str(file) for file in files]}
        report.say("\n".join(str(file) for file in files))


def simulate(
    members: Annotated[int, typer.Option(min=100, help="How many ever join.")] = 20_000,
    weeks: Annotated[int, typer.Option(min=30, help="Length of the history.")] = 130,
    seed: Annotated[int, typer.Option(help="Same seed, same tables.")] = 1,
    out: Annotated[
        Path, typer.Option(help="Folder for the tables; what is true goes into its subfolder truth.")
    ] = Path("data/simulated"),
    season: Annotated[float, typer.Option(min=0, help="Height of the yearly wave and sales peaks; 0 is none.")] = 1.0,
    trend: Annotated[float, typer.Option(help="Growth of ordering per year, as a log rate.")] = 0.05,
    gap_days: Annotated[float, typer.Option(min=1, help="How long the median member leaves between orders.")] = 40.0,
    confounding: Annotated[
        float, typer.Option(help="0 offers by lot; above, livelier members are treated more often.")
    ] = 0.0,
    propensities: Annotated[bool, typer.Option(help="Whether the offer log tells the probabilities used.")] = True,
    points: Annotated[
        tuple[float, float], typer.Option(help="Range of an effect on recall: 0.01 0.04 is 1 to 4 percentage points.")
    ] = (0.01, 0.04),
    programme: ProgrammeOption = PROGRAMME_FILE,
    json: JsonOption = None,
) -> None:
    """Write a made-up programme's raw tables, with what its incentives truly do kept apart."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training.run import simulate as run_simulation
        from training.sim_offers import Experiment

        experiment = Experiment(
            weeks=min(Experiment.weeks, weeks // 2),
            points=points,
            confounding=confounding,
            log_propensities=propensities,
        )
        return run_simulation(
            settings,
            out,
            members=members,
            weeks=weeks,
            seed=seed,
            experiment=experiment,
            season=season,
            trend_per_year=trend,
            gap_days=gap_days,
            step=step,
        )

    run_job(job, programme, json, strict=False)


def train(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    tune: Annotated[
        int, typer.Option("--tune", min=0, help="Search among so many settings first; a search broken off goes on.")
    ] = 0,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Fit the churn and value models on past snapshots and register them."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import run

        return run.train(settings, as_of, trials=tune, step=step)

    run_job(job, programme, json, strict=strict)


def promote(
    programme: ProgrammeOption = PROGRAMME_FILE,
    version: Annotated[int | None, typer.Option(min=1, help="Which one; default: the latest registered.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote it without judging it.")] = False,
    reason: ReasonOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Judge a challenger again on what has happened since, and make it champion if it is not worse."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import champions

        return champions.promote(settings, version, force=force, reason=reason, step=step)

    run_job(job, programme, json, strict=strict)


def rollback(
    programme: ProgrammeOption = PROGRAMME_FILE,
    reason: ReasonOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Make the champion before this one champion again."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import champions

        return champions.rollback(settings, reason=reason, step=step)

    run_job(job, programme, json, strict=strict)


def backtest(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Train on what was known at a past date, and compare with what happened, beside simple peers."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import run

        return run.backtest(settings, as_of, step=step)

    run_job(job, programme, json, strict=strict)


def effects(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    uplift: Annotated[
        bool, typer.Option("--uplift", help="Judge leaving members of a segment out even where `member_uplift` is off.")
    ] = False,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Estimate from the offer log what each incentive does, and write the policy table."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import run

        return run.effects(settings, as_of, uplift=uplift, step=step)

    run_job(job, programme, json, strict=strict)


def policy_value(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    since: Annotated[
        str | None, typer.Option(help="Only offers from this date on, e.g. later than the policy.")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="Another policy table's file; default: the current one.")] = None,
    always: Annotated[str | None, typer.Option(help="Value sending everybody this incentive instead.")] = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Tell from past offers what a policy would have brought, had it assigned them."""

    def job(settings: Programme, step: Step) -> JobResult:
        from training import policy_value

        return policy_value.policy_value(settings, as_of, since=since, table=table, always=always, step=step)

    run_job(job, programme, json, strict=strict)
