"""Files are looked at as they are: encoding, delimiter, decimal mark, times."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.errors import InputError
from features.sketch import Sketch, share_found, sketch

DAYS = [datetime(2025, 3, 1, 9, 30) + timedelta(days=day) for day in range(60)]


def looked_at(folder: Path, file: Path) -> Sketch:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return sketch(duckdb.connect(), file, scratch)


def written(folder: Path, lines: list[str], *, encoding: str = "utf-8", name: str = "orders.csv") -> Path:
    file = folder / name
    file.write_bytes("\n".join(lines).encode(encoding))
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_every_line_agrees_on(delimiter: str, tmp_path: Path) -> None:
    lines = [delimiter.join(fields) for fields in (["id", "note", "paid"], ["1", '"a,b;c|d\te"', "7"], ["2", "", "8"])]
    found = looked_at(tmp_path, written(tmp_path, lines))
    assert found.delimiter == delimiter
    assert [look.name for look in found.columns] == ["id", "note", "paid"]


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("Müller aus Köln", "utf-8", "utf-8"),
        ("Müller aus Köln, Straße", "cp1252", "cp1252"),
        ("上海南京路门店", "gbk", "gb18030"),
        ("上海南京路门店", "gb18030", "gb18030"),
        ("上海南京路门店", "utf-8-sig", "utf-8"),
        ("上海南京路门店", "utf-16", "utf-16"),
    ],
)
def test_the_encoding_is_told_by_the_lines_with_other_letters(
    text: str, encoding: str, expected: str, tmp_path: Path
) -> None:
    lines = ["id;ort", *(f"{number};x" for number in range(9_000)), *(f"{number};{text}" for number in range(40))]
    found = looked_at(tmp_path, written(tmp_path, lines, encoding=encoding))
    assert found.encoding == expected
    assert found.columns[1].frequent[1] == text


def test_decimal_commas_are_seen_beside_dates_with_points(tmp_path: Path) -> None:
    lines = ["Datum;Betrag;Anzahl", *(f"{day:%d.%m.%Y};{day.day},50;3" for day in DAYS)]
    found = looked_at(tmp_path, written(tmp_path, lines))
    day, amount, count = found.columns
    assert found.raw.decimal == ","
    assert (amount.fits["amount"], amount.has_fractions, count.has_fractions) == (1.0, True, False)
    assert day.formats == ("%d.%m.%Y",)


@pytest.mark.parametrize(
    "form",
    [None, "%d.%m.%Y %H:%M", "%Y%m%d", "%Y年%m月%d日", "%d-%m-%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M:%S%z"],
)
def test_times_are_recognised_as_the_reader_will_read_them(form: str | None, tmp_path: Path) -> None:
    texts = [day.isoformat() if form is None else day.strftime(form.replace("%z", "+0100")) for day in DAYS]
    found = looked_at(tmp_path, written(tmp_path, ["id|at", *(f"{n}|{text}" for n, text in enumerate(texts))]))
    assert found.columns[1].formats == (form,)


def test_dates_that_could_begin_with_day_or_month_are_both(tmp_path: Path) -> None:
    texts = [f"{day:%d/%m/%Y}" for day in DAYS if day.day <= 12]
    found = looked_at(tmp_path, written(tmp_path, ["id,at", *(f"{n},{text}" for n, text in enumerate(texts))]))
    assert found.columns[1].formats == ("%d/%m/%Y", "%m/%d/%Y")


def test_parquet_types_speak_for_themselves(tmp_path: Path) -> None:
    pd.DataFrame({"no": range(60), "at": DAYS, "paid": 1.5}).to_parquet(tmp_path / "sales.parquet")
    found = looked_at(tmp_path, tmp_path / "sales.parquet")
    number, at, paid = found.columns
    assert (number.is_unique, at.formats, paid.has_fractions, found.is_csv) == (True, (None,), True, False)


@pytest.mark.parametrize(
    ("lines", "says"),
    [(["id;at"], "has no rows"), (["1;2025-01-01", "2;2025-01-02"], "first line must name")],
)
def test_a_file_without_header_or_rows_is_refused(lines: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        looked_at(tmp_path, written(tmp_path, lines))


def test_a_pattern_stands_for_all_its_files(tmp_path: Path) -> None:
    for year in (2024, 2025):
        written(tmp_path, ["id;paid", f"{year};1,5"], name=f"sales-{year}.csv")
    assert looked_at(tmp_path, tmp_path / "sales-*.csv").rows == 2


def test_shares_count_values_of_another_file(tmp_path: Path) -> None:
    con = duckdb.connect()
    (tmp_path / "scratch").mkdir()
    child = sketch(con, written(tmp_path, ["m;x", "a;1", "b;2", "c;3", "a;4"], name="a.csv"), tmp_path / "scratch")
    parent = sketch(con, written(tmp_path, ["id;y", "a;1", "b;2", "z;3"], name="b.csv"), tmp_path / "scratch")
    assert share_found(con, child.raw, "m", parent.raw, "id") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("amounts", "marks"),
    [
        (["1.234,50", "12,5", "7"], (",", ".")),
        (["1,234.50", "12.5", "7"], (".", ",")),
        (["1 234,50", "12,5", "7"], (",", " ")),
        (["1'234.50", "12.5", "7"], (".", "'")),
        (["1,234", "567", "12,345"], (".", ",")),
        (["1.234", "567", "12.345"], (",", ".")),
        (["1.234", "5.67", "12.345"], (".", "")),
        (["1.234", "5.670", "12.345"], (".", "")),
        (["12,5", "7", "1234"], (",", "")),
    ],
)
def test_the_marks_of_numbers_are_told_apart(amounts: list[str], marks: tuple[str, str], tmp_path: Path) -> None:
    rows = "\n".join(f"o{n};{amount}" for n, amount in enumerate(amounts * 5))
    (tmp_path / "sales.csv").write_text(f"order;amount\n{rows}", encoding="utf-8")
    (tmp_path / "scratch").mkdir()
    looked = sketch(duckdb.connect(), tmp_path / "sales.csv", tmp_path / "scratch")
    assert (looked.raw.decimal, looked.raw.thousands) == marks


@pytest.mark.parametrize(
    ("amounts", "found"),
    [
        (["$1,234.50", "-$12.50", "$7.00"], ("$", ".", ",")),
        (["1.234,50 €", "12,50 €", "-7,00 €"], ("€", ",", ".")),
        (["R$ 1.234,50", "R$ 12,50", "R$ 7,00"], ("R$", ",", ".")),
        (["¥128.00", "¥64.50", "free"], ("¥", ".", "")),
        (["128.00元", "64.50元", "8.00元"], ("元", ".", "")),
        (["EUR 12.50", "EUR 7.25", "EUR 1.00"], ("EUR", ".", "")),
        (["AB12", "AB13", "CD14"], ("", ".", "")),
    ],
)
def test_a_currency_sign_is_found_where_amounts_have_one(
    amounts: list[str], found: tuple[str, str, str], tmp_path: Path
) -> None:
    rows = "\n".join(f"o{n};{amount}" for n, amount in enumerate(amounts * 5))
    (tmp_path / "sales.csv").write_text(f"order;amount\n{rows}", encoding="utf-8")
    (tmp_path / "scratch").mkdir()
    looked = sketch(duckdb.connect(), tmp_path / "sales.csv", tmp_path / "scratch").raw
    assert (looked.currency_sign, looked.decimal, looked.thousands) == found


def test_few_foreign_letters_are_read_by_the_words_they_make(tmp_path: Path) -> None:
    rows = "\n".join(f"o{n},m{n},是" for n in range(30))
    (tmp_path / "s.csv").write_bytes(f"流水号,会员卡号,是否退货\n{rows}".encode("gbk"))
    (tmp_path / "scratch").mkdir()
    looked = sketch(duckdb.connect(), tmp_path / "s.csv", tmp_path / "scratch")
    assert [look.name for look in looked.columns] == ["流水号", "会员卡号", "是否退货"]


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        (["1767231000", "1768096800"], ("unix",)),
        (["1767231000123", "1768096800456"], ("unix_ms",)),
        (["46023", "46033.5"], ("excel",)),
        (["12", "46033"], ()),
        (["2026-01-01", "2026-01-02"], ()),
    ],
)
def test_numbers_that_could_count_time_are_marked(values: list[str], counted: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("\n".join(["n,time", *(f"x,{value}" for value in values)]))
    (tmp_path / "scratch").mkdir()
    looked = sketch(duckdb.connect(), tmp_path / "s.csv", tmp_path / "scratch")
    assert looked.columns[1].counted == counted
