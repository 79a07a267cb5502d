"""A first programme file, from guesses about tables and from answers to what cannot be guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

from features.guess import LIKELY, SURE, Match, TableGuess, channel_of, event_of, is_control
from features.words import CHANNEL_WORDS, HeaderLanguage

_ZONES: Mapping[HeaderLanguage, str] = {"zh": "Asia/Shanghai", "de": "Europe/Berlin"}
_CURRENCIES: Mapping[HeaderLanguage, str] = {"zh": "CNY", "de": "EUR"}
_SIGNS = {"EUR": "eur|€", "USD": r"usd|us\$", "GBP": "gbp|£", "CHF": "chf", "CNY": "cny|rmb|元|人民币", "JPY": "jpy"}
_MONEY = ("net_amount", "margin_amount", "discount_amount", "cost_amount")
_CONTROL_ID = "control"


@dataclass(frozen=True)
class Question:
    """Something to ask: the key its answer goes by, the option that answers it, and what may be answered."""

    key: str
    option: str
    text: str
    default: str | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """What the programme file will say, and what is still to be asked for it."""

    guesses: Sequence[TableGuess]
    settings: Mapping[str, str]
    questions: Sequence[Question]


def draft(guesses: Sequence[TableGuess], language: HeaderLanguage, folder: str, answers: Mapping[str, str]) -> Draft:
    """Put together what was answered and what can be guessed, and ask for the rest.

    Parameters
    ----------
    guesses
        Which file is which table.
    language
        Of the files' headers.
    folder
        Name of the folder the files are in, from which the programme's is guessed.
    answers
        What is known, by key: ``name``, ``timezone``, ``currency``, ``language``, ``consent`` (yes, no),
        ``date_order`` (day, month).
    """
    guessed = {
        "name": folder.replace("_", " ").replace("-", " ").strip() or "My programme",
        "language": "zh" if language == "zh" else "en",
        "timezone": _ZONES.get(language),
        "currency": _currency(guesses) or _CURRENCIES.get(language),
    }
    settings = {key: value for key, value in (guessed | dict(answers)).items() if value is not None}
    wanted = [*_columns_wanted(guesses), *_settings_wanted(guesses)]
    return Draft(guesses, settings, [question for question in wanted if question.key not in settings])


def _settings_wanted(guesses: Sequence[TableGuess]) -> Iterator[Question]:
    yield Question("timezone", "--timezone", "IANA time zone of times without an offset, such as Europe/Berlin")
    yield Question("currency", "--currency", "ISO code of the currency of all amounts, such as EUR")
    for guess in guesses:
        if len(guess.formats) > 1:
            time = guess.look(guess.contract.time or "")
            example = f", as in {time.frequent[0]}" if time and time.frequent else ""
            question = f"{guess.sketch.path.name}: does the day or the month come first{example}?"
            yield Question("date_order", "--date-order", question, choices=("day", "month"))
            break
    if all(guess.name != "contacts" for guess in guesses):
        question = "There is no file of consents: have all members agreed to be contacted?"
        yield Question("consent", "--consent or --no-consent", question, choices=("yes", "no"))
    for theirs, ours in _offered(guesses).items():
        text = f"{theirs}: what does it cost per contact, and per redemption, such as 0.05,10? (empty: say it later)"
        yield Question(f"cost.{ours}", f"--cost {ours}=CONTACT,REDEMPTION", text, default="")


def _columns_wanted(guesses: Sequence[TableGuess]) -> Iterator[Question]:
    for guess in guesses:
        for column in guess.missing:
            key = f"{guess.name}.{column.name}"
            text = f"{guess.sketch.path.name}: which column is {key} ({column.meaning})?"
            yield Question(key, f"--column {key}=THEIRS", text, choices=guess.unused)


def _currency(guesses: Sequence[TableGuess]) -> str | None:
    """Return the currency that a header of amounts names, or that is the only value of a column."""
    looks = [look for guess in guesses for look in guess.sketch.columns]
    named = [match.look.name for guess in guesses for match in guess.matches if match.column.name in _MONEY]
    said = [*named, *(look.frequent[0] for look in looks if look.distinct == 1)]
    return next((code for code, signs in _SIGNS.items() if any(_says(text, signs) for text in said)), None)


def _says(text: str, signs: str) -> bool:
    return re.search(rf"(?<![a-z])({signs})(?![a-z])", text.casefold()) is not None


def understood(guesses: Sequence[TableGuess]) -> list[dict[str, str]]:
    """List what is taken for what, with an example and how sure that is."""
    return [
        {
            "table": f"{guess.name} ({guess.sketch.path.name})",
            "our column": match.column.name,
            "theirs": match.look.name,
            "for example": match.look.frequent[0] if match.look.frequent else "",
            "how sure": "sure" if match.sureness >= SURE else "likely" if match.sureness >= LIKELY else "a guess",
        }
        for guess in guesses
        for match in guess.matches
    ]


# The file


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
            *(line for guess in drafted.guesses for line in _table(guess, settings, folder)),
            "[horizons]",
            "churn_days = 91  # a member churns who does not order within so many days",
            "value_days = 91  # expected value is over so many days",
            "",
            *_incentives(drafted),
            *_guardrails(settings),
            "[output]",
            f"model = {_quoted(_slug(settings['name'], 'winback'))}  # its name in the model registry",
            "",
        ]
    )


def _table(guess: TableGuess, settings: Mapping[str, str], folder: Path) -> Iterator[str]:
    sketch = guess.sketch
    form = _format(guess.formats, settings)
    kept = [match for match in guess.matches if _is_usable(guess, match, form)]
    yield f"[data.{guess.name}]"
    yield f"path = {_quoted(relpath(sketch.path, folder))}"
    if sketch.is_csv:
        yield f"delimiter = {_quoted(sketch.delimiter)}"
        yield f"decimal = {_quoted(sketch.decimal)}"
        yield f"encoding = {_quoted(sketch.encoding)}"
    if form is not None:
        yield f"datetime_format = {_quoted(form)}"
    for match in guess.matches:
        if match not in kept:
            yield f"# left out, as its values are written in another way: {match.column.name} = {match.look.name}"
    if guess.unused:
        yield f"# columns we have no use for: {', '.join(guess.unused)}"
    yield f"[data.{guess.name}.columns]  # ours = theirs"
    yield from (_mapping(match) for match in kept)
    yield from _values(guess)
    yield ""


def _is_usable(guess: TableGuess, match: Match, form: str | None) -> bool:
    """Whether times are written as the table's own time is, and channels of events, which nothing maps, as ours."""
    if match.column.kind == "instant":
        return form in match.look.formats
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


def incentive_ids(values: Sequence[str]) -> dict[str, str]:
    """Return an id for every incentive of an offer log; nothing sent is ``control``."""
    return {
        value: _CONTROL_ID if is_control(value) else _slug(value, f"incentive_{number}")
        for number, value in enumerate(values, start=1)
    }


def _offered(guesses: Sequence[TableGuess]) -> dict[str, str]:
    """Return the incentives of the offer log: theirs = ours."""
    looks = [guess.look("incentive_id") for guess in guesses if guess.name == "offers"]
    ids = incentive_ids(looks[0].frequent) if looks and looks[0] else {}
    return {theirs: ours for theirs, ours in ids.items() if ours != _CONTROL_ID}


def _incentives(drafted: Draft) -> Iterator[str]:
    offered = _offered(drafted.guesses)
    log = next((guess for guess in drafted.guesses if guess.name == "offers"), None)
    if log is None or not offered:
        return
    sent = log.look("channel")
    channel = next(filter(None, map(channel_of, sent.frequent)), "email") if sent else "email"
    yield "# What was offered. contact_cost is per member contacted, fee included; face_value is per redemption,"
    yield "# at cost to the programme. No file says what that is: what is commented out waits for it."
    for theirs, ours in offered.items():
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


def _guardrails(settings: Mapping[str, str]) -> list[str]:
    if "consent" not in settings:
        return []
    agreed = settings["consent"] == "yes"
    return ["[guardrails]", f"consent_default = {str(agreed).lower()}  # there is no table of consents", ""]


def _slug(text: str, otherwise: str) -> str:
    """Return an identifier made of a name's ASCII letters and digits."""
    slug = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")[:40]
    return slug if re.match(r"[a-z]", slug) else otherwise


def _quoted(text: str) -> str:
    """Quote a text for TOML, whose basic strings JSON's are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
