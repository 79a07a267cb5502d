"""What other shops call our tables, columns and events: English, German and Chinese words, for `winback init`.

A header or value is compared without case, accents, spaces and punctuation, so that ``Kunden-Nr.`` is ``kundennr``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

HeaderLanguage = Literal["en", "de", "zh"]
Words = Mapping[HeaderLanguage, str]

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})

_MEMBER: Words = {
    "en": "member id, customer id, customer, client, client id, user id, card no, card number, loyalty card, "
    "member no, customer no, account",
    "de": "kundennr, kundennummer, kunden id, kunde, mitglied, mitgliedsnr, mitgliedsnummer, kartennr, kartennummer",
    "zh": "会员号, 会员编号, 会员id, 会员卡号, 客户号, 客户编号, 客户id, 用户id, 用户编号, 买家",
}
_ORDER: Words = {
    "en": "order id, order no, order number, order, transaction id, transaction, receipt no, invoice no, invoice, "
    "basket id, purchase id, bill no",
    "de": "bestellnr, bestellnummer, bestell id, auftragsnr, auftragsnummer, belegnr, bonnr, rechnungsnr",
    "zh": "订单号, 订单编号, 订单id, 交易号, 交易流水号, 小票号, 流水号",
}
_CHANNEL: Words = {
    "en": "channel, medium, sales channel, via",
    "de": "kanal, vertriebsweg, medium, weg",
    "zh": "渠道, 触达渠道, 销售渠道, 下单渠道",
}
_RECORDED: Words = {
    "en": "recorded at, loaded at, created at, inserted at, updated at, booked at",
    "de": "erfasst am, gebucht am, angelegt am, importiert am",
    "zh": "入库时间, 记录时间, 写入时间",
}
_DISCOUNT: Words = {
    "en": "discount, discount amount, rebate, markdown",
    "de": "rabatt, nachlass, rabattbetrag",
    "zh": "优惠金额, 折扣金额, 优惠, 折扣",
}

TABLES: Mapping[str, Words] = {
    "orders": {
        "en": "orders, order, sales, transactions, purchases, receipts",
        "de": "bestellungen, auftraege, verkaeufe, umsaetze, belege, rechnungen",
        "zh": "订单, 销售, 交易",
    },
    "members": {
        "en": "members, customers, clients, users, loyalty",
        "de": "kunden, mitglieder, kundenstamm",
        "zh": "会员, 客户, 用户",
    },
    "order_lines": {
        "en": "order lines, lines, items, order items, positions, baskets",
        "de": "positionen, bestellpositionen, artikel, bonzeilen",
        "zh": "订单明细, 明细, 商品明细",
    },
    "events": {
        "en": "events, activity, log, clicks, newsletter, interactions",
        "de": "ereignisse, aktivitaeten, klicks, newsletter, kontakte",
        "zh": "事件, 行为, 日志, 埋点",
    },
    "offers": {
        "en": "offers, campaigns, campaign log, vouchers, coupons, mailings",
        "de": "angebote, aktionen, kampagnen, gutscheine, aussendungen",
        "zh": "营销, 活动, 发券, 优惠券, 权益",
    },
    "contacts": {
        "en": "contacts, consents, consent, permissions, optins",
        "de": "einwilligungen, einwilligung, optins, werbeerlaubnis",
        "zh": "授权, 同意, 触达授权, 订阅",
    },
    "identities": {
        "en": "identities, aliases, id mapping, merges",
        "de": "zusammenfuehrungen, dubletten, aliase",
        "zh": "身份, 合并, 映射",
    },
}
"""What files are called."""

COLUMNS: Mapping[str, Mapping[str, Words]] = {
    "orders": {
        "order_id": _ORDER,
        "member_id": _MEMBER,
        "ordered_at": {
            "en": "ordered at, order date, date, timestamp, purchase date, sold at, sold on, transaction date",
            "de": "bestelldatum, bestellzeit, bestellt am, kaufdatum, datum, belegdatum, auftragsdatum, zeitpunkt",
            "zh": "下单时间, 订单时间, 交易时间, 购买时间, 下单日期, 交易日期, 支付时间, 日期",
        },
        "net_amount": {
            "en": "net amount, amount, total, paid, amount paid, revenue, sales, net, order value, dollars",
            "de": "betrag, nettobetrag, summe, umsatz, gesamtbetrag, bezahlt, rechnungsbetrag, bestellwert",
            "zh": "实付金额, 支付金额, 订单金额, 金额, 成交金额, 实收金额, 销售额, 应付金额",
        },
        "margin_amount": {
            "en": "margin, gross margin, profit, contribution",
            "de": "marge, deckungsbeitrag, rohertrag, db",
            "zh": "毛利, 毛利额, 利润",
        },
        "discount_amount": _DISCOUNT,
        "is_return": {
            "en": "is return, return, returned, refund, is refund",
            "de": "retoure, ist retoure, rueckgabe, storno",
            "zh": "是否退货, 退货, 是否退款, 退款标志",
        },
        "return_of": {
            "en": "return of, original order, refers to",
            "de": "retoure zu, urspruengliche bestellung",
            "zh": "原订单号, 退货原单号",
        },
        "channel": _CHANNEL,
        "store_id": {
            "en": "store, store id, shop, branch, location",
            "de": "filiale, filialnr, filialnummer, markt, standort",
            "zh": "门店, 门店编号, 门店号, 店铺",
        },
        "recorded_at": _RECORDED,
    },
    "members": {
        "member_id": _MEMBER,
        "joined_at": {
            "en": "joined at, joined, join date, registered, registered at, signup date, member since, created at",
            "de": "beitritt, beitrittsdatum, eintrittsdatum, registriert am, kunde seit, mitglied seit, anmeldung",
            "zh": "注册时间, 入会时间, 注册日期, 入会日期, 开卡日期, 加入时间",
        },
        "language": {"en": "language, locale, lang", "de": "sprache", "zh": "语言"},
        "birth_year": {"en": "birth year, year of birth, yob", "de": "geburtsjahr, jahrgang", "zh": "出生年份, 出生年"},
        "gender": {"en": "gender, sex", "de": "geschlecht, anrede", "zh": "性别"},
        "channel": {
            "en": "channel, join channel, signup channel, source",
            "de": "kanal, anmeldekanal, herkunft",
            "zh": "渠道, 注册渠道, 入会渠道, 来源",
        },
        "region": {
            "en": "region, city, state, country, area, zip, postcode",
            "de": "region, ort, stadt, bundesland, plz, land",
            "zh": "地区, 城市, 省份, 区域",
        },
        "name": {
            "en": "name, full name, first name, customer name",
            "de": "name, kundenname, vorname",
            "zh": "姓名, 会员姓名, 昵称, 称呼",
        },
        "recorded_at": _RECORDED,
    },
    "order_lines": {
        "order_id": _ORDER,
        "product_id": {
            "en": "product id, product, product code, sku, stock code, item id, item code, article, article no, ean, "
            "upc",
            "de": "artikelnr, artikelnummer, artikel, produkt, produktnr, ean",
            "zh": "商品编号, 商品编码, 商品id, 货号, 商品, 款号",
        },
        "line_id": {
            "en": "line id, line no, line, position",
            "de": "position, positionsnr, posnr, zeile",
            "zh": "行号, 明细号",
        },
        "category": {
            "en": "category, department, product group, class",
            "de": "warengruppe, kategorie, sortiment",
            "zh": "品类, 类目, 分类, 商品类别",
        },
        "quantity": {"en": "quantity, qty, units, pieces", "de": "menge, anzahl, stueck", "zh": "数量, 件数"},
        "net_amount": {
            "en": "net amount, amount, line total, total",
            "de": "betrag, positionsbetrag, summe, umsatz",
            "zh": "金额, 实付金额, 成交金额, 小计",
        },
        "discount_amount": _DISCOUNT,
    },
    "events": {
        "member_id": _MEMBER,
        "occurred_at": {
            "en": "occurred at, time, timestamp, event time, date, event date",
            "de": "zeitpunkt, zeit, datum, zeitstempel",
            "zh": "时间, 发生时间, 事件时间, 行为时间",
        },
        "event": {
            "en": "event, event type, event name, action, activity, type",
            "de": "ereignis, aktion, aktivitaet, art, typ",
            "zh": "事件, 行为, 事件类型, 行为类型, 事件名称",
        },
        "event_id": {"en": "event id, event no", "de": "ereignisnr, ereignis id", "zh": "事件id, 事件编号"},
        "channel": _CHANNEL,
        "amount": {
            "en": "amount, points, value",
            "de": "punkte, betrag, wert",
            "zh": "积分, 数值, 金额",
        },
        "order_id": _ORDER,
        "recorded_at": _RECORDED,
    },
    "offers": {
        "offer_id": {
            "en": "offer id, offer no, mailing id, send id, assignment id",
            "de": "angebotsnr, angebot id, aussendung id, aussendungsnr",
            "zh": "发放编号, 发券编号, 发放id, 触达编号",
        },
        "member_id": _MEMBER,
        "incentive_id": {
            "en": "incentive, incentive id, offer, offer type, coupon, voucher, treatment, variant, arm, group",
            "de": "angebot, gutschein, aktion, anreiz, variante, gruppe, praemie",
            "zh": "权益, 优惠券, 券类型, 激励, 方案, 活动方案, 分组",
        },
        "assigned_at": {
            "en": "assigned at, sent at, sent, offered at, send date, date",
            "de": "versendet am, versanddatum, zugeteilt am, gesendet am, datum",
            "zh": "发放时间, 发送时间, 发券时间, 触达时间, 分配时间",
        },
        "campaign_id": {
            "en": "campaign, campaign id, campaign name",
            "de": "kampagne, kampagnennr, aktionsnr",
            "zh": "活动, 活动编号, 活动id",
        },
        "channel": _CHANNEL,
        "propensity": {
            "en": "propensity, probability, assignment probability",
            "de": "wahrscheinlichkeit, zuteilungswahrscheinlichkeit",
            "zh": "分配概率, 概率, 倾向得分",
        },
        "cost_amount": {"en": "cost, cost amount, spent", "de": "kosten, ausgaben", "zh": "成本, 花费, 费用"},
        "redeemed_at": {
            "en": "redeemed at, redeemed, redemption date, used at",
            "de": "eingeloest am, einloesedatum, einloesung",
            "zh": "核销时间, 使用时间, 兑换时间",
        },
        "policy_segment": {"en": "policy segment", "de": "segment", "zh": "分群"},
        "recorded_at": _RECORDED,
    },
    "contacts": {
        "member_id": _MEMBER,
        "channel": _CHANNEL,
        "consent": {
            "en": "consent, opt in, optin, permission, allowed, subscribed",
            "de": "einwilligung, optin, erlaubnis, werbeerlaubnis, zustimmung",
            "zh": "是否同意, 同意, 授权, 是否授权, 是否订阅",
        },
        "updated_at": {
            "en": "updated at, since, changed at, date, timestamp",
            "de": "geaendert am, seit, datum, stand",
            "zh": "更新时间, 授权时间, 变更时间",
        },
    },
    "identities": {
        "alias_id": {
            "en": "alias id, alias, old id, duplicate id, secondary id",
            "de": "alias, alte kundennr, dublette, zweitnummer",
            "zh": "别名, 旧会员号, 副卡号",
        },
        "member_id": _MEMBER,
    },
}
"""What columns are called, by our table and column."""

EVENT_WORDS: Mapping[str, Words] = {
    "visit": {"en": "visit, session, page view", "de": "besuch, seitenaufruf", "zh": "访问, 到店, 浏览"},
    "product_view": {"en": "product view, view item", "de": "produktansicht, artikel angesehen", "zh": "浏览商品"},
    "search": {"en": "search", "de": "suche", "zh": "搜索"},
    "add_to_cart": {"en": "add to cart, cart", "de": "warenkorb, in den warenkorb", "zh": "加购, 加入购物车"},
    "checkout_started": {"en": "checkout", "de": "kasse, zur kasse", "zh": "结算, 提交订单"},
    "app_login": {"en": "login, app login", "de": "anmeldung, login", "zh": "登录, 登陆"},
    "message_sent": {
        "en": "sent, email sent, delivered",
        "de": "gesendet, versendet, newsletter gesendet, mail gesendet",
        "zh": "发送, 短信发送, 推送",
    },
    "message_opened": {
        "en": "opened, email opened, open",
        "de": "geoeffnet, newsletter geoeffnet, mail geoeffnet",
        "zh": "打开, 打开消息",
    },
    "message_clicked": {"en": "clicked, email clicked, click", "de": "geklickt, klick", "zh": "点击, 点击消息"},
    "unsubscribe": {"en": "unsubscribe, unsubscribed, opt out", "de": "abmeldung, abgemeldet", "zh": "退订, 取消订阅"},
    "complaint": {"en": "complaint", "de": "beschwerde, reklamation", "zh": "投诉"},
    "complaint_resolved": {"en": "complaint resolved", "de": "reklamation erledigt", "zh": "投诉解决, 投诉已解决"},
    "support_ticket": {"en": "support ticket, ticket", "de": "kundendienst, anfrage", "zh": "咨询, 工单"},
    "coupon_received": {"en": "coupon received", "de": "gutschein erhalten", "zh": "领券, 收到优惠券"},
    "coupon_redeemed": {"en": "coupon redeemed", "de": "gutschein eingeloest", "zh": "用券, 核销"},
    "points_earned": {"en": "points earned, earn", "de": "punkte gesammelt", "zh": "积分获得, 积分增加"},
    "points_redeemed": {"en": "points redeemed, burn", "de": "punkte eingeloest", "zh": "积分兑换, 积分使用"},
    "points_expired": {"en": "points expired", "de": "punkte verfallen", "zh": "积分过期"},
    "review_written": {"en": "review", "de": "bewertung", "zh": "评价, 评论"},
    "referral": {"en": "referral, referred", "de": "empfehlung, freund geworben", "zh": "推荐, 邀请好友"},
    "member_centre_click": {"en": "member centre", "de": "mitgliederbereich", "zh": "会员中心"},
}
"""What events are called."""

CHANNEL_WORDS: Mapping[str, Words] = {
    "email": {"en": "email, mail, newsletter", "de": "email, mail, newsletter", "zh": "邮件, 电子邮件, 邮箱"},
    "sms": {"en": "sms, text message", "de": "sms", "zh": "短信"},
    "app_push": {"en": "push, app push, app", "de": "push, app", "zh": "推送, 应用推送"},
    "wechat": {"en": "wechat, weixin", "de": "wechat", "zh": "微信, 企业微信, 公众号"},
    "post": {"en": "post, letter, direct mail, postal", "de": "post, brief, postalisch", "zh": "信函, 邮寄"},
    "phone": {"en": "phone, call", "de": "telefon, anruf", "zh": "电话, 外呼"},
}
"""What channels are called."""

CONSENT: Words = {
    "en": "consent, opt in, accepts, subscribed, allowed, permission, marketing, newsletter, agreed",
    "de": "einwilligung, erlaubnis, zustimmung, newsletter, werbung, abonniert",
    "zh": "同意, 授权, 订阅, 允许, 接收",
}
"""What a member's consents are called."""

REFUSAL: Words = {
    "en": "unsubscribed, opt out, do not, no marketing, refused",
    "de": "sperre, widerspruch, widerruf, abgemeldet, keine",
    "zh": "退订, 拒绝, 不接收",
}
"""What the contrary of a consent is called."""

CONTROL: Words = {
    "en": "control, control group, holdout, none, nothing, no offer",
    "de": "kontrolle, kontrollgruppe, keine, nichts, ohne",
    "zh": "对照, 对照组, 空白组, 不发",
}
"""What those who by design got nothing are called."""


PRICE: Words = {
    "en": "price, unit price, price each, item price",
    "de": "preis, einzelpreis, stueckpreis",
    "zh": "单价, 商品单价, 价格, 售价",
}
"""What one piece costs; an amount only where there is no other, and with the quantity, where there is one."""


def plain(text: str) -> str:
    """Return a text in small letters without accents, spaces and punctuation; umlauts become two letters."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_UMLAUTS)
    return "".join(letter for letter in unicodedata.normalize("NFKD", folded) if letter.isalnum())


@cache
def _forms(words: str) -> tuple[str, ...]:
    return tuple(plain(word) for word in words.split(","))


def likeness(text: str, words: Words, *, ours: str = "") -> float:
    """Return how well a name says what some words say: 1 the same, less the more else it says, 0 none of them."""
    name = plain(text)
    return max((_covered(name, form) for form in (plain(ours), *_all(words)) if form), default=0.0)


def says(text: str, words: Words) -> bool:
    """Whether a name has one of some words in it, other words beside it or not."""
    name = plain(text)
    return any(form in name for form in _all(words))


def languages(texts: Iterable[str], known: Iterable[Words]) -> dict[HeaderLanguage, int]:
    """Count in how many texts each language's words are found."""
    names, vocabulary = [plain(text) for text in texts], list(known)
    spoken: tuple[HeaderLanguage, ...] = ("zh", "de", "en")
    return {
        language: sum(any(name in _forms(words.get(language, "")) for words in vocabulary) for name in names)
        for language in spoken
    }


def _all(words: Words) -> Iterable[str]:
    return (form for text in words.values() for form in _forms(text))


def _covered(name: str, form: str) -> float:
    if name == form:
        return 1.0
    long_enough = len(form) >= (4 if form.isascii() else 2)
    return 0.4 + 0.55 * len(form) / len(name) if long_enough and form in name else 0.0
