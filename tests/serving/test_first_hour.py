"""Files are described with whoever is there: what they do not tell is asked, one question at a time."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import InputError
from serving import prompts
from serving.first_hour import describe
from serving.starter import Question

ANSWERS = {
    "orders.net_amount": "f4",
    "timezone": "Europe/Vienna",
    "currency": "EUR",
    "date_order": "day",
    "consent": "yes",
}


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """An order file whose dates may be read both ways and whose amount nothing tells from other texts."""
    lines = ["order no,customer no,order date,f4", *(f"B{n},K{n % 7},{n % 12 + 1:02}/05/2025,-" for n in range(40))]
    (tmp_path / "sales.csv").write_text("\n".join(lines))
    return tmp_path / "sales.csv"


def test_questions_are_asked_until_none_is_left(sales: Path, tmp_path: Path) -> None:
    asked: list[Question] = []
    shown: list[int] = []

    def answer(question: Question) -> str:
        asked.append(question)
        return ANSWERS[question.key]

    out = tmp_path / "new" / "shop.toml"
    describe([sales], out, tables={}, answers={}, ask=answer, show=lambda rows: shown.append(len(rows)))
    assert [question.key for question in asked] == list(ANSWERS)
    assert shown == [4, 5]
    content = tomllib.loads(out.read_text(encoding="utf-8"))
    assert content["data"]["orders"]["columns"]["net_amount"] == "f4"
    assert content["data"]["orders"]["datetime_format"] == "%d/%m/%Y"
    assert content["data"]["orders"]["path"] == "../sales.csv"


def test_with_nobody_there_everything_missing_is_named_at_once(sales: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        describe([sales], tmp_path / "shop.toml", tables={}, answers={}, ask=None, show=lambda rows: None)
    message = str(refused.value)
    assert "--column orders.net_amount=THEIRS" in message
    assert all(option in message for option in ("--timezone", "--currency", "--date-order", "--consent"))
    assert not (tmp_path / "shop.toml").exists()


def test_an_answer_that_does_not_fit_writes_nothing(sales: Path, tmp_path: Path) -> None:
    answers = {**ANSWERS, "timezone": "Vienna"}
    with pytest.raises(InputError, match="unknown time zone 'Vienna'"):
        describe([sales], tmp_path / "shop.toml", tables={}, answers=answers, ask=None, show=lambda rows: None)
    assert not (tmp_path / "shop.toml").exists()


def test_the_terminal_is_asked_again_until_an_answer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: Iterator[str] = iter(["maybe", "yes", "", "Asia/Tokyo", ""])
    monkeypatch.setattr("builtins.input", lambda *_: next(typed))
    assert prompts.ask(Question("consent", "--consent", "All agreed?", choices=("yes", "no"))) == "yes"
    assert prompts.ask(Question("timezone", "--timezone", "Which zone?")) == "Asia/Tokyo"
    assert prompts.ask(Question("cost.a", "--cost", "What does it cost?", default="")) == ""
