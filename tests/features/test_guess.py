"""Files are placed by what their columns are called, and by what they hold."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.column_match import channel_of, event_of, is_control
from features.errors import InputError
from features.guess import SURE, Joins, TableGuess, guess_tables, spoken
from features.sketch import Sketch, sketch

ORDERS = pd.DataFrame(
    {
        "o": [f"B{n}" for n in range(40)],
        "m": [f"K{n % 9}" for n in range(40)],
        "t": [f"2025-03-{n % 28 + 1:02}" for n in range(40)],
        "a": [n + 0.5 for n in range(40)],
    }
)
MEMBERS = pd.DataFrame({"m": [f"K{n}" for n in range(12)], "j": ["2024-01-01"] * 12})
OFFERS = pd.DataFrame(
    {
        "f": [f"F{n}" for n in range(30)],
        "m": [f"K{n % 12}" for n in range(30)],
        "w": ["Kontrollgruppe", "Gutschein", "Punkte"] * 10,
        "t": ["2025-02-01"] * 30,
    }
)


class Desk:
    """A folder of CSV files that have been looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.con, self.sketches = folder, duckdb.connect(), list[Sketch]()
        (folder / "scratch").mkdir()

    def put(self, file: str, frame: pd.DataFrame, *names: str) -> None:
        frame.set_axis(list(names), axis=1).to_csv(self.folder / file, index=False)
        self.sketches.append(sketch(self.con, self.folder / file, self.folder / "scratch"))

    def guess(self, **known: dict[str, str]) -> dict[str, TableGuess]:
        return {guess.name: guess for guess in guess_tables(self.sketches, Joins(self.con, self.sketches), **known)}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def columns(guess: TableGuess) -> dict[str, str]:
    return {match.column.name: match.look.name for match in guess.matches}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("sales.csv", "users.csv"), (["Order No", "Customer ID", "Purchase Date", "Total"], ["user_id", "Joined"])),
        (("Umsätze.csv", "Kunden.csv"), (["Beleg-Nr.", "KundenNr", "Kaufdatum", "Betrag"], ["KundenNr", "Kunde seit"])),
        (("交易.csv", "客户.csv"), (["交易流水号", "会员号", "交易时间", "成交金额"], ["会员号", "注册时间"])),
    ],
)  # fmt: skip
def test_names_of_three_languages_are_understood(
    files: tuple[str, str], names: tuple[list[str], list[str]], desk: Desk
) -> None:
    desk.put(files[0], ORDERS, *names[0])
    desk.put(files[1], MEMBERS, *names[1])
    found = desk.guess()
    assert columns(found["orders"]) == dict(
        zip(("order_id", "member_id", "ordered_at", "net_amount"), names[0], strict=True)
    )
    assert columns(found["members"]) == dict(zip(("member_id", "joined_at"), names[1], strict=True))
    assert all(match.sureness >= SURE for match in found["orders"].matches)


def test_columns_without_telling_names_are_placed_by_their_values(desk: Desk) -> None:
    desk.put("export1.csv", ORDERS, "f1", "f2", "f3", "f4")
    desk.put("kunden.csv", MEMBERS, "Kundennummer", "Eintrittsdatum")
    orders = desk.guess()["orders"]
    assert columns(orders) == {"order_id": "f1", "member_id": "f2", "ordered_at": "f3", "net_amount": "f4"}
    assert all(match.sureness < SURE for match in orders.matches)


def test_an_id_beats_a_column_of_the_same_name_that_is_no_id(desk: Desk) -> None:
    both = ORDERS.assign(kunde=[f"Frau {n % 3}" for n in range(40)], zeit=ORDERS["t"])
    desk.put("bestellungen.csv", both, "Bestellnr", "Kunden-ID", "Bestelldatum", "Betrag", "Kunde", "Datum")
    found = columns(desk.guess()["orders"])
    assert (found["member_id"], found["ordered_at"]) == ("Kunden-ID", "Bestelldatum")


def test_an_offer_log_is_told_from_orders_by_its_incentives(desk: Desk) -> None:
    desk.put("a.csv", ORDERS, "Bestellnr", "Kundennr", "Datum", "Betrag")
    desk.put("b.csv", OFFERS, "Aussendungsnr", "Kundennr", "Aktion", "Datum")
    found = desk.guess()
    assert set(found) == {"orders", "offers"}
    assert found["offers"].look("incentive_id").frequent == ("Gutschein", "Kontrollgruppe", "Punkte")


def test_what_is_missing_is_named_and_what_is_said_is_heeded(desk: Desk) -> None:
    desk.put("orders.csv", ORDERS.assign(t="soon"), "order_id", "member_id", "when", "amount")
    guess = desk.guess()["orders"]
    assert [column.name for column in guess.missing] == ["ordered_at"]
    assert guess.unused == ("when",)
    said = desk.guess(columns={"orders.ordered_at": "when", "orders.channel": "amount"})["orders"]
    assert (columns(said)["ordered_at"], columns(said)["channel"]) == ("when", "amount")
    assert [column.name for column in said.missing] == ["net_amount"]


def test_a_file_can_be_said_to_be_a_table(desk: Desk) -> None:
    desk.put("x.csv", ORDERS, "f1", "f2", "f3", "f4")
    desk.put("orders.csv", ORDERS, "order_id", "member_id", "date", "total")
    assert desk.guess(tables={"orders": "x.csv", "offers": "orders.csv"})["orders"].sketch.path.name == "x.csv"
    with pytest.raises(InputError, match=r"orders=y\.csv"):
        desk.guess(tables={"orders": "y.csv"})


def test_a_file_like_no_table_is_refused_by_name(desk: Desk) -> None:
    desk.put("orders.csv", ORDERS, "order_id", "member_id", "date", "total")
    desk.put("weather.csv", MEMBERS.assign(j=1.5), "station", "rain")
    with pytest.raises(InputError, match=r"weather\.csv looks like none of orders"):
        desk.guess()


def test_a_column_that_does_not_exist_is_refused(desk: Desk) -> None:
    desk.put("orders.csv", ORDERS, "order_id", "member_id", "date", "total")
    with pytest.raises(InputError, match=r"orders\.csv has no column 'Summe'"):
        desk.guess(columns={"orders.net_amount": "Summe"})


def test_without_orders_there_is_nothing_to_describe(desk: Desk) -> None:
    desk.put("kunden.csv", MEMBERS, "Kundennummer", "Eintrittsdatum")
    with pytest.raises(InputError, match="no file looks like orders"):
        desk.guess()


@pytest.mark.parametrize(
    ("names", "language"),
    [(["订单编号", "date"], "zh"), (["Kundennr", "Betrag"], "de"), (["Customer ID", "Kanal", "Total"], "en")],
)
def test_the_language_is_that_of_most_headers(names: list[str], language: str, desk: Desk) -> None:
    desk.put("x.csv", ORDERS.iloc[:, : len(names)], *names)
    assert spoken(desk.sketches) == language


def test_words_of_values_are_understood() -> None:
    assert [event_of(word) for word in ("Newsletter geöffnet", "加入购物车", "E-Mail clicked", "Mondphase")] == [
        "message_opened", "add_to_cart", "message_clicked", None,
    ]  # fmt: skip
    assert [channel_of(word) for word in ("E-Mail", "短信", "App-Push", "Fax")] == [
        "email",
        "sms",
        "app_push",
        None,
    ]
    assert [is_control(word) for word in ("Kontrollgruppe", "对照组", "Gutschein")] == [True, True, False]


def test_an_export_by_product_is_orders_and_their_lines(desk: Desk) -> None:
    till = ORDERS.assign(o=[f"B{n // 2}" for n in range(40)], p=[f"P{n % 5}" for n in range(40)])
    desk.put("till.csv", till, "receipt no", "customer no", "sold at", "amount", "sku")
    found = desk.guess()
    assert found["orders"].is_by_product
    assert columns(found["orders"])["order_id"] == "receipt no"
    assert columns(found["order_lines"]) == {"order_id": "receipt no", "product_id": "sku", "net_amount": "amount"}


def test_orders_with_lines_of_their_own_stay_what_they_are(desk: Desk) -> None:
    lines = ORDERS.assign(o=[f"B{n // 2}" for n in range(40)], p=[f"P{n % 5}" for n in range(40)])
    desk.put("orders.csv", ORDERS, "order id", "customer id", "order date", "total")
    desk.put("lines.csv", lines, "order id", "customer id", "order date", "amount", "sku")
    found = desk.guess()
    assert not found["orders"].is_by_product
    assert found["order_lines"].sketch.path.name == "lines.csv"


@pytest.mark.parametrize(
    ("names", "consents"),
    [
        (["Newsletter", "SMS-Einwilligung"], {"email": "Newsletter", "sms": "SMS-Einwilligung"}),
        (["Accepts Email Marketing", "Unsubscribed"], {"email": "Accepts Email Marketing"}),
        (["同意短信营销", "城市"], {"sms": "同意短信营销"}),
        (["VIP", "Active"], None),
    ],
)
def test_consents_are_found_among_the_members(desk: Desk, names: list[str], consents: dict[str, str] | None) -> None:
    members = MEMBERS.assign(a=["yes", "no"] * 6, b=["no", "yes"] * 6)
    desk.put("orders.csv", ORDERS, "order id", "customer id", "order date", "total")
    desk.put("customers.csv", members, "customer id", "joined", *names)
    found = desk.guess()
    assert (found["contacts"].consents if "contacts" in found else None) == consents


def test_a_consent_that_names_no_channel_speaks_for_all_others(desk: Desk) -> None:
    members = MEMBERS.assign(a=["yes", "no"] * 6, b=["no", "yes"] * 6)
    desk.put("orders.csv", ORDERS, "order id", "customer id", "order date", "total")
    desk.put("customers.csv", members, "customer id", "joined", "marketing consent", "sms opt in")
    told = desk.guess()["contacts"].consents
    assert (told["sms"], told["email"], told["wechat"]) == ("sms opt in", "marketing consent", "marketing consent")


def test_counted_times_are_times_only_where_the_name_says_so(desk: Desk) -> None:
    orders = ORDERS.assign(t=[1767231000 + 86400 * n for n in range(40)], m=[1700000000 + n % 9 for n in range(40)])
    desk.put("orders.csv", orders, "order id", "customer id", "order date", "total")
    found = desk.guess()["orders"]
    assert columns(found) == {
        "order_id": "order id", "member_id": "customer id", "ordered_at": "order date", "net_amount": "total",
    }  # fmt: skip
    assert found.formats == ("unix",)


TILL = pd.DataFrame(
    {
        "o": [f"{'C' if n % 13 == 0 else ''}{n // 2}" for n in range(40)],
        "s": [f"{n % 7}A" for n in range(40)],
        "q": [-1 if n % 13 == 0 else n % 5 + 1 for n in range(40)],
        "t": [f"{n % 12 + 1}/{n % 28 + 1}/2025 {n % 24}:30" for n in range(40)],
        "p": [n + 0.5 for n in range(40)],
        "m": [None if n % 4 == 0 else f"K{n % 9}" for n in range(40)],
    }
)
TILL_NAMES = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")


def test_price_and_quantity_are_an_amount_and_signs_and_gaps_are_told(desk: Desk) -> None:
    desk.put("online_retail.csv", TILL, *TILL_NAMES)
    orders, lines = desk.guess()["orders"], desk.guess()["order_lines"]
    assert columns(orders)["net_amount"] == columns(lines)["net_amount"] == "UnitPrice * Quantity"
    assert columns(lines)["quantity"] == "Quantity"
    assert (orders.is_by_product, orders.is_partly_anonymous, orders.has_returns_by_sign) == (True, True, True)
    assert orders.unused == ("StockCode",)


def test_an_amount_is_taken_before_a_price(desk: Desk) -> None:
    desk.put("sales.csv", TILL.assign(total=TILL["p"] * 3), *TILL_NAMES, "Line Total")
    assert columns(desk.guess()["orders"])["net_amount"] == "Line Total"


@pytest.mark.parametrize("said", ["UnitPrice", "Quantity * UnitPrice"])
def test_what_is_said_of_the_amount_is_taken(said: str, desk: Desk) -> None:
    desk.put("online_retail.csv", TILL, *TILL_NAMES)
    assert columns(desk.guess(columns={"orders.net_amount": said})["orders"])["net_amount"] == said
