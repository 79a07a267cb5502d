"""The first programme file says what was found, asks what was not, and loads."""

import tomllib
from pathlib import Path

import duckdb
import pytest

from features.errors import InputError
from features.guess import Joins, guess_tables
from features.programme import parse_programme
from features.sketch import sketch
from serving.starter import Draft, draft, incentive_ids
from serving.starter_file import programme_text

HEADERS = {
    "orders.csv": "order_id,customer,date,amount,loaded at",
    "offers.csv": "offer_id,customer,coupon,sent at,channel",
}


def drafted(
    folder: Path, *, dates: str = "2025-01-{:02}", language: str = "en", money: str = "amount", **answers: str
) -> Draft:
    """Draft a programme of an order file and an offer log."""
    rows = {
        "orders.csv": [f"o{n},m{n % 5},{dates.format(n % 12 + 1)},{n}.5,2025-02-01 07:00" for n in range(30)],
        "offers.csv": [
            f"f{n},m{n % 5},{('Control', '10 % off', '满减券')[n % 3]},2025-01-09,E-Mail" for n in range(30)
        ],
    }
    for file, header in HEADERS.items():
        (folder / file).write_text("\n".join([header.replace("amount", money), *rows[file]]), encoding="utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    con = duckdb.connect()
    sketches = [sketch(con, folder / file, scratch) for file in HEADERS]
    return draft(guess_tables(sketches, Joins(con, sketches)), language, "corner-shop", answers)


def asked(found: Draft) -> dict[str, str]:
    return {question.key: question.option for question in found.questions}


def test_what_no_file_tells_is_asked_with_its_option(tmp_path: Path) -> None:
    assert asked(drafted(tmp_path)) == {
        "timezone": "--timezone",
        "currency": "--currency",
        "consent": "--consent or --no-consent",
        "cost.incentive_1": "--cost incentive_1=CONTACT,REDEMPTION",
        "cost.incentive_3": "--cost incentive_3=CONTACT,REDEMPTION",
    }


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    found = drafted(tmp_path, timezone="Europe/Paris", currency="EUR", consent="no")
    assert set(asked(found)) == {"cost.incentive_1", "cost.incentive_3"}


@pytest.mark.parametrize(
    ("language", "money", "zone", "currency"),
    [
        ("de", "amount", "Europe/Berlin", "EUR"),
        ("zh", "amount", "Asia/Shanghai", "CNY"),
        ("de", "amount CHF", "Europe/Berlin", "CHF"),
        ("en", "amount (£)", None, "GBP"),
        ("en", "amount (US$)", None, "USD"),
    ],
)
def test_zone_and_currency_are_guessed_from_words(
    language: str, money: str, zone: str | None, currency: str, tmp_path: Path
) -> None:
    found = drafted(tmp_path, language=language, money=money)
    assert (found.settings.get("timezone"), found.settings.get("currency")) == (zone, currency)


@pytest.mark.parametrize(("order", "form"), [("day", "%d/%m/%Y"), ("month", "%m/%d/%Y")])
def test_the_order_of_day_and_month_is_asked_where_both_would_do(order: str, form: str, tmp_path: Path) -> None:
    found = drafted(tmp_path, dates="{:02}/05/2025", timezone="UTC", currency="EUR", consent="yes", date_order=order)
    content = tomllib.loads(programme_text(found, tmp_path))
    assert content["data"]["orders"]["datetime_format"] == form


def test_two_ways_of_writing_times_in_one_file_leave_the_lesser_out(tmp_path: Path) -> None:
    found = drafted(tmp_path, dates="{:02}.05.2025", timezone="UTC", currency="EUR", consent="yes")
    text = programme_text(found, tmp_path)
    assert "recorded_at" not in tomllib.loads(text)["data"]["orders"]["columns"]
    assert "# left out, as its values are written in another way: recorded_at = loaded at" in text


def test_the_file_is_a_programme_with_our_words_for_theirs(tmp_path: Path) -> None:
    found = drafted(tmp_path, timezone="UTC", currency="EUR", consent="no", **{"cost.incentive_1": "0.05,4"})
    programme = parse_programme(tomllib.loads(programme_text(found, tmp_path)), folder=tmp_path)
    assert programme.name == "corner shop"
    assert programme.output.model == "corner_shop"
    assert programme.guardrails.consent_default is False
    (incentive,) = programme.incentives
    assert (incentive.name_en, incentive.channel, incentive.contact_cost, incentive.face_value) == (
        "10 % off", "email", 0.05, 4.0,
    )  # fmt: skip
    assert programme.data.offers is not None
    assert programme.data.offers.values["Control"] == "control"
    assert programme.data.offers.values["E-Mail"] == "email"


def test_incentives_whose_cost_nobody_said_wait_as_comments(tmp_path: Path) -> None:
    text = programme_text(drafted(tmp_path, timezone="UTC", currency="EUR", consent="no"), tmp_path)
    assert tomllib.loads(text).get("incentives") is None
    assert '# name_en = "满减券"' in text


def test_paths_start_at_the_programme_file(tmp_path: Path) -> None:
    found = drafted(tmp_path, timezone="UTC", currency="EUR", consent="no")
    content = tomllib.loads(programme_text(found, tmp_path / "programmes"))
    assert content["data"]["orders"]["path"] == "../orders.csv"


def test_incentives_get_ids_a_programme_file_takes() -> None:
    ids = incentive_ids(["Kontrolle", "20 € Gutschein", "Gratis-Versand", "满减券"])
    assert list(ids.values()) == ["control", "incentive_2", "gratis_versand", "incentive_4"]


def test_the_cost_of_an_incentive_nobody_knows_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--cost voucher: no such incentive .* incentive_1 \(10 % off\)"):
        drafted(tmp_path, **{"cost.voucher": "0.05,4"})
