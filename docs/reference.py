"""The reference pages made from the code: the command line, the Python API, the errors, and the modules."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from features.errors import WinbackError
from serving.cli import app
from serving.failures import CODES, MEANINGS

CLI = """# Command line

Generated from the commands. Exit codes: 0 done (warnings included), 2 bad input, 3 warnings under `--strict`, 4
refused, 5 a disk or the store failed, so the same command may succeed later. See [schedules](weekly-job.md#schedules).
"""

API = """# Python API

Generated from the docstrings of what notebooks and other programs call. From three frames to decisions is
[ten lines](data-scientist.md#from-three-frames-to-decisions).
"""

ERRORS = """# Errors

Generated from the code. An error says what is wrong, where, and what to do about it; commands print it after `error:`,
without a traceback, and end with its exit code. The service answers with a status, a code and the same words. Whatever
else happens, a traceback or status 500, is our fault.

## First aid

| it says | do |
|---|---|
| `no programme file programme.toml` | name yours with `--programme FILE`, or write one: `winback init FILES` |
| `the files do not tell everything` | give `winback init` the options named, or run it where it can ask |
| `looks like none of orders, members, ...` | say which table a file is, `--table orders=FILE`, or leave it out |
| `the tables do not fit` | change what each line names, then `winback check`; see [bad input](bad-input.md) |
| `rows set aside` | they are in `var/set_aside`, as they were given and each with its reason |
| `is not a finite number` | say how the file writes amounts: `decimal`, `thousands`, `currency_sign` |
| `is not a date or time` | say how the file writes times: `datetime_format` |
| `is no incentive of the programme file` | describe it under `[[incentives]]`, with what it costs |
| `nothing to learn from before` | give more history, or shorter `[horizons]`: a model learns from whole horizons |
| `no champion of model` | `winback train` comes before `winback score` and `winback serve` |
| `it has seen what came after` | score later, or train with an earlier `--as-of` |
| nobody is recommended anything | that is no error: `winback score` says why, `winback effects` what would help |
| 401, 403 from the service | `winback keys add --name crm --scope score` makes a key; see [security](security.md) |
| 503 from the service | run `winback score` first; see `/v1/model` for what could not be taken over |

## Kinds

| error | exit code | when |
|---|---|---|
"""

MESSAGES = """
## Statuses of the service

| status | code | when |
|---|---|---|
{statuses}

## Messages

Every message the code has, by where it is; `...` stands for what it names.
"""

CODE = """# The code map

Generated from the first line of every module. How they work together is told in [working on Winback](contributing.md).
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


def code_markdown() -> str:
    """List every module of the packages with what it does."""
    return "\n".join([CODE, *(_package(name) for name in ("features", "serving", "training"))])


def _package(name: str) -> str:
    root = Path(import_module(name).__path__[0])
    files = [file for file in sorted(root.rglob("*.py")) if "migrations" not in file.parts]
    rows = (f"| `{_dotted(file, root.parent)}` | {_first_line(file)} |" for file in files)
    return "\n".join([f"## `{name}`", "", "| module | what it does |", "|---|---|", *rows, ""])


def _dotted(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _first_line(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return re.sub(r":mod:`([^`]+)`", r"`\1`", docstring.splitlines()[0]).replace("``", "`")


def errors_markdown() -> str:
    """List the errors people can act on, and every message there is."""
    for module in ("serving.batch", "serving.answers", "serving.database"):  # which have errors of their own
        import_module(module)
    errors = sorted(_all_errors(WinbackError), key=lambda error: error.__name__)
    statuses = "\n".join(f"| {status} | `{CODES[status]}` | {meaning} |" for status, meaning in MEANINGS.items())
    names = {error.__name__ for error in errors}
    root = Path(__file__).parents[1]
    files = [file for package in ("features", "serving", "training") for file in sorted((root / package).rglob("*.py"))]
    said = [line for file in files for line in _messages(file, file.relative_to(root), names)]
    return "\n".join([ERRORS + "\n".join(map(_error, errors)), MESSAGES.format(statuses=statuses), *said, ""])


def _all_errors(error: type[WinbackError]) -> Iterator[type[WinbackError]]:
    for below in error.__subclasses__():
        yield below
        yield from _all_errors(below)


def _error(error: type[WinbackError]) -> str:
    summary = (inspect.getdoc(error) or "").splitlines()[0]
    return f"| `{error.__name__}` | {error.exit_code} | {summary} |"


def _messages(file: Path, name: Path, errors: Collection[str]) -> Iterator[str]:
    """List what a module's errors say, under the module's own words for what it does."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    raised = [node.exc for node in ast.walk(module) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    calls = [call for call in raised if isinstance(call.func, ast.Name) and call.func.id in errors and call.args]
    messages = [text for call in calls if (text := _text(call.args[0])).strip(". ")]
    if messages:
        yield f"### `{name.with_suffix('').as_posix().replace('/', '.')}`\n"
        yield f"{(ast.get_docstring(module) or '').splitlines()[0]}\n"
        yield from (f"- {text}" for text in dict.fromkeys(messages))
        yield ""


def _text(message: ast.expr) -> str:
    """Return what is always said; what differs from case to case is three dots."""
    if isinstance(message, ast.Constant):
        return " ".join(str(message.value).replace("|", "/").replace("<", "&lt;").split())
    if isinstance(message, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "..." for part in message.values)
        return _text(ast.Constant("".join(map(str, parts))))
    return ""
