"""When simulated members order, what they pay, what they return, and when a complaint drives them away."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.sim_members import BABY, CATEGORIES, CATEGORY_MARGINS, CATEGORY_SHARES, Calendar, by_member_and_time

GAP_SHAPE = 1.6
FIRST_GAP_SHARE = 0.1
COMPLAINT_SHARE = 0.012
UNRESOLVED_SHARE = 0.1
SLOW_HOURS = 72.0
LOST_BY_SLOW_CARE = 0.5
RETURN_SHARE = 0.04
PRODUCTS_PER_CATEGORY = 60


def draw_order_times(rng: np.random.Generator, latents: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Draw when every member would order if nobody ever left: gamma gaps on the calendar's clock."""
    joined = calendar.to_clock(latents["joined"].to_numpy())
    rate = latents["rate"].to_numpy()
    expected = rate * (calendar.clock[-1] - joined)
    counts = np.ceil(expected + 5 * np.sqrt(expected) + 5).astype(int)
    member = np.repeat(np.arange(len(latents)), counts)
    gaps = rng.gamma(GAP_SHAPE, 1 / GAP_SHAPE, len(member)) / rate[member]
    first = np.cumsum(counts) - counts
    gaps[first] *= FIRST_GAP_SHARE
    elapsed = np.cumsum(gaps)
    elapsed -= np.repeat(elapsed[first] - gaps[first], counts)
    day = calendar.to_day(joined[member] + elapsed)
    inside = day < calendar.days
    times = np.floor(day[inside]) + opening_hours(rng, int(inside.sum()))
    return by_member_and_time(pd.DataFrame({"member": member[inside], "time": times})).reset_index(drop=True)


def opening_hours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw times of day between 9:00 and 23:00, as shares of a day."""
    return (9 + 14 * rng.beta(2.2, 1.6, count)) / 24


def draw_complaints(rng: np.random.Generator, candidates: pd.DataFrame, latents: pd.DataFrame) -> pd.DataFrame:
    """Draw complaints after orders, with the hours until they are resolved (NaN: never)."""
    staying = candidates["time"].to_numpy() < latents["leaves"].to_numpy()[candidates["member"]]
    chosen = candidates[staying & (rng.random(len(candidates)) < COMPLAINT_SHARE)]
    hours = np.exp(rng.normal(np.log(20), 1.1, len(chosen)))
    hours[rng.random(len(chosen)) < UNRESOLVED_SHARE] = np.nan
    return pd.DataFrame(
        {
            "candidate": chosen.index,
            "member": chosen["member"].to_numpy(),
            "time": chosen["time"].to_numpy() + rng.uniform(0.2, 6, len(chosen)),
            "hours": hours,
        }
    )


def leave_after_complaints(rng: np.random.Generator, latents: pd.DataFrame, complaints: pd.DataFrame) -> pd.DataFrame:
    """Bring departures forward: half of those whose complaint stays open over three days leave within weeks."""
    slow = ~(complaints["hours"].to_numpy() <= SLOW_HOURS)
    lost = complaints[slow & (rng.random(len(complaints)) < LOST_BY_SLOW_CARE)]
    leaves = latents["leaves"].to_numpy().copy()
    np.minimum.at(leaves, lost["member"].to_numpy(), lost["time"].to_numpy() + rng.exponential(20, len(lost)))
    return latents.assign(leaves=leaves)


def drop_after_leaving(rng: np.random.Generator, candidates: pd.DataFrame, latents: pd.DataFrame) -> pd.DataFrame:
    """Keep what members order before they leave and, of the rest, each member's dormant share."""
    member = candidates["member"].to_numpy()
    staying = candidates["time"].to_numpy() < latents["leaves"].to_numpy()[member]
    staying |= rng.random(len(member)) < latents["dormancy"].to_numpy()[member]
    kept: pd.DataFrame = candidates[staying]
    return kept


def price_orders(
    rng: np.random.Generator, member: np.ndarray, time: np.ndarray, latents: pd.DataFrame, calendar: Calendar
) -> pd.DataFrame:
    """Give orders a category, a net amount, a discount and a margin, in money.

    Price-sensitive members and busy days see more discounts; a discount comes out of the margin.
    """
    count = len(member)
    traits = latents.iloc[member]
    busy = calendar.busyness[time.astype(int)] / calendar.busyness.mean()
    discounted = rng.random(count) < 0.05 + 0.55 * traits["price_sensitivity"].to_numpy() + 0.1 * (busy - 1).clip(0, 2)
    depth = np.where(discounted, rng.uniform(0.08, 0.3, count), 0.0)
    net = (traits["spend"].to_numpy() * np.exp(rng.normal(-0.1, 0.45, count))).clip(5)
    discount = net * depth / (1 - depth)
    category = draw_category(rng, traits)
    margin = (net + discount) * CATEGORY_MARGINS[category] * rng.uniform(0.85, 1.15, count) - discount
    return pd.DataFrame(
        {
            "member": member,
            "time": time,
            "category": category,
            "net": net.round(2),
            "discount": discount.round(2),
            "margin": margin.round(2),
            "online": rng.random(count) < traits["online_share"].to_numpy(),
        }
    )


def draw_category(rng: np.random.Generator, traits: pd.DataFrame) -> np.ndarray:
    """Draw a category per row: mostly the member's main one, then the second, sometimes any other than baby goods."""
    shares = np.array(CATEGORY_SHARES)
    shares[BABY] = 0
    anything = rng.choice(len(CATEGORIES), len(traits), p=shares / shares.sum())
    mood = rng.random(len(traits))
    return np.select(
        [mood < 0.6, mood < 0.85], [traits["main_category"].to_numpy(), traits["second_category"].to_numpy()], anything
    )


def draw_returns(rng: np.random.Generator, orders: pd.DataFrame) -> pd.DataFrame:
    """Return some orders within two weeks, most of them whole; ``order`` is the index of the order returned."""
    returned = orders[rng.random(len(orders)) < RETURN_SHARE]
    share = np.where(rng.random(len(returned)) < 0.7, 1.0, 0.5)
    return pd.DataFrame(
        {
            "order": returned.index,
            "member": returned["member"].to_numpy(),
            "time": returned["time"].to_numpy() + rng.uniform(2, 14, len(returned)),
            "ordered": returned["time"].to_numpy(),
            "net": (-share * returned["net"].to_numpy()).round(2),
            "margin": (-share * returned["margin"].to_numpy()).round(2),
            "online": returned["online"].to_numpy(),
        }
    )


def orders_table(orders: pd.DataFrame, returns: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Return orders and returns as the programme records them; members are still numbers."""
    order_ids = "O" + orders.index.astype("str").str.zfill(8)
    bought = pd.DataFrame(
        {
            "order_id": order_ids,
            "member": orders["member"].to_numpy(),
            "ordered_at": calendar.local_time(orders["time"].to_numpy()),
            "net_amount": orders["net"].to_numpy(),
            "margin_amount": orders["margin"].to_numpy(),
            "discount_amount": orders["discount"].to_numpy(),
            "is_return": False,
            "channel": np.where(orders["online"], "app", "store"),
        }
    )
    returned = pd.DataFrame(
        {
            "order_id": "R" + returns["order"].astype("str").str.zfill(8),
            "member": returns["member"],
            "ordered_at": calendar.local_time(returns["time"].to_numpy()),
            "net_amount": returns["net"],
            "margin_amount": returns["margin"],
            "discount_amount": 0.0,
            "is_return": True,
            "return_of": "O" + returns["order"].astype("str").str.zfill(8),
            "channel": np.where(returns["online"], "app", "store"),
        }
    )
    return pd.concat([bought, returned], ignore_index=True).sort_values(["member", "ordered_at"], ignore_index=True)


def order_lines_table(rng: np.random.Generator, orders: pd.DataFrame, latents: pd.DataFrame) -> pd.DataFrame:
    """Split orders into lines of one product each, whose amounts add up to the order's. Returns have no lines."""
    lines = 1 + rng.poisson(0.7, len(orders))
    row = np.repeat(np.arange(len(orders)), lines)
    first = np.zeros(len(row), dtype=bool)
    first[np.cumsum(lines) - lines] = True
    drawn = draw_category(rng, latents.iloc[orders["member"].to_numpy()[row]])
    category = np.where(first, orders["category"].to_numpy()[row], drawn)
    weight = rng.uniform(0.2, 1, len(row))
    share = weight / np.bincount(row, weight)[row]
    net = (orders["net"].to_numpy()[row] * share).round(2)
    net[first] += (orders["net"].to_numpy() - np.bincount(row, net)).round(2)
    product = category * PRODUCTS_PER_CATEGORY + (PRODUCTS_PER_CATEGORY * rng.beta(0.7, 2.5, len(row))).astype(int)
    return pd.DataFrame(
        {
            "order_id": ("O" + orders.index.astype("str").str.zfill(8)).take(row),
            "product_id": (
                "P" + pd.Index(range(len(CATEGORIES) * PRODUCTS_PER_CATEGORY)).astype("str").str.zfill(4)
            ).take(product),
            "category": pd.Index(CATEGORIES).take(category),
            "quantity": 1 + rng.poisson(0.4, len(row)),
            "net_amount": net.round(2),
            "discount_amount": (orders["discount"].to_numpy()[row] * share).round(2),
        }
    )
