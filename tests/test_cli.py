"""The command line: exit codes, the JSON file, errors people can act on."""

import errno
import json
import re
from pathlib import Path

import duckdb
import pytest
from builders import small_frames, small_programme
from typer.testing import CliRunner

from features.errors import InputError, OutputError, RefusedError
from serving.cli import app
from serving.console import command
from serving.database import StoreError

run = CliRunner().invoke


def failing(error: Exception, json_file: Path) -> int:
    """Return the exit code of a command that fails."""
    with pytest.raises(Exception) as caught, command(json_file):
        raise error
    return caught.value.exit_code


def test_help_names_every_command() -> None:
    shown = run(app, ["--help"]).output
    assert all(name in shown for name in ("train", "promote", "rollback", "backtest", "effects", "score"))
    assert all(name in shown for name in ("demo", "data", "simulate", "features", "plan", "serve"))


@pytest.mark.parametrize("name", ["features", "train", "promote", "rollback", "backtest", "effects", "score"])
def test_a_missing_programme_file_is_bad_input(name: str, tmp_path: Path) -> None:
    result = run(app, [name, "--programme", str(tmp_path / "none.toml"), "--json", str(tmp_path / "out.json")])
    assert result.exit_code == 2
    assert "none.toml" in result.output
    assert json.loads((tmp_path / "out.json").read_text())["error"]["kind"] == "InputError"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("orders: bad"), 2),
        (RefusedError("too early"), 4),
        (OutputError("cannot write decisions.parquet"), 5),
        (StoreError("the store is gone"), 5),
        (PermissionError(13, "Permission denied", "/out/decisions"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 5),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(error: Exception, code: int, tmp_path: Path) -> None:
    assert failing(error, tmp_path / "out.json") == code
    assert json.loads((tmp_path / "out.json").read_text())["exit_code"] == code


def test_a_full_disk_keeps_the_json_file_from_nothing_but_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert failing(InputError("orders: bad"), tmp_path / "out.json") == 2
    assert "orders: bad" in capsys.readouterr().err
    with pytest.raises(Exception) as caught, command(tmp_path / "out.json"):
        pass
    assert caught.value.exit_code == 5  # type: ignore[attr-defined]
    assert "is done, but" in capsys.readouterr().err


def test_a_log_file_has_a_line_with_its_time_for_every_number_told(capsys: pytest.CaptureFixture[str]) -> None:
    with command() as report, report.progress() as step:
        step("deciding: 1 of 2, 3 a second, 0:00:01 left")
        told = capsys.readouterr().err
        step("deciding: 2 of 2, 3 a second, 0:00:00 left")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ deciding: 1 of 2, 3 a second, 0:00:01 left\n", told)
    assert "2 of 2" in capsys.readouterr().err


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 3)])
def test_warnings_fail_only_under_strict(strict: bool, code: int, tmp_path: Path) -> None:
    try:
        with command(tmp_path / "out.json", strict=strict) as report:
            report.warn(["3 rows set aside [orders]"])
        exit_code = 0
    except Exception as exit_:
        exit_code = exit_.exit_code  # type: ignore[attr-defined]
    assert exit_code == code
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["exit_code"], written["warnings"]) == (code, ["3 rows set aside [orders]"])


@pytest.mark.parametrize(("declared", "code"), [(True, 0), (False, 2)])
def test_rows_that_the_programme_file_leaves_out_are_noted_without_a_warning(
    declared: bool, code: int, tmp_path: Path
) -> None:
    frames = small_frames(members=3)
    frames["orders"].loc[0, "member_id"] = None
    frames["order_lines"] = frames["order_lines"].iloc[1:]
    programme = small_programme(tmp_path, frames).path("programme.toml")
    if declared:
        source = 'orders = { path = "orders.parquet"'
        programme.write_text(programme.read_text().replace(source, f"{source}, anonymous = true"))
    result = run(app, ["check", "--programme", str(programme), "--strict"])
    assert result.exit_code == code, result.output
    assert ("note: orders.member_id has no value, so it is nobody's: 1 row set aside" in result.stdout) == declared


def test_the_plan_is_printed_as_sql_and_nothing_else(tmp_path: Path) -> None:
    programme = small_programme(tmp_path, small_frames(members=3)).path("programme.toml")
    result = run(app, ["features", "--programme", str(programme), "--plan"])
    assert result.exit_code == 0, result.output
    (statement,) = duckdb.extract_statements(result.stdout)
    assert "recency_days" in statement.query
    assert "reading and checking the tables" in result.stderr


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    programme = small_programme(tmp_path, small_frames(members=3)).path("programme.toml")
    in_the_way = tmp_path / "orders.parquet" / "features.parquet"
    result = run(app, ["features", "--programme", str(programme), "--out", str(in_the_way)])
    assert result.exit_code == 2
    assert "orders.parquet" in result.stderr


def test_the_json_file_has_null_for_what_json_does_not_know(tmp_path: Path) -> None:
    with command(tmp_path / "out.json") as report:
        report.record = {"auc": float("nan"), "rows": [{"low": float("-inf"), "n": 3}], "bounds": (float("inf"), 0.5)}
    written = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    assert (written["auc"], written["rows"], written["bounds"]) == (None, [{"low": None, "n": 3}], [None, 0.5])


def test_a_simulated_programme_is_written_with_the_truth_apart(tmp_path: Path) -> None:
    file = Path(__file__).parents[1] / "programme.toml"
    size = ["--members", "300", "--weeks", "40", "--seed", "3"]
    result = run(app, ["simulate", *size, "--out", str(tmp_path), "--no-propensities", "--programme", str(file)])
    assert result.exit_code == 0, result.output
    assert {file.name for file in (tmp_path / "truth").iterdir()} >= {"effects.parquet", "choices.parquet"}
    log = duckdb.sql(f"select * from '{tmp_path}/offers.parquet'")
    assert "propensity" not in log.columns
    assert len(log.fetchall()) > 0
