"""What simulated members do besides ordering, and what they are sent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from features.schemas import EVENTS
from training.sim_members import CHANNELS, Calendar
from training.sim_orders import opening_hours

MINUTE = 1 / 1440
FADE_DAYS = 42.0
HESITANT_DAYS = 45.0
MESSAGES_PER_WEEK = 0.3
CROWDED_DAYS = 70
CROWDED_PER_WEEK = 6.0
POINT_VALUE = 0.1
EVENT_NAMES = pd.CategoricalDtype(list(EVENTS))
EVENT_CHANNELS = pd.CategoricalDtype([*CHANNELS, "app", "store"])


def after_orders(rng: np.random.Generator, orders: pd.DataFrame) -> pd.DataFrame:
    """Draw what comes with an order: the visit that led to it, points, coupons, tickets, reviews and referrals."""
    app = orders[orders["online"]]
    points = np.floor(orders["net"] * POINT_VALUE)
    coupons = _some(rng, orders[orders["discount"] > 0], 0.4)
    spent = _some(rng, orders, 0.08)
    return _stack(
        [
            _at(app, "visit", "app", -20),
            _at(_some(rng, app, 0.8), "app_login", "app", -20),
            _at(_some(rng, app, 0.7), "product_view", "app", -15),
            _at(_some(rng, app, 0.3), "search", "app", -18),
            _at(_some(rng, app, 0.85), "add_to_cart", "app", -6),
            _at(_some(rng, app, 0.8), "checkout_started", "app", -3),
            _at(_some(rng, orders[~orders["online"]], 0.5), "visit", "store", -20),
            _at(orders, "points_earned", None, 1).assign(amount=points.to_numpy(), order=orders.index),
            _at(spent, "points_redeemed", "app", 0).assign(amount=np.ceil(spent["net"].to_numpy() * 0.3)),
            _at(coupons, "coupon_redeemed", "app", 0).assign(
                amount=coupons["discount"].to_numpy(), order=coupons.index
            ),
            _at(_some(rng, orders, 0.015), "support_ticket", "wechat", 2000),
            _at(_some(rng, orders, 0.03), "review_written", "app", 8000),
            _at(_some(rng, orders, 0.005), "referral", "wechat", 3000),
        ]
    )


def browsing(rng: np.random.Generator, latents: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Draw visits without an order.

    They thin out before a member leaves, except with hesitant members, who go on filling carts for a while.
    """
    joined = calendar.to_clock(latents["joined"].to_numpy())
    span = calendar.clock[-1] - joined
    visits = rng.poisson(latents["browses_per_order"].to_numpy() * latents["rate"].to_numpy() * span)
    member = np.repeat(np.arange(len(latents)), visits)
    day = calendar.to_day(joined[member] + rng.random(len(member)) * span[member])
    traits = latents.iloc[member]
    left_since = day - traits["leaves"].to_numpy()
    lingering = traits["hesitant"].to_numpy() & (np.abs(left_since) < HESITANT_DAYS)
    fading = np.clip(-left_since / FADE_DAYS, 0.12, 1.0)
    kept = rng.random(len(member)) < np.where(lingering, 0.9, fading)
    sessions = pd.DataFrame(
        {"member": member[kept], "time": np.floor(day[kept]) + opening_hours(rng, int(kept.sum()))}
    ).assign(carts=np.where(lingering[kept], 0.45, 0.12))
    filled = sessions[rng.random(len(sessions)) < sessions["carts"]]
    return _stack(
        [
            _at(sessions, "visit", "app", 0),
            _at(_some(rng, sessions, 0.6), "app_login", "app", 0),
            _at(_some(rng, sessions, 0.55), "product_view", "app", 2),
            _at(_some(rng, sessions, 0.2), "search", "app", 1),
            _at(_some(rng, sessions, 0.06), "member_centre_click", "app", 3),
            _at(filled, "add_to_cart", "app", 6),
            _at(_some(rng, filled, 0.2), "checkout_started", "app", 8),
        ]
    )


def messages(rng: np.random.Generator, latents: pd.DataFrame, consent: np.ndarray, calendar: Calendar) -> pd.DataFrame:
    """Draw messages, opens, clicks and unsubscribes.

    A weekly campaign goes to a share of those who agreed to any channel. In the last weeks ``crowded`` members get six
    messages a week on top: they open ever fewer, and more of them unsubscribe, which ends their messages.
    """
    reachable = np.asarray(consent.any(axis=1))
    joined = latents["joined"].to_numpy()
    weekly = _message_times(rng, joined, reachable, 0.0, calendar.days, MESSAGES_PER_WEEK)
    crowded = reachable & latents["crowded"].to_numpy()
    burst = _message_times(rng, joined, crowded, calendar.days - CROWDED_DAYS, calendar.days, CROWDED_PER_WEEK)
    sent = pd.concat([weekly, burst], ignore_index=True)
    traits = latents.iloc[sent["member"]]
    burst_weeks = (sent["time"].to_numpy() - (calendar.days - CROWDED_DAYS)).clip(0) / 7
    tired = np.where(traits["crowded"], np.exp(-0.2 * burst_weeks), 1.0)
    present = np.where(sent["time"].to_numpy() < traits["leaves"].to_numpy() - FADE_DAYS / 2, 1.0, 0.4)
    annoyed = rng.random(len(sent)) < np.where(traits["crowded"] & (burst_weeks > 0), 0.003, 0.0006)
    ended = sent[annoyed].groupby("member")["time"].min().reindex(range(len(latents)), fill_value=np.inf)
    kept = sent["time"].to_numpy() <= ended.to_numpy()[sent["member"]]
    opened = sent[kept & (rng.random(len(sent)) < traits["opens"].to_numpy() * tired * present)]
    unsubscribed = ended[np.isfinite(ended)].rename_axis("member").reset_index()
    best_channel = EVENT_CHANNELS.categories.get_indexer(pd.Index(CHANNELS))[consent.argmax(axis=1)]
    return _stack(
        [
            _at(sent[kept], "message_sent", best_channel, 0),
            _at(opened, "message_opened", best_channel, 90),
            _at(_some(rng, opened, 0.18), "message_clicked", best_channel, 91),
            _at(_some(rng, sent[kept], 0.05), "coupon_received", best_channel, 0),
            _at(unsubscribed, "unsubscribe", best_channel, 95),
        ]
    )


def care(complaints: pd.DataFrame) -> pd.DataFrame:
    """Turn complaints and their resolutions into events."""
    resolved = complaints.dropna(subset="hours")
    resolved = resolved.assign(time=resolved["time"] + resolved["hours"] / 24)
    return _stack([_at(complaints, "complaint", "wechat", 0), _at(resolved, "complaint_resolved", "wechat", 0)])


def expiring_points(rng: np.random.Generator, latents: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Let points run out at each turn of the year, for some of those who were members by then."""
    dates = pd.date_range(calendar.start, periods=calendar.days)
    year_ends = np.flatnonzero((dates.month == 1) & (dates.day == 1)).astype(float)
    balances = pd.DataFrame(
        {"member": np.repeat(latents.index, len(year_ends)), "time": np.tile(year_ends, len(latents))}
    )
    old_enough = balances["time"].to_numpy() > latents["joined"].to_numpy()[balances["member"]]
    return _at(_some(rng, balances[old_enough], 0.25), "points_expired", None, 0).assign(amount=50.0)


def offer_events(offers: pd.DataFrame) -> pd.DataFrame:
    """Turn sent offers into the messages, coupons and redemptions they show up as."""
    sent = offers[offers["sent"]]
    redeemed = sent.dropna(subset="redeemed")
    channel = pd.Categorical(sent["channel"], dtype=EVENT_CHANNELS)
    return _stack(
        [
            _at(sent, "message_sent", None, 0).assign(channel=channel),
            _at(sent, "coupon_received", None, 0).assign(channel=channel),
            _at(redeemed.assign(time=redeemed["redeemed"]), "coupon_redeemed", "app", 0),
        ]
    )


def events_table(parts: Iterable[pd.DataFrame], calendar: Calendar) -> pd.DataFrame:
    """Unite events by member and time; members are still numbers."""
    united = _stack(parts)
    order = np.lexsort((united["event"].cat.codes, united["time"], united["member"]))
    events = united.iloc[order].reset_index(drop=True)
    order_ids = "O" + events["order"].astype("Int64").astype("str").str.zfill(8)
    return pd.DataFrame(
        {
            "member": events["member"],
            "occurred_at": calendar.local_time(events["time"].to_numpy()),
            "event": events["event"],
            "channel": events["channel"],
            "amount": events["amount"],
            "order_id": order_ids.where(events["order"].notna()),
        }
    )


def _message_times(
    rng: np.random.Generator, joined: np.ndarray, chosen: np.ndarray, start: float, end: float, per_week: float
) -> pd.DataFrame:
    begin = np.maximum(joined + 1, start)
    counts = np.where(chosen, rng.poisson(per_week * (end - begin).clip(0) / 7), 0)
    member = np.repeat(np.arange(len(joined)), counts)
    day = begin[member] + rng.random(len(member)) * (end - begin[member])
    return pd.DataFrame({"member": member, "time": np.floor(day) + 0.4 + 0.4 * rng.random(len(member))})


def _some(rng: np.random.Generator, rows: pd.DataFrame, share: float) -> pd.DataFrame:
    return rows[rng.random(len(rows)) < share]


def _at(rows: pd.DataFrame, event: str, channel: str | np.ndarray | None, minutes_later: float) -> pd.DataFrame:
    """Make one event per row; ``channel`` may be the code of one per member."""
    member = rows["member"].to_numpy()
    if not isinstance(channel, np.ndarray):
        channels = np.full(len(rows), EVENT_CHANNELS.categories.get_indexer(pd.Index([channel]))[0])
    else:
        channels = channel[member]
    return pd.DataFrame(
        {
            "member": member,
            "time": rows["time"].to_numpy() + minutes_later * MINUTE,
            "event": pd.Categorical.from_codes(
                np.full(len(rows), EVENT_NAMES.categories.get_loc(event)), dtype=EVENT_NAMES
            ),
            "channel": pd.Categorical.from_codes(channels, dtype=EVENT_CHANNELS),
            "amount": np.nan,
            "order": np.nan,
        }
    )


def _stack(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(list(parts), ignore_index=True)
