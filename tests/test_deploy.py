"""The files of deploy/ call commands and options that exist, and say what a scheduler needs."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import typer

from features.errors import InputError, PassingError, RefusedError
from serving.cli import app
from serving.console import EXIT_WARNINGS

DEPLOY = Path(__file__).parents[1] / "deploy"
CALL = re.compile(r"(?:\.venv/bin/winback|\{WINBACK\}) ([^\n\"&>]+)")


def calls() -> list[tuple[str, str]]:
    files = (file for file in sorted(DEPLOY.iterdir()) if file.is_file())
    return [(file.name, found) for file in files for found in CALL.findall(file.read_text(encoding="utf-8"))]


def test_every_schedule_calls_the_weekly_run():
    assert {name for name, call in calls() if call.startswith("score ")} == {
        "airflow_winback.py", "crontab", "winback.service",
    }  # fmt: skip


@pytest.mark.parametrize(("file", "call"), calls())
def test_what_is_called_is_understood(file, call):
    name, *arguments = shlex.split(call)
    command = typer.main.get_command(app).get_command(None, name)
    assert command.make_context(name, arguments).params["programme"] == Path("programme.toml")


def test_the_timer_starts_the_service_of_its_name():
    timer, service = (configparser.ConfigParser(strict=False, interpolation=None) for _ in range(2))
    timer.read(DEPLOY / "winback.timer")
    service.read(DEPLOY / "winback.service")
    assert timer["Timer"]["OnCalendar"]
    assert service["Service"]["Type"] == "oneshot"
    final = {int(code) for code in service["Service"]["RestartPreventExitStatus"].split()}
    assert {InputError.exit_code, EXIT_WARNINGS, RefusedError.exit_code} == final
    assert PassingError.exit_code not in final
