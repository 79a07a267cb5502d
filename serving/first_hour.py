"""From files nobody has described to a programme file that loads."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from features.errors import InputError
from features.guess import Joins, guess_tables, spoken
from features.programme import parse_programme
from features.sketch import Sketch, sketch
from serving.starter import Draft, Question, draft, understood
from serving.starter_file import programme_text

Ask = Callable[[Question], str]
Show = Callable[[Sequence[Mapping[str, str]]], None]


def describe(
    files: Sequence[Path],
    out: Path,
    *,
    tables: Mapping[str, str],
    answers: Mapping[str, str],
    ask: Ask | None,
    show: Show,
    overwrite: bool = False,
) -> None:
    """Look at files, ask what they do not tell, and write a programme file.

    Parameters
    ----------
    files
        CSV or Parquet files; a pattern stands for several of one form.
    out
        Where to write the programme file.
    tables
        What is known of the files: our table = the name of its file.
    answers
        What is known besides, by a question's key; our ``table.column`` = theirs among them.
    ask
        Answers one question; absent: nobody can be asked.
    show
        Is given what was understood, before anything is asked.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        If ``out`` is there already, a file cannot be read or placed, or something cannot be guessed and
        nobody can be asked: all of it is named.
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; name another file with --out, or overwrite it with --force")
    with TemporaryDirectory() as scratch, duckdb.connect() as con:
        sketches = [sketch(con, file, Path(scratch)) for file in files]
        drafted = _settle(sketches, Joins(con, sketches), files[0], tables, answers, ask, show)
    text = programme_text(drafted, out.parent)
    parse_programme(tomllib.loads(text), folder=out.parent, name=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")


def _settle(
    sketches: Sequence[Sketch],
    joins: Joins,
    first: Path,
    tables: Mapping[str, str],
    answers: Mapping[str, str],
    ask: Ask | None,
    show: Show,
) -> Draft:
    """Guess, show, and ask until nothing is left to ask; an answer may change what is guessed."""
    known, language, folder = dict(answers), spoken(sketches), first.resolve().parent.name
    shown: list[dict[str, str]] = []
    while True:
        drafted = draft(guess_tables(sketches, joins, tables=tables, columns=known), language, folder, known)
        if (rows := understood(drafted.guesses)) != shown:
            show(rows)
            shown = rows
        if not drafted.questions:
            return drafted
        if ask is None:
            _refuse_unanswered(drafted.questions)
            known |= {question.key: question.default or "" for question in drafted.questions}
        else:
            question = drafted.questions[0]
            known[question.key] = ask(question)


def _refuse_unanswered(questions: Sequence[Question]) -> None:
    """Name everything that has no answer, each with the option that gives it."""
    open_ = [question for question in questions if question.default is None]
    if open_:
        lines = "\n".join(f"  {question.option}: {question.text}{_choices(question)}" for question in open_)
        raise InputError(f"the files do not tell everything; say it with these options:\n{lines}")


def _choices(question: Question) -> str:
    return f" ({', '.join(question.choices)})" if question.choices else ""
