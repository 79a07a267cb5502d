"""The first programme file as text, commented for whoever opens it next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from os.path import relpath
from pathlib import Path

from features.column_match import channel_of, event_of
from features.guess import LIKELY, SURE, Match, TableGuess
from features.words import CHANNEL_WORDS
from serving.starter import Draft, incentive_ids, offered, slug


def programme_text(drafted: Draft, folder: Path) -> str:
    """Write the programme file that is to be in a folder, commented for whoever opens it next."""
    settings = drafted.settings
    return "\n".join(
        [
            "# Written by `winback init` from what the files look like: read it through and correct it.",
            "# An unknown key is an error; every key is explained in the documentation, under The programme file.",
            "",
            f"name = {_quoted(settings['name'])}",
            f"timezone = {_quoted(settings['timezone'])}  # of times written without an offset, and of what a day is",
            f"currency = {_quoted(settings['currency'])}",
            f"language = {_quoted(settings['language'])}  # of reasons, where a member's is unknown: en or zh",
            "",
            *(line for guess in drafted.guesses for line in _table(guess, drafted.guesses, settings, folder)),
            "[horizons]",
            "churn_days = 91  # a member churns who does not order within so many days",
            "value_days = 91  # expected value is over so many days",
            "",
            *_incentives(drafted),
            *_guardrails(drafted),
            "[output]",
            f"model = {_quoted(slug(settings['name'], 'winback'))}  # its name in the model registry",
            "",
        ]
    )


def _table(
    guess: TableGuess, guesses: Sequence[TableGuess], settings: Mapping[str, str], folder: Path
) -> Iterator[str]:
    sketch = guess.sketch
    of_file = [other for other in guesses if other.sketch.path == sketch.path]
    unused = [name for name in guess.unused if all(name in other.unused for other in of_file)]
    form = _format(guess.formats, settings)
    kept = [match for match in guess.matches if _is_usable(guess, match, form)]
    yield f"[data.{guess.name}]"
    yield f"path = {_quoted(relpath(sketch.path, folder))}"
    if sketch.is_csv:
        yield f"delimiter = {_quoted(sketch.delimiter)}"
        yield f"decimal = {_quoted(sketch.raw.decimal)}"
        if sketch.raw.thousands:
            yield f"thousands = {_quoted(sketch.raw.thousands)}"
        if sketch.raw.currency_sign:
            yield f"currency_sign = {_quoted(sketch.raw.currency_sign)}"
        yield f"encoding = {_quoted(sketch.encoding)}"
    if form is not None:
        yield f"datetime_format = {_quoted(form)}"
    if guess.is_by_product:
        yield 'one_row_per = "product"  # the amounts of an order\'s rows are added up'
    if guess.is_partly_anonymous:
        yield "anonymous = true  # rows without a member are nobody's, and left out"
    if guess.has_returns_by_sign:
        yield "negative_is_return = true  # nothing but its sign tells a return"
    for match in guess.matches:
        if match not in kept:
            yield f"# left out, as its values are written in another way: {match.column.name} = {match.look.name}"
    if unused:
        yield f"# columns we have no use for: {', '.join(unused)}"
    yield f"[data.{guess.name}.columns]  # ours = theirs"
    yield from (_mapping(match) for match in kept)
    yield from _values(guess)
    if guess.consents:
        yield f"[data.{guess.name}.consents]  # channel = theirs: look again, nobody is contacted without"
        yield from (f"{channel} = {_quoted(theirs)}" for channel, theirs in guess.consents.items())
    yield ""


def _is_usable(guess: TableGuess, match: Match, form: str | None) -> bool:
    """Whether times are written as the table's own time is, and channels of events, which nothing maps, as ours."""
    if match.column.kind == "instant":
        return form in match.look.times
    return (guess.name, match.column.name) != ("events", "channel") or set(match.look.frequent) <= set(CHANNEL_WORDS)


def _mapping(match: Match) -> str:
    doubt = "" if match.sureness >= SURE else "  # likely" if match.sureness >= LIKELY else "  # a guess: look again"
    return f"{match.column.name} = {_quoted(match.look.name)}{doubt}"


def _format(formats: Sequence[str | None], settings: Mapping[str, str]) -> str | None:
    if len(formats) == 1:
        return formats[0]
    month_first = settings["date_order"] == "month"
    return next(form for form in formats if (form or "").startswith(("%m", "%b")) == month_first)


def _values(guess: TableGuess) -> Iterator[str]:
    ours: dict[str, str] = {}
    for match in guess.matches:
        ours |= _words(guess, match)
    if mapped := {theirs: name for theirs, name in ours.items() if name != theirs}:
        yield f"[data.{guess.name}.values]  # theirs = ours"
        yield from (f"{_quoted(theirs)} = {_quoted(name)}" for theirs, name in mapped.items())
    events = guess.look("event") if guess.name == "events" else None
    if unknown := [value for value in (events.frequent if events else ()) if value not in ours]:
        yield f"# not in the event vocabulary, so these rows are set aside: {', '.join(unknown)}"


def _words(guess: TableGuess, match: Match) -> dict[str, str]:
    """Return our words for a column's values, as far as they are known."""
    values = match.look.frequent
    if match.column.name == "incentive_id":
        return incentive_ids(values)
    means = {"event": event_of, "code": channel_of}.get(match.column.kind)
    return {value: name for value in values if (name := means(value)) is not None} if means else {}


def _incentives(drafted: Draft) -> Iterator[str]:
    sent = offered(drafted.guesses)
    log = next((guess for guess in drafted.guesses if guess.name == "offers"), None)
    if log is None or not sent:
        return
    way = log.look("channel")
    consented = next((channel for guess in drafted.guesses for channel in guess.consents), "email")
    channel = next(filter(None, map(channel_of, way.frequent)), consented) if way else consented
    yield "# What was offered. contact_cost is per member contacted, fee included; face_value is per redemption,"
    yield "# at cost to the programme. No file says what that is: what is commented out waits for it."
    for theirs, ours in sent.items():
        contact, _, redemption = drafted.settings.get(f"cost.{ours}", "").partition(",")
        mark = "" if contact else "# "
        yield f"{mark}[[incentives]]"
        yield f"{mark}id = {_quoted(ours)}"
        yield f"{mark}name_en = {_quoted(theirs)}"
        yield f"{mark}name_zh = {_quoted(theirs)}"
        yield f"{mark}channel = {_quoted(channel)}"
        yield f"{mark}contact_cost = {contact or '0.0'}"
        yield f"{mark}face_value = {redemption or '0.0'}"
        yield ""


def _guardrails(drafted: Draft) -> list[str]:
    if "consent" not in drafted.settings or any(guess.name == "contacts" for guess in drafted.guesses):
        return []
    agreed = drafted.settings["consent"] == "yes"
    return ["[guardrails]", f"consent_default = {str(agreed).lower()}  # there is no table of consents", ""]


def _quoted(text: str) -> str:
    """Quote a text for TOML, whose basic strings JSON's are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
