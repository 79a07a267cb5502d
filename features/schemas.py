"""The input contract: which tables and columns a programme may give, and the canonical tables made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import ibis
import pandera.ibis as pandera

Kind = Literal["id", "text", "amount", "number", "whole", "instant", "day", "flag", "event", "code"]

TYPES: Mapping[Kind, str] = {
    "id": "string",
    "text": "string",
    "event": "string",
    "code": "string",
    "amount": "decimal(18, 4)",
    "number": "double",
    "whole": "int64",
    "instant": "timestamp(6)",
    "day": "date",
    "flag": "boolean",
}
"""Canonical type of each kind of column. Instants are naive UTC."""

EVENTS: Mapping[str, str] = {
    "visit": "opened the site, the app or a shop",
    "product_view": "looked at a product",
    "search": "searched",
    "add_to_cart": "put something in the cart",
    "checkout_started": "began to check out",
    "app_login": "logged in",
    "message_sent": "was sent a message",
    "message_opened": "opened it",
    "message_clicked": "clicked in it",
    "unsubscribe": "asked for no more messages",
    "complaint": "complained",
    "complaint_resolved": "had a complaint resolved",
    "support_ticket": "asked the support",
    "coupon_received": "received a coupon",
    "coupon_redeemed": "redeemed a coupon",
    "points_earned": "earned points",
    "points_redeemed": "redeemed points",
    "points_expired": "lost points by time",
    "review_written": "wrote a review",
    "referral": "brought a friend",
    "member_centre_click": "clicked in the member centre",
}
"""The event vocabulary, with what the member did."""


@dataclass(frozen=True)
class Column:
    """One column of an input table."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False


@dataclass(frozen=True)
class Contract:
    """One input table: its columns, and those the canonical table has on top."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    added: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    """Columns that identify a row."""
    time: str | None = None
    """The row's own time, before which it cannot be known."""

    @property
    def schema(self) -> ibis.Schema:
        """Columns and types of the canonical table."""
        return ibis.schema({column.name: TYPES[column.kind] for column in (*self.columns, *self.added)})

    @cached_property
    def canonical(self) -> pandera.DataFrameSchema:
        """The canonical table as a pandera schema of columns and types; what values must be like, `rules` says."""
        columns = {
            column.name: pandera.Column(ibis.dtype(TYPES[column.kind]), nullable=True, description=column.meaning)
            for column in (*self.columns, *self.added)
        }
        return pandera.DataFrameSchema(columns, strict=True, ordered=True, name=self.name)


_RECORDED = Column("recorded_at", "instant", "when the row became known; absent: with the row's own time")

CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for contract in (
        Contract(
            "orders",
            "One row per order or return. The only table that must be given.",
            (
                Column("order_id", "id", "unique id", required=True),
                Column("member_id", "id", "who ordered", required=True),
                Column("ordered_at", "instant", "when", required=True),
                Column("net_amount", "amount", "amount paid, after discounts; negative for returns", required=True),
                Column("margin_amount", "amount", "margin of the order, in money"),
                Column("discount_amount", "amount", "discounts given, in money, positive"),
                Column("is_return", "flag", "the row is a return"),
                Column("return_of", "id", "order_id of the order that is returned"),
                Column("channel", "text", "where it was ordered"),
                Column("store_id", "id", "in which shop"),
                _RECORDED,
            ),
            (
                Column("ordered_on", "day", "local date of ordered_at"),
                Column("booked_at", "instant", "ordered_at of the order a return names, otherwise ordered_at"),
                Column("booked_on", "day", "local date of booked_at"),
                Column("booking_known_at", "instant", "recorded_at of the order a return names, otherwise recorded_at"),
                Column("value_amount", "amount", "margin_amount, else net_amount x margin_rate, else net_amount"),
            ),
            key=("order_id",),
            time="ordered_at",
        ),
        Contract(
            "members",
            "One row per member.",
            (
                Column("member_id", "id", "unique id", required=True),
                Column("joined_at", "instant", "when the member joined"),
                Column("language", "text", "language to write in, e.g. en or zh"),
                Column("birth_year", "whole", "year of birth"),
                Column("gender", "text", "as the programme records it"),
                Column("channel", "text", "where the member joined"),
                Column("region", "text", "where the member lives"),
                Column("name", "text", "how to address the member"),
                Column("recorded_at", "instant", "when the row became known; absent: with joined_at, else always"),
            ),
            key=("member_id",),
            time="joined_at",
        ),
        Contract(
            "order_lines",
            "One row per product of an order.",
            (
                Column("order_id", "id", "the order", required=True),
                Column("product_id", "id", "the product", required=True),
                Column("line_id", "id", "unique within the order; absent: lines are not checked for duplicates"),
                Column("category", "text", "category of the product"),
                Column("quantity", "amount", "how many"),
                Column("net_amount", "amount", "amount paid for the line, after discounts"),
                Column("discount_amount", "amount", "discounts given on the line, positive"),
            ),
            (
                Column("member_id", "id", "of the order"),
                Column("ordered_at", "instant", "of the order"),
                Column("recorded_at", "instant", "of the order"),
            ),
            key=("order_id", "line_id"),
        ),
        Contract(
            "events",
            "One row per thing a member did or was sent, in the event vocabulary.",
            (
                Column("member_id", "id", "who", required=True),
                Column("occurred_at", "instant", "when", required=True),
                Column("event", "event", "what, in our vocabulary or mapped to it by `values`", required=True),
                Column("event_id", "id", "unique id; absent: events are not checked for duplicates"),
                Column("channel", "text", "where"),
                Column("amount", "amount", "points or money, where the event has any"),
                Column("order_id", "id", "the order it belongs to"),
                _RECORDED,
            ),
            key=("event_id",),
            time="occurred_at",
        ),
        Contract(
            "offers",
            "One row per member and offer, members kept as control included.",
            (
                Column("offer_id", "id", "unique id", required=True),
                Column("member_id", "id", "to whom", required=True),
                Column("incentive_id", "code", "an incentive of the programme file, or its control_id", required=True),
                Column("assigned_at", "instant", "when it was decided", required=True),
                Column("campaign_id", "id", "the campaign it belongs to"),
                Column("channel", "code", "how it was sent"),
                Column("propensity", "number", "probability with which it was assigned, above 0 and up to 1"),
                Column("cost_amount", "amount", "money actually spent on it"),
                Column("redeemed_at", "instant", "when it was redeemed"),
                Column("policy_segment", "text", "the member's segment when it was assigned"),
                Column(
                    "probabilities",
                    "text",
                    "chances of all it could have been, as JSON; absent: it could have been any",
                ),
                _RECORDED,
            ),
            key=("offer_id",),
            time="assigned_at",
        ),
        Contract(
            "contacts",
            "One row per member, channel and change of consent; the latest known one counts.",
            (
                Column("member_id", "id", "who", required=True),
                Column("channel", "code", "through which channel", required=True),
                Column("consent", "flag", "may be contacted there", required=True),
                Column("updated_at", "instant", "since when; absent: always"),
            ),
            key=("member_id", "channel", "updated_at"),
            time="updated_at",
        ),
        Contract(
            "identities",
            "One row per further id of a member; every member_id of the other tables is mapped through it, at past "
            "dates too: when it became known that two ids are one member is not asked.",
            (
                Column("alias_id", "id", "the further id, unique", required=True),
                Column("member_id", "id", "the member it belongs to", required=True),
            ),
            key=("alias_id",),
        ),
    )
}
"""The input tables, by name."""


@dataclass(frozen=True)
class Tables:
    """The canonical tables of a programme, on one DuckDB connection. A table not given is there, and empty."""

    orders: ibis.Table
    members: ibis.Table
    order_lines: ibis.Table
    events: ibis.Table
    offers: ibis.Table
    contacts: ibis.Table


def contract_markdown() -> str:
    """Write the input contract as docs/input-contract.md has it."""
    return "\n".join([_HEAD, *(_table_markdown(contract) for contract in CONTRACTS.values()), _events_markdown()])


_HEAD = """# Input contract

Generated from `features/schemas.py`; a test keeps it current. See also [what happens to bad input](bad-input.md).

Types: *id* and *text* are texts (a number is taken by its digits); *amount* is money or a quantity with up to four
decimals; *instant* is a date or time, local to the programme unless it has an offset;
*flag* is true or false in the usual words; *whole* and *number* are numbers; *event* is a word of the vocabulary below;
*code* is a text too. Where a programme has other words for events, incentives or channels, `values` maps them to ours.
No value is an empty field, `NULL` or `\\N`.
"""


def _table_markdown(contract: Contract) -> str:
    rows = [
        f"| `{column.name}` | {column.kind} | {'yes' if column.required else ''} | {column.meaning} |"
        for column in contract.columns
    ]
    head = ["| column | type | required | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {contract.name}", "", contract.meaning, "", *head, *rows, ""])


def _events_markdown() -> str:
    rows = [f"| `{event}` | {meaning} |" for event, meaning in EVENTS.items()]
    return "\n".join(["## Event vocabulary", "", "| event | the member |", "|---|---|", *rows, ""])
