"""The files of deploy/ call commands and options that exist, and say what a scheduler needs."""

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from features.errors import InputError, PassingError, RefusedError
from serving.cli import app
from serving.console import EXIT_WARNINGS

DEPLOY = Path(__file__).parents[1] / "deploy"
CALL = re.compile(r"(?:\.venv/bin/winback|\{WINBACK\}) ([^\n\"&>;]+)")


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


@pytest.mark.parametrize(("code", "called"), [(0, ["effects", "score"]), (5, ["effects"])])
def test_cron_writes_all_that_is_said_to_a_log_and_learns_of_a_failure(tmp_path, code, called):
    winback = tmp_path / ".venv" / "bin" / "winback"
    winback.parent.mkdir(parents=True)
    winback.write_text(f'#!/bin/sh\necho "$1"\necho "to stderr" >&2\nexit {code}\n')
    winback.chmod(0o755)
    (line,) = (line for line in (DEPLOY / "crontab").read_text(encoding="utf-8").splitlines() if "score" in line)
    command = line.split(maxsplit=5)[5].replace("/srv/winback", str(tmp_path))
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")
    assert (tmp_path / "weekly.log").read_text().splitlines() == [said for one in called for said in (one, "to stderr")]


def test_the_timer_starts_the_service_of_its_name():
    timer, service = (configparser.ConfigParser(strict=False, interpolation=None) for _ in range(2))
    timer.read(DEPLOY / "winback.timer")
    service.read(DEPLOY / "winback.service")
    assert timer["Timer"]["OnCalendar"]
    assert service["Service"]["Type"] == "oneshot"
    final = {int(code) for code in service["Service"]["RestartPreventExitStatus"].split()}
    assert {InputError.exit_code, EXIT_WARNINGS, RefusedError.exit_code} == final
    assert PassingError.exit_code not in final
