"""Questions on the terminal, and options of the form KEY=VALUE."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.prompt import Prompt

from features.errors import InputError
from serving.starter import Question


def interactive() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: Question) -> str:
    """Ask on the terminal until the answer is one that may be given."""
    choices = list(question.choices) or None
    while True:
        answer = Prompt.ask(question.text, console=Console(), choices=choices, default=question.default)
        if answer is not None:
            return answer


def pairs(options: Sequence[str] | None) -> dict[str, str]:
    """Read options of the form KEY=VALUE."""
    read = {}
    for option in options or ():
        key, sign, value = option.partition("=")
        if not (key and sign and value):
            raise InputError(f"{option!r} is not of the form KEY=VALUE")
        read[key] = value
    return read
