"""Made-up shops' exports in the form shops have them: other languages, encodings, marks and times; to try `init` on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd

from features.programme import parse_programme
from training.sim_offers import Experiment
from training.simulator import simulate

_PROGRAMME = {
    "name": "example",
    "currency": "EUR",
    "data": {"orders": {"path": "orders.csv"}},
    "guardrails": {"consent_default": True},
    "incentives": [
        {"id": "points", "name_en": "points", "name_zh": "points", "contact_cost": 0.05, "face_value": 6.0},
        {"id": "voucher", "name_en": "voucher", "name_zh": "voucher", "contact_cost": 0.05, "face_value": 10.0},
    ],
}


@dataclass(frozen=True)
class Shop:
    """How a shop writes its exports.

    Attributes
    ----------
    files
        Per file our table, and its columns: theirs = ours.
    words
        Theirs for values of ours.
    """

    delimiter: str
    decimal: str
    encoding: str
    time_format: str
    files: Mapping[str, tuple[str, Mapping[str, str]]]
    words: Mapping[str, Mapping[object, str]] = field(default_factory=dict)


SHOPS: Mapping[str, Shop] = {
    "german_shop": Shop(
        ";",
        ",",
        "cp1252",
        "%d.%m.%Y %H:%M",
        {
            "Bestellungen.csv": (
                "orders",
                {
                    "Bestell-Nr.": "order_id", "Kunden-Nr.": "member_id", "Bestelldatum": "ordered_at",
                    "Rechnungsbetrag (€)": "net_amount", "Rabatt (€)": "discount_amount", "Retoure": "is_return",
                    "Retoure zu": "return_of", "Vertriebsweg": "channel",
                },
            ),
            "Kunden.csv": (
                "members",
                {
                    "Kunden-Nr.": "member_id", "Kunde seit": "joined_at", "Geburtsjahr": "birth_year",
                    "Anrede": "gender", "Anmeldekanal": "channel",
                },
            ),
            "Aktionen.csv": (
                "offers",
                {
                    "Aussendungs-Nr.": "offer_id", "Kunden-Nr.": "member_id", "Gutschein": "incentive_id",
                    "Versendet am": "assigned_at", "Eingelöst am": "redeemed_at", "Wahrscheinlichkeit": "propensity",
                },
            ),
        },
        {
            "is_return": {True: "ja", False: "nein"},
            "gender": {"f": "Frau", "m": "Herr"},
            "incentive_id": {"control": "Kontrollgruppe", "points": "Dreifache Punkte", "voucher": "Gutschein 10 €"},
            "channel": {"store": "Filiale Köln", "app": "App"},
        },
    ),
    "chinese_shop": Shop(
        ",",
        ".",
        "gbk",
        "%Y/%m/%d %H:%M:%S",
        {
            "订单.csv": (
                "orders",
                {
                    "订单编号": "order_id", "会员卡号": "member_id", "下单时间": "ordered_at",
                    "实付金额": "net_amount", "优惠金额": "discount_amount", "是否退货": "is_return",
                    "原订单号": "return_of", "下单渠道": "channel",
                },
            ),
            "会员.csv": (
                "members",
                {
                    "会员卡号": "member_id", "入会时间": "joined_at", "出生年份": "birth_year", "性别": "gender",
                    "城市": "region",
                },
            ),
            "行为日志.csv": (
                "events",
                {"会员卡号": "member_id", "发生时间": "occurred_at", "行为类型": "event", "积分": "amount"},
            ),
        },
        {
            "is_return": {True: "是", False: "否"},
            "gender": {"f": "女", "m": "男"},
            "channel": {"store": "门店", "app": "小程序"},
            "event": {
                "visit": "访问", "product_view": "浏览商品", "search": "搜索", "add_to_cart": "加入购物车",
                "checkout_started": "提交订单", "app_login": "登录", "message_sent": "短信发送",
                "message_opened": "打开消息", "message_clicked": "点击消息", "unsubscribe": "退订", "complaint": "投诉",
                "complaint_resolved": "投诉已解决", "coupon_received": "领券", "coupon_redeemed": "核销",
                "review_written": "评价", "referral": "邀请好友", "support_ticket": "咨询",
                "member_centre_click": "会员中心", "points_earned": "积分获得", "points_redeemed": "积分兑换",
                "points_expired": "积分过期",
            },
        },
    ),
}  # fmt: skip
"""Shops by name."""


def write_shop(name: str, out: Path, *, members: int = 800, weeks: int = 90, seed: int = 11) -> list[Path]:
    """Simulate a shop and write its exports. The same arguments give the same files.

    Parameters
    ----------
    name
        One of ``SHOPS``.
    out
        Folder for the files; made when missing.
    members, weeks, seed
        As for `training.simulator.simulate`.

    Returns
    -------
    list
        The files written.
    """
    tables = _tables(members, weeks, seed)
    shop = SHOPS[name]
    out.mkdir(parents=True, exist_ok=True)
    for file, (table, columns) in shop.files.items():
        frame = tables[table][list(columns.values())]
        for column, words in shop.words.items():
            if column in frame:
                frame = frame.assign(**{column: frame[column].map(words)})
        frame.set_axis(list(columns), axis=1).to_csv(
            out / file,
            index=False,
            sep=shop.delimiter,
            decimal=shop.decimal,
            encoding=shop.encoding,
            date_format=shop.time_format,
        )
    return [out / file for file in shop.files]


@cache
def _tables(members: int, weeks: int, seed: int) -> dict[str, pd.DataFrame]:
    """Simulate tables in which every member has one id."""
    experiment = Experiment(weeks=weeks // 2, points=(0.05, 0.12))
    programme = parse_programme(_PROGRAMME)
    tables = simulate(members, weeks, seed, programme=programme, experiment=experiment).tables
    same = tables["identities"].set_index("alias_id")["member_id"]
    return {
        name: table.assign(member_id=table["member_id"].replace(same)) if "member_id" in table else table
        for name, table in tables.items()
    }
