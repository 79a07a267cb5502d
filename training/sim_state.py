"""What a simulated programme knows of its members on a day: the features that segments depend on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.sim_members import by_member_and_time, member_ids


def member_state(orders: pd.DataFrame, returns: pd.DataFrame, latents: pd.DataFrame, day: int) -> pd.DataFrame:
    """Return the features segments depend on, as of the start of a day, for the members who had joined.

    A shortcut past `features.build`, which would read the whole history anew every simulated week; a test holds the two
    equal.
    """
    known = by_member_and_time(orders[orders["time"].to_numpy() < day])
    back = returns[returns["time"].to_numpy() < day]
    member, on = known["member"].to_numpy(), np.floor(known["time"].to_numpy())
    fresh_day = np.r_[True, (member[1:] != member[:-1]) | (on[1:] != on[:-1])][: len(known)]
    day_member, day_on = member[fresh_day], on[fresh_day]
    size = len(latents)
    order_days = np.bincount(day_member, minlength=size)
    ends = np.cumsum(order_days)
    ordered = order_days > 0
    first, last = np.full(size, np.nan), np.full(size, np.nan)
    first[ordered], last[ordered] = day_on[(ends - order_days)[ordered]], day_on[ends[ordered] - 1]
    gap_member = day_member[1:][day_member[1:] == day_member[:-1]]
    gaps = np.diff(day_on)[day_member[1:] == day_member[:-1]]
    value = np.bincount(member, known["margin"], size) + np.bincount(back["member"], back["margin"], size)
    later, later_back = on > first[member], np.floor(back["ordered"].to_numpy()) > first[back["member"].to_numpy()]
    repeat_value = np.bincount(member[later], known["margin"][later], size) + np.bincount(
        back["member"][later_back], back["margin"][later_back], size
    )
    repeats = (order_days - 1).clip(0)
    tenure = day - first
    state = pd.DataFrame(
        {
            "member_id": member_ids(size),
            "order_count": np.bincount(member, minlength=size),
            "order_days": order_days,
            "repeat_order_days": repeats,
            "recency_days": day - last,
            "tenure_days": tenure,
            "joined_days": day - np.floor(latents["joined"].to_numpy()),
            "first_to_last_days": last - first,
            "repeat_value_mean": np.divide(repeat_value, repeats, out=np.full(size, np.nan), where=repeats > 0),
            "value_total": value,
            "value_per_year": value * 365 / np.fmax(tenure, 91),
            "gap_count": repeats,
            "gap_median_days": _grouped_median(gap_member, gaps, size),
        }
    )
    return state[latents["joined"].to_numpy() < day]


def _grouped_median(group: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    counts = np.bincount(group, minlength=size)
    start = np.cumsum(counts) - counts
    ranked = values[np.lexsort([values, group])]
    some = counts > 0
    median = np.full(size, np.nan)
    low, high = (start + (counts - 1) // 2)[some], (start + counts // 2)[some]
    median[some] = (ranked[low] + ranked[high]) / 2
    return median
