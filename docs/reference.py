"""The reference pages made from the code: the command line, the Python API, and the errors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer

from features.errors import WinbackError
from serving.cli import app

CLI = """# Command line

Generated from the commands. Exit codes: 0 done (warnings included), 2 bad input, 3 warnings under `--strict`, 4
refused, 5 a disk or the store failed, so the same command may succeed later. See [schedules](weekly-job.md#schedules).
"""

API = """# Python API

Generated from the docstrings of what notebooks and other programs call. From three frames to decisions is
[ten lines](data-scientist.md#from-three-frames-to-decisions).
"""

ERRORS = """# Errors

Generated from `features/errors.py`. Every error a person can act on is one of these; commands print its message and end
with its exit code, and the service answers with its status.

| error | exit code | when |
|---|---|---|
"""

MEMBERS: Mapping[str, Sequence[str]] = {
    "training.api": ("decide",),
    "features.programme": ("load_programme", "parse_programme"),
    "features.sources": ("load_tables", "tables_from_frames", "Loaded"),
    "features.build": ("build_features",),
    "training.snapshots": ("build_snapshots", "observe"),
    "training.fit": ("train",),
    "training.backtest": ("backtest",),
    "training.effects": ("estimate_effects",),
    "serving.scoring": ("score",),
    "serving.decisions": ("decide_members",),
    "serving.registry": ("connect",),
    "training.simulator": ("simulate",),
}
"""What the API page describes: the public names of each module."""


def cli_markdown() -> str:
    """Describe every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n".join([CLI, *(_command(name, command) for name, command in group.commands.items())])


def _command(name: str, command: Any) -> str:
    rows = [_parameter(each) for each in command.params if each.name != "help"]
    head = ["| option | default | meaning |", "|---|---|---|"]
    return "\n".join([f"## `winback {name}`", "", command.help.strip(), "", *(head + rows if rows else []), ""])


def _parameter(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    spelt = parameter.name.upper() if is_argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = "required" if parameter.required else parameter.default
    shown = "" if default in (None, False, (), []) else default if default == "required" else f"`{default}`"
    return f"| `{spelt}` | {shown} | {(parameter.help or '').replace('|', '/')} |"


def api_markdown() -> str:
    """Describe what the API page lists, by signature and docstring."""
    return "\n".join([API, *(_module(name, members) for name, members in MEMBERS.items())])


def _module(name: str, members: Sequence[str]) -> str:
    module = import_module(name)
    described = (_member(member, getattr(module, member)) for member in members)
    return "\n".join([f"## `{name}`", "", (module.__doc__ or "").strip().splitlines()[0], "", *described])


def _member(name: str, member: Callable[..., Any]) -> str:
    signature = "" if inspect.isclass(member) else _signature(member)
    return "\n".join([f"### `{name}`", "", *signature.splitlines(), *_sections(inspect.getdoc(member) or ""), ""])


def _signature(function: Callable[..., Any]) -> str:
    parameters = inspect.signature(function).parameters
    shown = ", ".join(("*, " if _first_keyword(parameters, name) else "") + name for name in parameters)
    return f"```text\n{function.__name__}({shown})\n```\n"


def _first_keyword(parameters: Mapping[str, inspect.Parameter], name: str) -> bool:
    keywords = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY]
    return keywords[:1] == [name]


def _sections(docstring: str) -> Iterator[str]:
    """Turn a NumPy docstring into Markdown: headings bold, names of parameters as a list."""
    heading = ""
    text = re.sub(r"``([^`]+)``", r"`\1`", docstring)
    lines = text.splitlines()
    for position, line in enumerate(lines):
        if position + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[position + 1]):
            heading = line
            yield f"**{line}**\n"
        elif re.fullmatch(r"-{3,}", line):
            continue
        elif heading and line and not line.startswith(" "):
            yield f"- {', '.join(f'`{name}`' for name in line.split(', '))}:"
        else:
            yield f"  {line.strip()}" if heading and line else line.strip()


def errors_markdown() -> str:
    """List the errors people can act on."""
    for module in ("serving.batch", "serving.answers", "serving.database"):  # which have errors of their own
        import_module(module)
    return (
        ERRORS
        + "\n".join(_error(error) for error in sorted(_all_errors(WinbackError), key=lambda e: e.__name__))
        + "\n"
    )


def _all_errors(error: type[WinbackError]) -> Iterator[type[WinbackError]]:
    for below in error.__subclasses__():
        yield below
        yield from _all_errors(below)


def _error(error: type[WinbackError]) -> str:
    summary = (inspect.getdoc(error) or "").splitlines()[0]
    return f"| `{error.__name__}` | {error.exit_code} | {summary} |"
