"""Members' histories as frames, and their features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.build import build_features
from features.programme import Programme, parse_programme
from features.schemas import EVENTS
from features.sources import tables_from_frames

Frames = dict[str, pd.DataFrame]

AS_OF = "2026-01-01"
UNKNOWN_ORDER = "new0"
"""An order that a return of `everything` names and that is not there."""


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


def everything(orders_per_member: int = 6) -> Frames:
    """All tables of four members with orders and one without, every row before AS_OF and recorded at once."""
    rng = np.random.default_rng(1)
    ids = ["a", "b", "c", "d"]

    def rows(per_member: int, time: str, key: str) -> pd.DataFrame:
        who = np.repeat(ids, per_member)
        when = pd.Timestamp("2024-06-01") + pd.to_timedelta(rng.integers(0, 579 * 86_400, len(who)), unit="s")
        numbers = [f"{member}-{number % per_member + 1}" for number, member in enumerate(who)]
        return pd.DataFrame({key: numbers, "member_id": who, time: when, "recorded_at": when})

    bought = rows(orders_per_member, "ordered_at", "order_id")
    bought = bought.assign(
        net_amount=rng.integers(1, 20_000, len(bought)) / 100,
        discount_amount=rng.choice([0.0, 3.33], len(bought)),
        is_return=False,
        return_of=None,
        channel=rng.choice(["app", "shop"], len(bought)),
    )
    returned = bought.iloc[[0, -1, -1]].assign(is_return=True, recorded_at=pd.Timestamp("2025-12-31"))
    returned = returned.assign(
        order_id=["r1", "r2", "r3"],
        return_of=[returned["order_id"].iloc[0], None, UNKNOWN_ORDER],
        ordered_at=returned["recorded_at"],
        net_amount=-returned["net_amount"],
    )
    happened = rows(5 * orders_per_member, "occurred_at", "event_id")
    given = rows(3, "assigned_at", "offer_id")
    joined = pd.to_datetime(["2024-05-01", "2024-04-01", None, "2024-07-01", "2025-06-01"])
    return {
        "orders": pd.concat([bought, returned]),
        "members": pd.DataFrame({"member_id": [*ids, "no orders"], "joined_at": joined, "recorded_at": joined}),
        "order_lines": bought[["order_id", "net_amount"]].assign(
            product_id=rng.choice(list("pqrst"), len(bought)),
            category=rng.choice(["x", "y", None], len(bought)),
            quantity=2,
        ),
        "events": happened.assign(
            event=rng.choice(sorted(EVENTS), len(happened)), amount=rng.integers(1, 99, len(happened))
        ),
        "offers": given.assign(
            incentive_id=rng.choice(["coupon", "control"], len(given)),
            redeemed_at=given["assigned_at"].where(rng.random(len(given)) < 0.3),
        ),
    }


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
