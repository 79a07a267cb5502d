"""What every command shares: options, tables on the terminal, the JSON file, exit codes."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from features.errors import PassingError, WinbackError
from serving.loading import Step

if TYPE_CHECKING:
    from features.programme import Programme
    from serving.jobs import JobResult

EXIT_INPUT, EXIT_WARNINGS = 2, 3
_FAILING_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}

ProgrammeOption = Annotated[Path, typer.Option("--programme", help="The programme file.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the machine-readable result to this file.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit with 3 when there are warnings.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Date such as 2026-01-31; default: the day after the last row.")
]
PublishedOption = Annotated[
    str | None, typer.Option("--as-of", help="Date of the decisions; default: the latest published.")
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of a model bundle; default: the registry's champion.")
]
DecisionsOption = Annotated[Path, typer.Option("--decisions", help="Folder that `winback score` published to.")]

PROGRAMME_FILE, DECISIONS_FOLDER = Path("programme.toml"), Path("out/decisions")


@dataclass
class Report:
    """What a command has to say: a record for machines, warnings for people."""

    console: Console
    record: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, messages: Iterable[str]) -> None:
        """Print warnings and remember them for the record and the exit code."""
        for message in messages:
            self.warnings.append(message)
            self.console.print(f"[yellow]warning:[/] {_escape(message)}", soft_wrap=True)

    def show(self, result: JobResult) -> None:
        """Print a job's tables, text, findings and warnings, and keep its record."""
        self.record = result.record
        for title, rows in result.tables.items():
            self.table(title, rows)
        if result.text:
            self.console.print(result.text, soft_wrap=True, markup=False, highlight=False, emoji=False)
        for finding in result.findings:
            if finding.declared:
                self.say(f"note: {finding}")
        self.warn(str(finding) for finding in result.findings if not finding.declared)
        self.warn(result.warnings)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows of one shape as a table; numbers align right."""
        self.console.print(rows_table(title, rows))

    def say(self, message: str) -> None:
        """Print one line for people."""
        self.console.print(_escape(message), soft_wrap=True)

    @contextmanager
    def progress(self) -> Iterator[Step]:
        """Show the running step of a long job with its elapsed time, and keep finished steps on screen.

        A step told again, with other numbers behind the same words and a colon, stays the same step. It goes to
        standard error, so that what a command prints can be piped; where that is a log file, each step and its numbers
        are a line of their own with the time (UTC), written at once.
        """
        console = Console(stderr=True)
        if not console.is_terminal:
            yield _log
            return
        columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:

            def step(description: str) -> None:
                running = progress.tasks[-1] if progress.tasks else None
                what, numbers, _ = _escape(description).partition(": ")
                if numbers and running and running.description.startswith(f"{what}: "):
                    progress.update(running.id, description=_escape(description))
                    return
                _finish(progress)
                progress.add_task(_escape(description), total=1)

            yield step
            _finish(progress)


@contextmanager
def command(json_file: Path | None = None, *, strict: bool = False) -> Iterator[Report]:
    """Run a command's body: errors without a traceback, the JSON file, the exit code."""
    report = Report(Console())
    try:
        yield report
    except (WinbackError, OSError) as error:
        exit_code = _exit_code(error)
        Console(stderr=True).print(f"[red]error:[/] {_escape(str(error))}", soft_wrap=True)
        failure = {"kind": type(error).__name__, "message": str(error)}
        with suppress(OSError):  # what went wrong is said already
            _write_json(json_file, {"exit_code": exit_code, "warnings": report.warnings, "error": failure})
        raise typer.Exit(exit_code) from error
    exit_code = EXIT_WARNINGS if strict and report.warnings else 0
    try:
        _write_json(json_file, {"exit_code": exit_code, "warnings": report.warnings, **report.record})
    except OSError as error:
        Console(stderr=True).print(
            f"[red]error:[/] what was asked for is done, but {_escape(str(json_file))} cannot be written: "
            f"{_escape(str(error))}",
            soft_wrap=True,
        )
        raise typer.Exit(_exit_code(error)) from error
    if exit_code:
        raise typer.Exit(exit_code)


def run_job(
    job: Callable[[Programme, Step], JobResult], programme_file: Path, json_file: Path | None, *, strict: bool
) -> None:
    """Run a job on a programme with its progress on screen, then show what it found."""
    with command(json_file, strict=strict) as report:
        from features.programme import load_programme

        with report.progress() as step:
            result = job(load_programme(programme_file), step)
        report.show(result)


def rows_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay out rows of one shape as a rich table."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in (rows[0] if rows else {}).items():
        table.add_column(name.replace("_", " "), justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _exit_code(error: WinbackError | OSError) -> int:
    if isinstance(error, WinbackError):
        return error.exit_code
    return PassingError.exit_code if error.errno in _FAILING_DISK else EXIT_INPUT


def _log(description: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {description}", file=sys.stderr, flush=True)


def _finish(progress: Progress) -> None:
    for task in progress.tasks:
        if not task.finished:
            progress.update(task.id, completed=1)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else _escape(str(value))


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _write_json(file: Path | None, record: Mapping[str, Any]) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    text = json.dumps(_finite(record), ensure_ascii=False, indent=2, default=str, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(file)


def _finite(value: Any) -> Any:
    """Return a record with null for numbers JSON does not know: NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
