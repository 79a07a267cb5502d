"""Exports of another shape brought to ours: a row per product, a price and a quantity, a column per consent."""

# ruff: noqa: S608 -- every name and literal put into SQL here is our own or quoted by `identifier` and `literal`

from __future__ import annotations

from collections.abc import Mapping

from features.casting import Given, canonical, given
from features.errors import InputError
from features.readers import Raw, identifier, literal
from features.schemas import CONTRACTS, TYPES, Column, Kind
from features.settings_data import Source

_AMOUNT = Column("product", "amount", "two columns multiplied")
_CHANNEL, _CONSENT = "consent for", "consent given"


def reshaped(raw: Raw, source: Source, timezone: str) -> Raw:
    """Return a table in the shape of its contract, where the programme file says that it has another."""
    raw = _with_products(raw, timezone)
    if source.consents:
        return _one_row_per_channel(raw, source.consents)
    return _one_row_per_order(raw, timezone) if source.one_row_per == "product" else raw


def _with_products(raw: Raw, timezone: str) -> Raw:
    """Add the columns that are two of a table's own multiplied; a factor nobody can read stays to be seen."""
    for theirs in raw.columns.values():
        factors = factors_of(theirs)
        if theirs in raw.types or len(factors) != 2:
            continue
        if missing := [name for name in factors if name not in raw.types]:
            raise InputError(f"{raw.place}: no column {', '.join(map(repr, missing))} for {theirs!r} (see `columns`)")
        values = [Given(identifier(name), raw.types[name], raw, timezone) for name in factors]
        product = " * ".join(canonical(_AMOUNT, value) for value in values)
        text = f"replace(cast(try_cast({product} as {TYPES['amount']}) as varchar), '.', {literal(raw.decimal)})"
        unread = " || ' * ' || ".join(value.text for value in values)
        raw = raw.over(
            f"(select *, coalesce({text}, {unread}) as {identifier(theirs)} from {raw.relation})",
            types={**raw.types, theirs: "VARCHAR"},
        )
    return raw


def factors_of(theirs: str) -> list[str]:
    """Return the columns that a mapping multiplies; one that is mapped as it is, is its own factor."""
    return [name.strip() for name in theirs.split(" * ")]


def _one_row_per_channel(raw: Raw, consents: Mapping[str, str]) -> Raw:
    if missing := [theirs for theirs in consents.values() if theirs not in raw.types]:
        raise InputError(f"{raw.place}: no column {', '.join(map(repr, missing))} (see `consents`)")
    pairs = ", ".join(
        f"({literal(channel)}, cast({identifier(theirs)} as varchar))" for channel, theirs in consents.items()
    )
    own = f"consents({identifier(_CHANNEL)}, {identifier(_CONSENT)})"
    return raw.over(
        f"(select * from {raw.relation} as members, lateral (values {pairs}) as {own})",
        types={**raw.types, _CHANNEL: "VARCHAR", _CONSENT: "VARCHAR"},
        columns={**raw.columns, "channel": _CHANNEL, "consent": _CONSENT},
    )


def _one_row_per_order(raw: Raw, timezone: str) -> Raw:
    """Add up an order's rows; what stands in some of them only, holds for all."""
    columns = [one for one in CONTRACTS["orders"].columns if raw.columns.get(one.name, one.name) in raw.types]
    values = {column.name: given(column.name, raw, timezone) for column in columns}
    if "order_id" not in values:
        return raw
    selected = ", ".join(f"{_of_order(column, values[column.name])} as {column.name}" for column in columns)
    key = values["order_id"].text
    return Raw(
        place=raw.place,
        relation=f"(select {selected} from {raw.relation} group by {key} order by {key})",
        types=dict.fromkeys(values, "VARCHAR"),
    )


def _of_order(column: Column, value: Given) -> str:
    """Return SQL for an order's value as text; what one of its rows has and nobody can read is said to be there."""
    cast = canonical(column, value)
    unreadable = f"max({value.text}) filter ({cast} is null and {value.is_there})"
    return f"coalesce({unreadable} || ' (in a row of the order)', {_TOGETHER.get(column.kind, _ANY).format(cast)})"


_ANY = "cast(min({0}) as varchar)"
_TOGETHER: Mapping[Kind, str] = {
    "amount": "cast(sum({0}) as varchar)",
    "instant": "cast(min({0}) as varchar) || 'Z'",
    "flag": "cast(bool_and({0}) as varchar)",
    "id": "case when count(distinct {0}) = 1 then min({0}) end",
}
