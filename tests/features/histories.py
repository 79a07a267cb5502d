"""Members' histories as frames, and their features."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features.build import build_features
from features.programme import Programme, parse_programme
from features.sources import tables_from_frames

AS_OF = "2026-01-01"


def programme(**settings: Any) -> Programme:
    data = {"orders": {"path": "orders.csv"}}
    return parse_programme({"name": "test", "currency": "EUR", "data": data, **settings})


def orders(*rows: tuple[Any, ...], member_id: str = "m", **columns: list[Any]) -> pd.DataFrame:
    """Orders of one member as (ordered_at, net_amount), numbered from 1."""
    frame = pd.DataFrame(rows, columns=["ordered_at", "net_amount"])
    ids = [f"{member_id}-{number}" for number in range(1, len(rows) + 1)]
    return frame.assign(order_id=ids, member_id=member_id, **columns)


def events(*rows: tuple[Any, ...], member_id: str = "m", **columns: list[Any]) -> pd.DataFrame:
    """Events of one member as (occurred_at, event)."""
    frame = pd.DataFrame(rows, columns=["occurred_at", "event"])
    return frame.assign(event_id=[f"{member_id}-{n}" for n in range(len(rows))], member_id=member_id, **columns)


def offers(*rows: tuple[Any, ...], member_id: str = "m") -> pd.DataFrame:
    """Offers of one member as (assigned_at, incentive_id, redeemed_at)."""
    frame = pd.DataFrame(rows, columns=["assigned_at", "incentive_id", "redeemed_at"])
    return frame.assign(offer_id=[f"{member_id}-{n}" for n in range(len(rows))], member_id=member_id)


def lines(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Order lines as (order_id, product_id, category, quantity, net_amount)."""
    return pd.DataFrame(rows, columns=["order_id", "product_id", "category", "quantity", "net_amount"])


def features(
    orders: pd.DataFrame, *, as_of: Any = AS_OF, threads: int = 1, settings: Programme | None = None, **frames: Any
) -> pd.DataFrame:
    """Features of all members of these histories, by member_id."""
    by = settings or programme()
    tables = tables_from_frames(by, orders=orders, threads=threads, **frames).tables
    return build_features(tables, by.instant(as_of), by).set_index("member_id")


def of_one(orders: pd.DataFrame, **frames: Any) -> dict[str, float]:
    """Features of member m."""
    return features(orders, **frames).loc["m"].to_dict()


def some(values: dict[str, float], *names: str) -> list[float]:
    return [values[name] for name in names]
