"""What a first programme file is made of: guesses about tables, and answers to what cannot be guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.column_match import is_control
from features.errors import InputError
from features.guess import LIKELY, SURE, TableGuess
from features.words import HeaderLanguage

_ZONES: Mapping[HeaderLanguage, str] = {"zh": "Asia/Shanghai", "de": "Europe/Berlin"}
_CURRENCIES: Mapping[HeaderLanguage, str] = {"zh": "CNY", "de": "EUR"}
_SIGNS = {"EUR": "eur|€", "USD": r"usd|us\$", "GBP": "gbp|£", "CHF": "chf", "CNY": "cny|rmb|元|人民币", "JPY": "jpy"}
_MONEY = ("net_amount", "margin_amount", "discount_amount", "cost_amount")
CONTROL_ID = "control"


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
        ``date_order`` (day, month), ``cost.<incentive>``.

    Raises
    ------
    InputError
        If the cost of an incentive is said that no file knows.
    """
    guessed = {
        "name": folder.replace("_", " ").replace("-", " ").strip() or "My programme",
        "language": "zh" if language == "zh" else "en",
        "timezone": _ZONES.get(language),
        "currency": _currency(guesses) or _CURRENCIES.get(language),
    }
    _refuse_unknown_costs(guesses, answers)
    settings = {key: value for key, value in (guessed | dict(answers)).items() if value is not None}
    wanted = [*_columns_wanted(guesses), *_settings_wanted(guesses)]
    return Draft(guesses, settings, [question for question in wanted if question.key not in settings])


def _refuse_unknown_costs(guesses: Sequence[TableGuess], answers: Mapping[str, str]) -> None:
    priced = {key.removeprefix("cost.") for key in answers if key.startswith("cost.")}
    sent = offered(guesses)
    if unknown := sorted(priced - set(sent.values())):
        known = ", ".join(f"{ours} ({theirs})" for theirs, ours in sent.items()) or "none"
        raise InputError(f"--cost {unknown[0]}: no such incentive in the files; there: {known}")


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
    for theirs, ours in offered(guesses).items():
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
    """List what is taken for what, with an example and how sure that is: each table, and then its columns."""
    return [row for guess in guesses for row in _understood(guess)]


def _understood(guess: TableGuess) -> Iterator[dict[str, str]]:
    yield _taken(guess.name, guess.sketch.path.name)
    for match in guess.matches:
        sureness = "sure" if match.sureness >= SURE else "likely" if match.sureness >= LIKELY else "a guess"
        yield _taken(f"  {match.column.name}", match.look.name, match.look.frequent, sureness)
    for channel, theirs in guess.consents.items():
        (look,) = (look for look in guess.sketch.columns if look.name == theirs)
        yield _taken(f"  consent by {channel}", theirs, look.frequent, "likely")


def _taken(ours: str, theirs: str, values: Sequence[str] = (), sureness: str = "") -> dict[str, str]:
    return {"ours": ours, "theirs": theirs, "for example": next(iter(values), ""), "how sure": sureness}


def incentive_ids(values: Sequence[str]) -> dict[str, str]:
    """Return an id for every incentive of an offer log; nothing sent is ``control``."""
    return {
        value: CONTROL_ID if is_control(value) else slug(value, f"incentive_{number}")
        for number, value in enumerate(values, start=1)
    }


def offered(guesses: Sequence[TableGuess]) -> dict[str, str]:
    """Return the incentives of the offer log: theirs = ours."""
    looks = [guess.look("incentive_id") for guess in guesses if guess.name == "offers"]
    ids = incentive_ids(looks[0].frequent) if looks and looks[0] else {}
    return {theirs: ours for theirs, ours in ids.items() if ours != CONTROL_ID}


def slug(text: str, otherwise: str) -> str:
    """Return an identifier made of a name's ASCII letters and digits."""
    made = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")[:40]
    return made if re.match(r"[a-z]", made) else otherwise
