"""A loyalty programme whose incentives' true effects are known, because they were drawn.

Members order on their own cadence, see more discounts when they are price-sensitive, complain, fall silent and stop; a
weekly experiment makes offers to those who lapse. What the programme could know is written as its raw tables; what only
the simulator knows (hidden traits, effects, the best choice per segment, what would have happened) is the *truth*, kept
apart. No product code reads it.

The numbers are made up to look like a retailer's, not measured. The experiment is larger, and its control group bigger,
than most real programmes would run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features.programme import Programme
from training import sim_events, sim_offers, sim_orders
from training.demo_data import write_table
from training.sim_members import (
    CHANNELS,
    MEDIAN_GAP_DAYS,
    World,
    by_member_and_time,
    draw_consent,
    draw_members,
    make_calendar,
    member_ids,
    members_table,
)
from training.sim_offers import Experiment

START = date(2023, 1, 2)
ALIAS_SHARE = 0.06
ALIAS_ROWS = 0.4
TRUE_OF_OFFERS = (
    "incentive_id",
    "policy_segment",
    "would_order",
    "would_margin",
    "ordered",
    "margin",
    "offer_id",
    "would_amount",
    "typical_margin",
    "typical_amount",
)
ORDERS_PER_MEMBER, OFFERS_PER_MEMBER = 1_000, 100
"""So far apart the numbers are from which each member's begin, so that blocks of members have numbers of their own."""
ALIASED_TABLES = ("orders", "events")
DEMO_EXPERIMENT = Experiment(points=(0.03, 0.08))
"""Effects twice the usual size: 20,000 members, the demo's, would rarely be enough to prove one of 1 to 4 points."""


@dataclass(frozen=True)
class Simulation:
    """A simulated programme.

    Attributes
    ----------
    tables
        The programme's raw tables, under our input column names. Times are local.
    truth
        ``members`` (hidden traits), ``effects`` (per policy segment and incentive), ``choices`` (per policy segment)
        and ``offers`` (what would have happened without each).
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, pd.DataFrame]


def simulate(
    members: int,
    weeks: int,
    seed: int,
    *,
    programme: Programme,
    experiment: Experiment | None = None,
    season: float = 1.0,
    trend_per_year: float = 0.05,
    gap_days: float = MEDIAN_GAP_DAYS,
) -> Simulation:
    """Simulate a programme's history. The same arguments give the same tables.

    Parameters
    ----------
    members
        How many ever join; they arrive over the whole time, most of them early.
    weeks
        Length of the history.
    seed
        Of every draw.
    programme
        Its incentives are offered, by its response window, cooldown, tiers and states.
    experiment
        How offers are made; weekly and by lot if absent.
    season
        Height of the yearly wave and the sales peaks; 0 makes all days alike.
    trend_per_year
        Growth of ordering, as a log rate.
    gap_days
        How long the median member leaves between orders.
    """
    experiment = experiment or Experiment(weeks=min(Experiment.weeks, weeks // 2))
    effects = drawn_effects(seed, programme, experiment)
    tables, latents, offers = simulate_block(
        np.random.default_rng(seed),
        range(members),
        weeks,
        programme=programme,
        effects=effects,
        experiment=experiment,
        season=season,
        trend_per_year=trend_per_year,
        gap_days=gap_days,
    )
    return Simulation(tables, {"members": latents, **truth_of(offers, effects, programme)})


def drawn_effects(seed: int, programme: Programme, experiment: Experiment) -> pd.DataFrame:
    """Draw what incentives do; however many members there are, a seed's effects are the same."""
    return sim_offers.draw_effects(np.random.default_rng(seed).spawn(1)[0], programme, experiment.points)


def truth_of(offers: pd.DataFrame, effects: pd.DataFrame, programme: Programme) -> dict[str, pd.DataFrame]:
    """Return what is true of offers, of incentives by policy segment, and of the best choice in each segment."""
    true = sim_offers.true_effects(offers, effects, programme)
    told = offers.drop(columns=["typical_margin", "typical_amount", "would_amount"])
    return {"effects": true, "choices": sim_offers.true_choices(true, programme), "offers": told}


def simulate_block(
    rng: np.random.Generator,
    numbers: range,
    weeks: int,
    *,
    programme: Programme,
    effects: pd.DataFrame,
    experiment: Experiment,
    season: float,
    trend_per_year: float,
    gap_days: float,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    """Simulate the members of these numbers; parameters as in :func:`simulate`.

    Returns
    -------
    tuple
        Their raw tables, their hidden traits, and their offers with all that is true of them.
    """
    members = len(numbers)
    end = 7 * weeks
    beyond = end + programme.guardrails.response_days
    calendar = make_calendar(START, beyond, season=season, trend_per_year=trend_per_year)
    latents = draw_members(rng, members, calendar, gap_days=gap_days)

    candidates = sim_orders.draw_order_times(rng, latents, calendar)
    complaints = sim_orders.draw_complaints(rng, candidates, latents)
    latents = sim_orders.leave_after_complaints(rng, latents, complaints)
    world = World(calendar, latents, draw_consent(rng, members), programme, end)
    kept = sim_orders.drop_after_leaving(rng, candidates, latents)
    complaints = complaints[complaints["candidate"].isin(kept.index)]
    orders = sim_orders.price_orders(rng, kept["member"].to_numpy(), kept["time"].to_numpy(), latents, calendar)
    returns = sim_orders.draw_returns(rng, orders)
    messages = sim_events.messages(rng, latents, world.consent, calendar)
    unsubscribed = messages[messages["event"] == "unsubscribe"]
    contactable = _contactable_until(world, unsubscribed)

    outcome = sim_offers.run_experiment(rng, world, orders, returns, contactable, effects, experiment)
    orders = by_member_and_time(_before(outcome.orders, end))
    returns = _before(returns[returns["order"].isin(orders.index)], end)
    orders.index += ORDERS_PER_MEMBER * numbers.start
    returns["order"] += ORDERS_PER_MEMBER * numbers.start
    outcome.offers.index += OFFERS_PER_MEMBER * numbers.start
    offers = outcome.offers.assign(redeemed=outcome.offers["redeemed"].where(outcome.offers["redeemed"] < end))
    events = [
        sim_events.after_orders(rng, orders),
        sim_events.browsing(rng, latents, calendar),
        sim_events.care(complaints),
        sim_events.expiring_points(rng, latents, calendar),
        sim_events.offer_events(offers),
        messages,
    ]
    tables = {
        "orders": sim_orders.orders_table(orders, returns, calendar),
        "events": sim_events.events_table([_before(part, end) for part in events], calendar),
        "offers": sim_offers.offers_table(offers, programme, calendar, propensities=experiment.log_propensities),
        "contacts": _contacts_table(world, _before(unsubscribed, end)),
    }
    aliased = rng.random(members) < ALIAS_SHARE
    tables = {
        name: _with_member_id(rng, table, aliased, numbers.start, use_aliases=name in ALIASED_TABLES)
        for name, table in tables.items()
    }
    ids = member_ids(members, first=numbers.start)
    joined = (latents["joined"] < end).to_numpy()
    tables |= {
        "members": members_table(rng, latents, ids, calendar)[joined],
        "order_lines": sim_orders.order_lines_table(rng, orders, latents),
        "identities": pd.DataFrame({"alias_id": member_ids(members, "W", first=numbers.start), "member_id": ids})[
            aliased & joined
        ],
    }
    logged = outcome.offers.assign(offer_id=tables["offers"]["offer_id"].to_numpy())
    return tables, latents.assign(member_id=ids), logged[list(TRUE_OF_OFFERS)]


def write(simulation: Simulation, out: Path) -> list[Path]:
    """Write the tables into a folder as Parquet, and the truth into its subfolder ``truth``."""
    return [
        *(write_table(table, out / f"{name}.parquet") for name, table in simulation.tables.items()),
        *(write_table(table, out / "truth" / f"{name}.parquet") for name, table in simulation.truth.items()),
    ]


def _before(rows: pd.DataFrame, end: int) -> pd.DataFrame:
    return rows[rows["time"].to_numpy() < end]


def _contactable_until(world: World, unsubscribed: pd.DataFrame) -> np.ndarray:
    """Return when each member can no longer be reached by every channel of the catalogue; 0 if never could."""
    needed = [CHANNELS.index(arm.channel) for arm in world.programme.arms]
    until = np.where(world.consent[:, needed].all(axis=1), np.inf, 0.0)
    until[unsubscribed["member"]] = np.minimum(until[unsubscribed["member"]], unsubscribed["time"])
    return until


def _contacts_table(world: World, unsubscribed: pd.DataFrame) -> pd.DataFrame:
    """Return consent at joining, and its end for those who unsubscribed."""
    members, channels = world.consent.shape
    given = pd.DataFrame(
        {
            "member": np.repeat(np.arange(members), channels),
            "channel": np.tile(CHANNELS, members),
            "consent": world.consent.ravel(),
            "time": np.repeat(world.latents["joined"].to_numpy(), channels),
        }
    )
    withdrawn = unsubscribed[["member", "time"]].merge(pd.DataFrame({"channel": CHANNELS}), how="cross")
    contacts = pd.concat([_before(given, world.end), withdrawn.assign(consent=False)], ignore_index=True)
    contacts["updated_at"] = world.calendar.local_time(contacts.pop("time").to_numpy())
    return contacts.sort_values(["member", "channel", "updated_at"], ignore_index=True)


def _with_member_id(
    rng: np.random.Generator, table: pd.DataFrame, aliased: np.ndarray, first: int, *, use_aliases: bool
) -> pd.DataFrame:
    """Replace member numbers by the programme's ids; some rows of some members carry their other id."""
    member = table["member"].to_numpy()
    ids = member_ids(len(aliased), first=first).take(member).array
    if use_aliases:
        other = aliased[member] & (rng.random(len(member)) < ALIAS_ROWS)
        ids = np.where(other, member_ids(len(aliased), "W", first=first).take(member).array, ids)
    columns = {"member_id": pd.array(ids, dtype="str")}
    return table.drop(columns="member").assign(**columns)
