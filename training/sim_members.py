"""Who the simulated members are: what drives each of them, and the calendar they all share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from features.programme import Programme

CATEGORIES = ("fresh", "snacks", "beverages", "household", "beauty", "baby", "apparel", "electronics")
CATEGORY_SHARES = (0.2, 0.16, 0.14, 0.14, 0.12, 0.08, 0.1, 0.06)
CATEGORY_MARGINS = np.array([0.28, 0.38, 0.36, 0.4, 0.55, 0.34, 0.5, 0.22])
BABY = CATEGORIES.index("baby")
BABY_LIFE_DAYS = 730
CHANNELS = ("app_push", "sms", "wechat", "email")
REGIONS = ("华东", "华南", "华北", "华中", "西南", "西北", "东北")

MEDIAN_GAP_DAYS = 40.0
MEDIAN_LIFE_DAYS = 330.0
MEDIAN_SPEND = 220.0
NEVER_ORDERS = 0.05
PEAKS = (
    (6, 18, 0.7, 3.0),
    (10, 2, 0.3, 3.0),
    (11, 11, 1.2, 3.0),
    (12, 12, 0.4, 2.0),
    (1, 20, 0.6, 6.0),
    (2, 8, -0.4, 6.0),
)
"""Month, day, height and width in days.

Mid-year sale, National Day, Singles' Day, Double Twelve, Spring Festival, and the lull after it.
"""


@dataclass(frozen=True)
class Calendar:
    """How busy each day is. Members live on its clock, which runs faster when the programme is busy.

    Attributes
    ----------
    start
        Local date of day 0.
    busyness
        Relative intensity of each day.
    clock
        Busyness accumulated up to the start of each day, and of the day after the last.
    """

    start: date
    busyness: np.ndarray
    clock: np.ndarray

    @property
    def days(self) -> int:
        """Length in days."""
        return len(self.busyness)

    def to_clock(self, day: np.ndarray) -> np.ndarray:
        """Turn days into clock time."""
        return np.asarray(np.interp(day, np.arange(self.days + 1), self.clock))

    def to_day(self, clock: np.ndarray) -> np.ndarray:
        """Turn clock time into days; infinite beyond the end."""
        return np.asarray(np.interp(clock, self.clock, np.arange(self.days + 1), right=np.inf))

    def local_time(self, day: np.ndarray) -> np.ndarray:
        """Turn days into local date-times."""
        return np.datetime64(self.start, "us") + (np.asarray(day) * 86_400).astype("timedelta64[s]")


@dataclass(frozen=True)
class World:
    """What stays fixed while a simulation runs.

    Attributes
    ----------
    calendar
        Reaches a response window beyond the end, so that the last offers have outcomes too.
    latents
        Hidden traits, one row per member, see `draw_members`.
    consent
        Members x channels.
    programme
        Whose incentives are offered.
    end
        First day that is not recorded any more.
    """

    calendar: Calendar
    latents: pd.DataFrame
    consent: np.ndarray
    programme: Programme
    end: int


def make_calendar(start: date, days: int, *, season: float, trend_per_year: float) -> Calendar:
    """Lay out the days. ``season`` scales all peaks and the yearly wave, 0 makes every day alike."""
    day_of_year = np.array([(start + timedelta(days=d)).timetuple().tm_yday for d in range(days)])
    wave = 0.12 * np.cos(2 * np.pi * (day_of_year - 335) / 365.25)
    for month, day, height, width in PEAKS:
        distance = np.abs(day_of_year - date(2023, month, day).timetuple().tm_yday)
        distance = np.minimum(distance, 365 - distance)
        wave = wave + height * np.exp(-0.5 * (distance / width) ** 2)
    busyness = np.maximum(1 + season * wave, 0.1) * np.exp(trend_per_year * np.arange(days) / 365)
    return Calendar(start, busyness, np.concatenate([[0.0], np.cumsum(busyness)]))


def draw_members(
    rng: np.random.Generator, members: int, calendar: Calendar, *, gap_days: float = MEDIAN_GAP_DAYS
) -> pd.DataFrame:
    """Draw each member's hidden traits, one row per member; times are days since the calendar's start.

    The median member orders every ``gap_days`` days.

    A member orders at ``rate`` until ``leaves``, afterwards only a ``dormancy`` share of that. Price-sensitive members
    leave sooner, parents stop when the baby years are over (``natural_end``), and ``hesitant`` members keep browsing
    for a while after they stopped ordering.
    """
    joined = np.floor(calendar.days * rng.beta(0.8, 1.3, members)) + rng.uniform(0.2, 0.37, members)
    rate = np.exp(rng.normal(-np.log(gap_days), 0.6, members))
    spend = np.exp(rng.normal(np.log(MEDIAN_SPEND), 0.5, members)) * (rate * gap_days) ** 0.15
    price_sensitivity = rng.beta(1.6, 3.0, members)
    life = np.exp(rng.normal(np.log(MEDIAN_LIFE_DAYS), 0.9, members)) * (1.35 - price_sensitivity)
    main_category = rng.choice(len(CATEGORIES), members, p=CATEGORY_SHARES)
    natural_end = (main_category == BABY) & (rng.random(members) < 0.7)
    life = np.where(natural_end, np.minimum(life * 2, BABY_LIFE_DAYS * rng.uniform(0.8, 1.0, members)), life)
    dormancy = np.where(natural_end, 0.02, rng.beta(2.0, 14.0, members))
    never = rng.random(members) < NEVER_ORDERS
    return pd.DataFrame(
        {
            "joined": joined,
            "rate": rate,
            "spend": spend,
            "price_sensitivity": price_sensitivity,
            "leaves": np.where(never, joined, joined + life),
            "dormancy": np.where(never, 0.0, dormancy),
            "main_category": main_category,
            "second_category": rng.choice(len(CATEGORIES), members, p=CATEGORY_SHARES),
            "natural_end": natural_end,
            "hesitant": rng.random(members) < 0.3,
            "browses_per_order": rng.gamma(2.0, 0.7, members),
            "opens": rng.beta(2.0, 8.0, members),
            "online_share": rng.beta(3.0, 2.0, members),
            "crowded": rng.random(members) < 0.08,
        }
    )


def draw_consent(rng: np.random.Generator, members: int) -> np.ndarray:
    """Draw consent, members x channels: two thirds of members agree to everything, the others pick."""
    everything = rng.random(members) < 0.67
    return everything[:, None] | (rng.random((members, len(CHANNELS))) < 0.45)


def member_ids(members: int, prefix: str = "M", *, first: int = 0) -> pd.Series:
    """Return the programme's ids of so many members."""
    return prefix + pd.Series(np.arange(first, first + members)).astype("str").str.zfill(7)


def by_member_and_time(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort rows; pandas takes several times as long for two columns."""
    ordered: pd.DataFrame = rows.iloc[np.lexsort((rows["time"].to_numpy(), rows["member"].to_numpy()))]
    return ordered


def members_table(rng: np.random.Generator, latents: pd.DataFrame, ids: pd.Series, calendar: Calendar) -> pd.DataFrame:
    """Return what the programme itself knows of its members."""
    count = len(latents)
    return pd.DataFrame(
        {
            "member_id": ids,
            "joined_at": calendar.local_time(latents["joined"].to_numpy()),
            "language": rng.choice(["zh", "en"], count, p=[0.9, 0.1]),
            "birth_year": rng.normal(1988, 9, count).clip(1945, 2006).astype(int),
            "gender": rng.choice(["f", "m"], count, p=[0.62, 0.38]),
            "channel": rng.choice(["wechat", "app", "store"], count, p=[0.5, 0.3, 0.2]),
            "region": rng.choice(REGIONS, count, p=[0.34, 0.22, 0.16, 0.1, 0.09, 0.04, 0.05]),
        }
    )
