"""The ``winback`` command line. Heavy imports wait inside the commands, so that help is quick."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from serving.console import (
    DECISIONS_FOLDER,
    PROGRAMME_FILE,
    AsOfOption,
    BundleOption,
    DecisionsOption,
    JsonOption,
    ProgrammeOption,
    PublishedOption,
    StrictOption,
    command,
    run_job,
)
from serving.keys_cli import app as keys_app
from serving.loading import Step

if TYPE_CHECKING:
    from features.programme import Programme
    from serving.jobs import JobResult


class DateOrder(StrEnum):
    """What dates begin with that could be read both ways."""

    DAY = "day"
    MONTH = "month"


app = typer.Typer(
    name="winback",
    help="Who is leaving, what they are worth, why, and the cheapest incentive shown to bring them back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files; quote a pattern for files of one form.")],
    out: Annotated[Path, typer.Option(help="Programme file to write.")] = PROGRAMME_FILE,
    name: Annotated[str | None, typer.Option(help="What the programme is called.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA time zone of times without an offset.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO code of the currency of all amounts.")] = None,
    language: Annotated[str | None, typer.Option(help="Of reasons: en or zh.")] = None,
    date_order: Annotated[DateOrder | None, typer.Option(help="How dates such as 03/04/2026 begin.")] = None,
    consent: Annotated[
        bool | None, typer.Option("--consent/--no-consent", help="All members agreed to be contacted, or none.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="orders=FILE: which file is which table.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="orders.net_amount=THEIRS: which column is which.")] = None,
    cost: Annotated[list[str] | None, typer.Option(help="ID=CONTACT,REDEMPTION: what an incentive costs.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; what cannot be guessed is an error.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the programme file.")] = False,
) -> None:
    """Look at a shop's files and write its programme file, asking what they do not tell."""
    with command() as report:
        from serving.first_hour import describe
        from serving.prompts import ask, interactive, pairs

        agreed = None if consent is None else "yes" if consent else "no"
        said = {"name": name, "timezone": timezone, "currency": currency, "language": language}
        said |= {"date_order": date_order, "consent": agreed}
        answers = {key: answer for key, answer in said.items() if answer is not None}
        answers |= pairs(column) | {f"cost.{key}": costs for key, costs in pairs(cost).items()}
        describe(
            files,
            out,
            tables=pairs(table),
            answers=answers,
            ask=ask if interactive() and not yes else None,
            show=lambda rows: report.table("understood", rows),
            overwrite=force,
        )
        report.say(f"Wrote {out}: read it through. Then: winback check --programme {out}")


@app.command()
def check(
    programme: ProgrammeOption = PROGRAMME_FILE,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Read and check the tables of a programme file, and say what is in them."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving.checking import check as check_tables

        return check_tables(settings, step=step)

    run_job(job, programme, json, strict=strict)


@app.command()
def features(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("out/features.parquet"),
    plan: Annotated[bool, typer.Option("--plan", help="Print the SQL instead of running it.")] = False,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Build every member's features as of a date."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return (
            jobs.explain_features(settings, as_of, step=step)
            if plan
            else jobs.write_features(settings, as_of, out, step=step)
        )

    run_job(job, programme, json, strict=strict)


@app.command()
def score(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the decisions, partitioned by as_of.")] = DECISIONS_FOLDER,
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="What is assigned may be expected to cost, set-up and exploration included."),
    ] = None,
    phase: Annotated[
        Literal["test", "burst", "tail"] | None,
        typer.Option(help="Spend this phase's share of the budget, as `phases` in the programme file says."),
    ] = None,
    bundle: BundleOption = None,
    engine: Annotated[str, typer.Option(help="duckdb, or a Spark master: local[*], spark://host:7077.")] = "duckdb",
    scratch: Annotated[
        Path | None,
        typer.Option(help="Folder that Spark and its workers share; default: var beside the programme file."),
    ] = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Score every eligible member and decide what, if anything, to send."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return jobs.score(
            settings,
            as_of,
            out,
            budget=budget,
            phase=phase,
            bundle_folder=bundle,
            engine=engine,
            scratch=scratch,
            step=step,
        )

    run_job(job, programme, json, strict=strict)


@app.command()
def release(
    as_of: Annotated[str, typer.Option(help="Date of the decisions to act on.")],
    out: Annotated[Path, typer.Option(help="CSV file for the send list.")],
    programme: ProgrammeOption = PROGRAMME_FILE,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Write a date's send list and put its assignments on record; from then on the date's decisions stand."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving.release import release as release_decisions

        return release_decisions(settings, as_of, out, step=step)

    run_job(job, programme, json, strict=strict)


@app.command()
def changes(
    out: Annotated[Path, typer.Option(help="CSV or Parquet file for the members whose decision changed.")],
    as_of: PublishedOption = None,
    since: Annotated[
        str | None, typer.Option(help="Date of those to compare with; default: the ones published before.")
    ] = None,
    decisions: DecisionsOption = DECISIONS_FOLDER,
    json: JsonOption = None,
) -> None:
    """Write the decisions that differ from those published before in anything a CRM acts on."""
    with command(json) as report:
        from serving.changes import write_changes

        report.show(write_changes(decisions, as_of, since, out))


@app.command()
def plan(
    budget: Annotated[
        float, typer.Option(min=0, help="What is assigned may be expected to cost, set-up and exploration included.")
    ],
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: AsOfOption = None,
    out: Annotated[Path | None, typer.Option(help="CSV file for whom to send what.")] = None,
    bundle: BundleOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Show what a budget would buy, and what other budgets would; publishes nothing."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return jobs.plan(settings, as_of, budget, out, bundle_folder=bundle, step=step)

    run_job(job, programme, json, strict=strict)


@app.command()
def report(
    programme: ProgrammeOption = PROGRAMME_FILE,
    as_of: PublishedOption = None,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Language of the report; default: the programme's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; default: report_<language>.html beside the decisions.")
    ] = None,
    decisions: DecisionsOption = DECISIONS_FOLDER,
    bundle: BundleOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Write the weekly report for people: one HTML file that needs no network."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving.report.job import write_report

        return write_report(settings, as_of, decisions, out, language=language, bundle_folder=bundle, step=step)

    run_job(job, programme, json, strict=strict)


@app.command()
def measure(
    programme: ProgrammeOption = PROGRAMME_FILE,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign; default: all offers.")] = None,
    as_of: AsOfOption = None,
    json: JsonOption = None,
    strict: StrictOption = False,
) -> None:
    """Tell what offers brought beyond their control offers, however often one looks."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return jobs.measure(settings, as_of, campaign, step=step)

    run_job(job, programme, json, strict=strict)


@app.command()
def serve(
    programme: ProgrammeOption = PROGRAMME_FILE,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="IP address to answer at; 0.0.0.0 is every network.")] = "127.0.0.1",
    bundle: BundleOption = None,
    keys: Annotated[bool, typer.Option(help="Ask for a key made with `winback keys add`.")] = True,
) -> None:
    """Answer the CRM over HTTP, until interrupted; without keys only this machine."""
    with command():
        from serving.server import serve as run_server

        run_server(programme, port=port, host=host, bundle_folder=bundle, asks_for_keys=keys)


@app.command()
def bento(
    out: Annotated[Path, typer.Argument(help="Folder to make; `bentoml build` makes a Bento in it.")],
    programme: ProgrammeOption = PROGRAMME_FILE,
    bundle: BundleOption = None,
) -> None:
    """Lay out code, programme file, model and policy table for `bentoml build`."""
    with command() as report:
        from serving.bento import lay_out

        model = lay_out(programme, out, bundle)
        report.say(f"model {model} and what serves it are in {out}; build with: cd {out} && bentoml build")


app.add_typer(keys_app, name="keys")


@app.command()
def pause(
    programme: ProgrammeOption = PROGRAMME_FILE,
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "",
    json: JsonOption = None,
) -> None:
    """Recommend nothing to anybody from now on; scores go on."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return jobs.pause(settings, reason)

    run_job(job, programme, json, strict=False)


@app.command()
def resume(programme: ProgrammeOption = PROGRAMME_FILE, json: JsonOption = None) -> None:
    """Recommend again."""

    def job(settings: Programme, step: Step) -> JobResult:
        from serving import jobs

        return jobs.resume(settings)

    run_job(job, programme, json, strict=False)


for _commands in entry_points(group="winback.commands"):
    _commands.load()(app)


def main() -> None:
    """Run the command line."""
    app()
