"""A foreign shop's exports become a programme file that loads; docs/quickstart.md goes on from there to decisions."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.programme import Programme, load_programme
from features.sources import load_tables
from serving.cli import app
from training.example_shops import write_shop

GERMAN = ["Bestellungen.csv", "Kunden.csv", "Aktionen.csv"]
CHINESE = ["订单.csv", "会员.csv", "行为日志.csv"]


def winback(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def failing(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return result.output


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the exports of two small shops."""
    folder = tmp_path_factory.mktemp("exports")
    for name in ("german_shop", "chinese_shop"):
        write_shop(name, folder / name, members=350, weeks=70)
    return folder


@pytest.fixture
def desk(exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the exports; programme files are written elsewhere."""
    monkeypatch.chdir(tmp_path)
    return exports


def described(file: Path) -> Programme:
    programme = load_programme(file)
    assert load_tables(programme).findings == ()
    return programme


def test_a_german_shop_is_understood_and_checked(desk: Path, tmp_path: Path) -> None:
    costs = ["--cost", "dreifache_punkte=0.05,6", "--cost", "gutschein_10=0.05,10"]
    files = [desk / "german_shop" / name for name in GERMAN]
    shown = winback("init", *files, "--out", tmp_path / "shop.toml", "--yes", "--consent", *costs)
    assert "winback check --programme" in shown
    programme = described(tmp_path / "shop.toml")
    assert (programme.timezone, programme.currency, programme.data.orders.decimal) == ("Europe/Berlin", "EUR", ",")
    winback("check", "--programme", tmp_path / "shop.toml", "--json", tmp_path / "check.json", "--strict")
    counted = json.loads((tmp_path / "check.json").read_text())["tables"]
    assert {row["table"] for row in counted} == {"orders", "members", "offers"}
    assert all(row["rows"] >= row["members"] > 0 and row["first"] < row["last"] for row in counted)


def test_a_chinese_shop_in_gbk_is_understood(desk: Path, tmp_path: Path) -> None:
    files = [desk / "chinese_shop" / name for name in CHINESE]
    winback("init", *files, "--out", tmp_path / "shop.toml", "--yes", "--no-consent", "--name", "悦享会")
    programme = described(tmp_path / "shop.toml")
    assert (programme.name, programme.timezone, programme.language) == ("悦享会", "Asia/Shanghai", "zh")
    assert programme.data.orders.encoding == "gb18030"


def test_times_with_offsets_and_american_dates_are_understood(desk: Path, tmp_path: Path) -> None:
    orders = ["Order #\tCustomer ID\tOrder Date\tTotal (USD)"]
    orders += [f"{n}\tC{n % 40}\t2025-0{n % 9 + 1}-11T10:00:00-05:00\t{n}.25" for n in range(400)]
    customers = ["Customer ID\tMember Since"] + [f"C{n}\t{n % 12 + 1:02}/{n % 28 + 1:02}/2024" for n in range(40)]
    for name, lines in (("orders.tsv", orders), ("customers.tsv", customers)):
        (tmp_path / name).write_text("\n".join(lines))
    files = [tmp_path / "orders.tsv", tmp_path / "customers.tsv"]
    said = failing("init", *files, "--yes")
    assert "--timezone" in said
    assert "--consent" in said
    assert not (tmp_path / "programme.toml").exists()
    winback("init", *files, "--yes", "--timezone", "America/New_York", "--consent")
    programme = described(tmp_path / "programme.toml")
    assert programme.currency == "USD"
    assert programme.data.members is not None
    assert programme.data.members.datetime_format == "%m/%d/%Y"


def test_a_till_export_with_consents_in_the_member_file_is_understood(desk: Path, tmp_path: Path) -> None:
    till = ["Beleg-Nr.;Kunden-Nr.;Belegdatum;Artikel-Nr.;Betrag (EUR)"]
    till += [f"B{n // 3};K{n % 120 // 3};{n % 28 + 1:02}.03.2025;A{n % 7};1.{n % 900 + 100},50" for n in range(360)]
    people = ["Kunden-Nr.;Kunde seit;Newsletter;SMS-Einwilligung"]
    people += [f"K{n};{1735686000 + n * 86_400};{'ja' if n % 3 else 'nein'};nein" for n in range(40)]
    for name, lines in (("Kassenbons.csv", till), ("Kunden.csv", people)):
        (tmp_path / name).write_text("\n".join(lines), encoding="cp1252")
    winback("init", tmp_path / "Kassenbons.csv", tmp_path / "Kunden.csv", "--yes")
    programme = load_programme(tmp_path / "programme.toml")
    tables = load_tables(programme).tables
    assert (len(tables.orders.to_pyarrow()), len(tables.order_lines.to_pyarrow())) == (120, 360)
    agreed = tables.contacts.filter(tables.contacts.consent).to_pyarrow()
    assert set(agreed["channel"].to_pylist()) == {"email"}
    assert programme.data.members is not None
    assert programme.data.members.datetime_format == "unix"


def test_a_programme_file_that_is_there_stays(desk: Path, tmp_path: Path) -> None:
    (tmp_path / "programme.toml").write_text("# mine")
    files = [desk / "german_shop" / name for name in GERMAN]
    assert "is there already" in failing("init", *files, "--yes", "--consent")
    assert (tmp_path / "programme.toml").read_text() == "# mine"
    winback("init", *files, "--yes", "--consent", "--force")
    assert load_programme(tmp_path / "programme.toml").name == "german shop"


@pytest.mark.parametrize("option", ["orders", "orders=", "=x.csv"])
def test_options_of_pairs_say_their_form(option: str, desk: Path) -> None:
    assert "KEY=VALUE" in failing("init", desk / "german_shop" / "Kunden.csv", "--table", option)


@pytest.mark.long
def test_a_chinese_shop_goes_all_the_way_to_decisions_and_a_report(desk: Path, tmp_path: Path) -> None:
    shop, decisions = tmp_path / "shop.toml", tmp_path / "decisions"
    winback("init", *(desk / "chinese_shop" / name for name in CHINESE), "--out", shop, "--yes", "--consent")
    winback("train", "--programme", shop)
    winback("score", "--programme", shop, "--out", decisions)
    winback("report", "--programme", shop, "--decisions", decisions, "--out", tmp_path / "report.html")
    (file,) = decisions.glob("as_of=*/decisions.parquet")
    decided = pq.read_table(file).to_pylist()
    assert {row["member_id"] for row in decided} == set(
        pd.read_csv(desk / "chinese_shop" / "会员.csv", encoding="gbk")["会员卡号"]
    )
    assert all(row["reasons"][0]["zh"] and row["no_offer_reason"] for row in decided)
    assert 'lang="zh' in (tmp_path / "report.html").read_text(encoding="utf-8")
