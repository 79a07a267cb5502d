"""The programme file: what it accepts, and what it says about what it does not."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from features.programme import Programme, load_programme, parse_programme

SMALLEST: dict[str, Any] = {"name": "shop", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}}


def parse(timezone: str = "UTC", **content: Any) -> Programme:
    return parse_programme({**SMALLEST, "timezone": timezone, **content})


def test_the_smallest_file_names_orders_and_currency(tmp_path: Path) -> None:
    file = tmp_path / "programme.toml"
    file.write_text('name = "shop"\ncurrency = "EUR"\n[data]\norders = { path = "orders.csv" }\n', encoding="utf-8")

    programme = load_programme(file)

    assert programme.path("orders.csv") == tmp_path / "orders.csv"
    assert (programme.horizons.churn_days, programme.horizons.value_days) == (91, 91)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"horizon": {}}, "horizon: unknown key; did you mean 'horizons'?"),
        ({"guardrails": {"cooldown": 3}}, "guardrails.cooldown: unknown key; did you mean 'cooldown_days'?"),
        ({"data": {"orders": {"path": "o.csv", "delimeter": ";"}}}, "did you mean 'delimiter'?"),
        ({"incentives": [{"id": "a", "name_en": "A", "name_zh": "A", "cost": 1}]}, "incentives.0.cost: unknown key"),
        ({"data": {"orders": {}}}, "give either `path` or `url` with `table`"),
        ({"data": {"orders": {"path": "o.csv", "url": "sqlite://"}}}, "give either `path` or `url` with `table`"),
        ({"data": {"orders": {"url": "sqlite://"}}}, "`url` and `table` go together"),
        (
            {"output": {"tracking": "sqlite:///mlflow.db"}},
            "output.tracking: give a folder, or the address of",
        ),
        ({"timezone": "Asia/Shangai"}, "unknown time zone 'Asia/Shangai'"),
        ({"currency": "euro"}, "currency"),
        ({"windows": {"days": [91, 28]}}, "window lengths must rise strictly"),
        ({"tiers": {"high_share": 0.7, "mid_share": 0.4}}, "must not exceed 1"),
        ({"guardrails": {"cooldown_days": 7}}, "cooldown_days must be at least response_days"),
        ({"incentives": [{"id": "a", "name_en": "A", "name_zh": "A"}] * 2}, "incentive a is defined more than once"),
        (
            {"incentives": [{"id": "control", "name_en": "A", "name_zh": "A"}]},
            "control_id 'control' is also an incentive",
        ),
        ({"timezone": "Asia"}, "unknown time zone 'Asia'"),
        ({"journey_points": {"visits": 3}}, "'visits' is not in the event vocabulary; did you mean 'visit'?"),
        ({"states": {"at_risk_gaps": 2.0, "lapsed_gaps": 2.0}}, "at_risk_gaps must be below lapsed_gaps"),
        ({"states": {"short_days": 90, "mid_days": 30}}, "short_days below mid_days"),
        ({"value": {"margin_rate": 1.5}}, "value.margin_rate"),
        ({"folder": "elsewhere"}, "unknown key 'folder'"),
    ],
)
def test_what_does_not_fit_is_named_with_what_is_expected(content: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_programme({**SMALLEST, **content})

    assert said in str(error.value)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "programme.toml"
    file.write_text('name = "shop"\ncurrency = "EUR"\ndata.orders.path = "o.csv"\n', encoding="utf-8-sig")

    assert load_programme(file).name == "shop"


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        parse_programme({**SMALLEST, "currency": "euro", "horizons": {"churn_days": 0}})

    assert "currency" in str(error.value)
    assert "horizons.churn_days" in str(error.value)


@pytest.mark.parametrize(("content", "said"), [(None, "no programme file"), (b"name =", "is not a TOML file")])
def test_a_file_that_cannot_be_read_says_so(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "programme.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InputError, match=said):
        load_programme(file)


@pytest.mark.parametrize(
    ("when", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 30, 16)),
        (date(2026, 1, 31), datetime(2026, 1, 30, 16)),
        ("2026-01-31T10:00", datetime(2026, 1, 31, 2)),
        ("2026-01-31T10:00+02:00", datetime(2026, 1, 31, 8)),
    ],
)
def test_dates_start_at_local_midnight_and_offsets_are_honoured(when: str | date, instant: datetime) -> None:
    programme = parse(timezone="Asia/Shanghai")

    assert programme.instant(when) == instant
    assert programme.local_date(instant) == date(2026, 1, 31)


def test_the_ends_of_the_calendar_are_bad_input() -> None:
    with pytest.raises(InputError, match="too near the ends of the calendar"):
        parse(timezone="Asia/Shanghai").instant("0001-01-01")


def test_what_is_no_date_says_how_to_write_one() -> None:
    with pytest.raises(InputError, match=r"'31\.01\.2026' is not a date; write it as 2026-01-31"):
        parse().instant("31.01.2026")
