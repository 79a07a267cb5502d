"""Canonical columns of rows that need no cleaning: those no rule of :mod:`features.rules` sets aside or refuses.

Most histories a caller sends are like that, and are brought into canonical form here without a database. Whatever is
not, and what these lines are not sure of, is left to the rules: they alone say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from features.columns import ALWAYS, UNITS, Column
from features.programme import Programme
from features.schemas import CONTRACTS, EVENTS, Contract, Kind

Table = Mapping[str, Column]
Given = Mapping[str, Mapping[str, Sequence[Any]]]
"""Tables, of columns in the input contract's names, of values; what is missing is None."""

_EXACT_UNITS: Final = 2**53 // 1_000
"""Doubles count a thousand times so far without a gap, and features multiply amounts by the days of a year at most."""
_MARGIN_DECIMALS: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = _EPOCH.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_HALF: Final = 0.5
_TEXTS: Final[frozenset[Kind]] = frozenset({"id", "text", "event", "code"})


class _NotPlainError(Exception):
    """Something is left for the rules to judge."""


def plain_tables(given: Given, programme: Programme, now: datetime) -> dict[str, Table] | None:
    """Return the canonical tables of one member's rows, None where a rule may have something against them.

    Parameters
    ----------
    given
        The rows; tables may be missing.
    programme
        Gives the time zone and the margin rate.
    now
        Naive UTC instant after which nothing can have happened yet.
    """
    try:
        return _tables(given, programme, now)
    except _NotPlainError:
        return None


def _tables(given: Given, programme: Programme, now: datetime) -> dict[str, Table]:
    zone = ZoneInfo(programme.timezone)
    tables: dict[str, Table] = {}
    for name in ("members", "orders", "order_lines", "events", "offers", "contacts"):
        contract = CONTRACTS[name]
        cast = _cast(contract, given.get(name, {}), zone)
        _require_plain(contract, cast, np.datetime64(now, "us"))
        if "recorded_at" in cast and contract.time is not None:
            cast["recorded_at"] = _later(cast["recorded_at"], cast[contract.time])
        tables[name] = cast | _ADDED.get(name, _nothing)(cast, tables, programme)
    return tables


def _cast(contract: Contract, given: Mapping[str, Sequence[Any]], zone: ZoneInfo) -> dict[str, Column]:
    rows = max((len(values) for values in given.values()), default=0)
    return {one.name: _cast_values(given.get(one.name, ()), one.kind, rows, zone) for one in contract.columns}


def _cast_values(values: Sequence[Any], kind: Kind, rows: int, zone: ZoneInfo) -> Column:
    if values.count(None) == len(values):
        return Column(np.zeros(rows, _TYPES[kind]), np.zeros(rows, dtype=bool) if rows else ALWAYS)
    return _CASTS[kind](values, zone)


def _require_plain(contract: Contract, cast: Mapping[str, Column], now: np.datetime64) -> None:
    for column in contract.columns:
        values, there = cast[column.name].data, cast[column.name].there
        if column.kind == "instant":
            _require(~there | (values <= now))
        elif column.kind == "amount":
            _require(np.abs(values).sum() < _EXACT_UNITS)
        if column.required:
            _require(there)
    _require_no_repeats(contract, cast)
    if contract.name == "orders":
        is_return = cast["is_return"].data | cast["return_of"].there
        _require(np.where(is_return, cast["net_amount"].data <= 0, cast["net_amount"].data >= 0))
        _require(is_return | (cast["discount_amount"].data >= 0))
    elif contract.name == "events":
        _require(np.isin(cast["event"].data, list(EVENTS)))
    elif contract.name == "offers":
        propensity = cast["propensity"]
        _require(~propensity.there | ((propensity.data > 0) & (propensity.data <= 1)))


def _require(holds: np.ndarray) -> None:
    if not holds.all():
        raise _NotPlainError


def _require_no_repeats(contract: Contract, cast: Mapping[str, Column]) -> None:
    keys = [cast[name] for name in contract.key]
    needed = [cast[name].there for name in contract.key if name != contract.time]
    known = np.logical_and.reduce([np.broadcast_to(there, keys[0].data.shape) for there in needed])
    rows = list(zip(*(key.data[known].tolist() for key in keys), strict=True))
    if len(set(rows)) < len(rows):
        raise _NotPlainError


# Columns that a canonical table has on top


def _nothing(cast: Table, tables: Mapping[str, Table], programme: Programme) -> dict[str, Column]:
    return {}


def _of_orders(orders: Table, tables: Mapping[str, Table], programme: Programme) -> dict[str, Column]:
    ordered_on = _local_dates(orders["ordered_at"], programme)
    margin = orders["margin_amount"]
    by_rate = _at_rate(orders["net_amount"].data, programme.value.margin_rate)
    origin = _origins(orders)  # what is returned counts where it was ordered
    return {
        "ordered_on": ordered_on,
        "booked_at": orders["ordered_at"].take(origin),
        "booked_on": ordered_on.take(origin),
        "booking_known_at": orders["recorded_at"].take(origin),
        "value_amount": Column(np.where(margin.there, margin.data, _margin_share(orders, origin, by_rate))),
        "discount_amount": Column(orders["discount_amount"].data),
        "is_return": Column(orders["is_return"].data | orders["return_of"].there),
    }


def _origins(orders: Table) -> np.ndarray:
    """Return the row of the earlier order that each return names, of all other rows their own."""
    own = np.arange(len(orders["order_id"].data))
    if not orders["return_of"].there.any():
        return own
    named = _places(orders, orders["return_of"])
    times = orders["ordered_at"].data
    return np.where((named >= 0) & (times[named] <= times), named, own)


def _places(orders: Table, order_ids: Column) -> np.ndarray:
    """Return the rows of orders by their ids, -1 where there is none."""
    place = {order_id: row for row, order_id in enumerate(orders["order_id"].data.tolist())}
    return np.array([place.get(order_id, -1) for order_id in order_ids.data.tolist()], dtype=np.intp)


def _margin_share(orders: Table, origin: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return what share of an order's margin each return takes back, else another value."""
    net, margin = orders["net_amount"].data, orders["margin_amount"]
    shared = (origin != np.arange(len(origin))) & margin.take(origin).there & (net[origin] != 0)
    share = net / UNITS / np.where(shared, net[origin] / UNITS, 1)
    back = np.where(shared, share * (margin.data[origin] / UNITS), 0)
    _require(np.abs(back).sum() < _EXACT_UNITS / UNITS)
    return np.where(shared, _rounded(back), otherwise)


def _of_order_lines(lines: Table, tables: Mapping[str, Table], programme: Programme) -> dict[str, Column]:
    orders = tables["orders"]
    rows = _places(orders, lines["order_id"])
    _require(rows >= 0)
    return {name: orders[name].take(rows) for name in ("member_id", "ordered_at", "recorded_at")}


_ADDED: Final[Mapping[str, Callable[[Table, Mapping[str, Table], Programme], dict[str, Column]]]] = {
    "orders": _of_orders,
    "order_lines": _of_order_lines,
}


def _later(ours: Column, theirs: Column) -> Column:
    """Return the later of two instants, or the one that is there."""
    latest = np.where(theirs.there & ~(ours.there & (ours.data > theirs.data)), theirs.data, ours.data)
    return Column(latest, ours.there | theirs.there)


def _local_dates(instants: Column, programme: Programme) -> Column:
    if programme.timezone == "UTC":
        return Column(instants.data.astype("datetime64[D]"))
    days = [programme.local_date(instant).toordinal() - _FIRST_DAY for instant in instants.data.tolist()]
    return Column(np.array(days, dtype=np.int64).view("datetime64[D]"))


def _at_rate(units: np.ndarray, rate: float | None) -> np.ndarray:
    """Return a share of amounts, halves rounded away from zero as databases round decimals."""
    if rate is None:
        return units
    whole = 10**_MARGIN_DECIMALS
    share = int(Decimal(repr(rate)).scaleb(_MARGIN_DECIMALS).to_integral_value(ROUND_HALF_UP))
    shares = [(abs(amount) * share + whole // 2) // whole for amount in units.tolist()]
    return np.asarray(np.array(shares, dtype=np.int64) * np.sign(units))


# Columns of each kind


def _texts(values: Sequence[str | None], zone: ZoneInfo) -> Column:
    texts = np.array([value.strip(" ") if value else "" for value in values], dtype=np.str_)
    return Column.where(texts, texts != "")


def _doubles(values: Sequence[float | None], zone: ZoneInfo) -> Column:
    numbers = np.array(values, dtype=np.float64)
    return Column.where(numbers, ~np.isnan(numbers))


def _amounts(values: Sequence[float | None], zone: ZoneInfo) -> Column:
    numbers = _doubles(values, zone)
    return Column(_rounded(np.where(numbers.there, numbers.data, 0)), numbers.there)


def _rounded(numbers: np.ndarray) -> np.ndarray:
    """Round to an amount's decimals, halves away from zero as databases do."""
    part, whole = np.modf(numbers * UNITS)
    return np.asarray((whole + np.sign(part) * (np.abs(part) >= _HALF)).astype(np.int64))


def _flags(values: Sequence[bool | None], zone: ZoneInfo) -> Column:
    return Column.where(np.array([value is True for value in values], dtype=bool), _are_there(values))


def _instants(values: Sequence[datetime | None], zone: ZoneInfo) -> Column:
    given = [value for value in values if value is not None]
    aware = [value.tzinfo is not None for value in given]
    if aware != aware[:1] * len(aware):
        raise _NotPlainError
    if not all(aware) and zone.key != "UTC":
        local = [value.replace(tzinfo=zone) for value in given]
        if any(value.utcoffset() != value.replace(fold=1).utcoffset() for value in local):
            raise _NotPlainError
        given = local
    elif not all(aware):
        given = [value.replace(tzinfo=UTC) for value in given]
    there = _are_there(values)
    instants = np.zeros(len(values), dtype="datetime64[us]")
    instants[there] = np.array([_microseconds(value) for value in given], dtype=np.int64).view("datetime64[us]")
    return Column.where(instants, there)


def _microseconds(instant: datetime) -> int:
    """Return the time since the beginning of 1970, to the last digit; the difference of two zones counts."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return (instant - _EPOCH) // _MICROSECOND


def _are_there(values: Sequence[Any]) -> np.ndarray:
    return np.array([value is not None for value in values], dtype=bool)


_CASTS: Final[Mapping[Kind, Callable[[Sequence[Any], ZoneInfo], Column]]] = {
    **dict.fromkeys(_TEXTS, _texts),
    "amount": _amounts,
    "number": _doubles,
    "whole": _doubles,
    "instant": _instants,
    "flag": _flags,
}
_TYPES: Final[Mapping[Kind, str]] = {
    **dict.fromkeys(_TEXTS, "U1"),
    "amount": "int64",
    "number": "float64",
    "whole": "float64",
    "instant": "datetime64[us]",
    "flag": "bool",
}
