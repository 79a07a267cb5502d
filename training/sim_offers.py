"""The simulated experiment: weekly offers to lapsing members, and what each incentive truly does.

**The prior effects are drawn from**, per policy segment and incentive: with probability `NULL_SHARE` an incentive does
nothing but cost money when somebody redeems it who would have ordered anyway. With `HARMFUL_SHARE` it keeps members
away (it annoys, or wakes sleepers). Otherwise it brings members back. Either way the size is drawn evenly from
`Experiment.points`, 1 to 4 percentage points of recall by default; harm never takes more than half of those who
would have ordered. The spending of those a working incentive recalls is scaled by a log-normal factor around 1
(`BASKET_SIGMA`), and the share of ordering members who redeem, on their first order, is beta distributed
(`REDEMPTION`). Nothing is set by hand and nothing depends on the estimator.

An effect ends with its response window: a recalled member orders once more, and then goes on as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.bundle import FittedConstants
from serving.incentives import contact_costs, eligible_incentives, expected_cost, redemption_costs
from serving.segments import POLICY_SEGMENTS, segment_members
from training.constants import fit_constants
from training.sim_members import Calendar, World
from training.sim_orders import price_orders
from training.sim_state import member_state

NULL_SHARE = 0.5
HARMFUL_SHARE = 0.1
MOST_LOST = 0.5
BASKET_SIGMA = 0.12
REDEMPTION = (6.0, 4.0)
ENTRY_SHARE = 0.6
CONTROL_SHARE = 0.3
ASSIGNED_HOUR = 10 / 24
RESPONSE_MEAN_DAYS = 7.0


@dataclass(frozen=True)
class Experiment:
    """How the offers of the simulation are made.

    Attributes
    ----------
    weeks
        Offers are made weekly, in so many weeks before the end.
    points
        Range of an incentive's effect on recall, if it has any: (0.01, 0.04) is 1 to 4 percentage points.
    confounding
        0 draws lots. Otherwise members who ordered more recently are treated more often: the log-odds of being treated
        rise by so much per standard deviation.
    log_propensities
        Whether the offer log tells the probabilities that were used.
    """

    weeks: int = 26
    points: tuple[float, float] = (0.01, 0.04)
    confounding: float = 0.0
    log_propensities: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of the experiment: the orders as they then were, and the offers with all that is true of them."""

    orders: pd.DataFrame
    offers: pd.DataFrame


def draw_effects(rng: np.random.Generator, programme: Programme, points: tuple[float, float]) -> pd.DataFrame:
    """Draw what each incentive does in each policy segment, from the prior in the module's description."""
    cells = pd.MultiIndex.from_product(
        [POLICY_SEGMENTS, [incentive.id for incentive in programme.arms]],
        names=["policy_segment", "incentive_id"],
    )
    kind = rng.choice(
        ["null", "harmful", "works"], len(cells), p=[NULL_SHARE, HARMFUL_SHARE, 1 - NULL_SHARE - HARMFUL_SHARE]
    )
    size = rng.uniform(*points, len(cells))
    return pd.DataFrame(
        {
            "kind": kind,
            "gain": np.where(kind == "works", size, 0.0),
            "loss": np.where(kind == "harmful", size, 0.0),
            "basket": np.where(kind == "works", np.exp(rng.normal(0, BASKET_SIGMA, len(cells))), 1.0),
            "redemption": rng.beta(*REDEMPTION, len(cells)),
        },
        index=cells,
    )


def run_experiment(
    rng: np.random.Generator,
    world: World,
    orders: pd.DataFrame,
    returns: pd.DataFrame,
    contactable_until: np.ndarray,
    effects: pd.DataFrame,
    experiment: Experiment,
) -> Outcome:
    """Make offers every week before the world's end, and let them work.

    Parameters
    ----------
    effects
        As drawn by :func:`draw_effects`.
    orders, returns
        What would happen without any offer.
    contactable_until
        Per member, until when every channel of the catalogue may be used; others take no part.
    """
    programme, latents = world.programme, world.latents
    rules = programme.guardrails
    segmented = programme.model_copy(update={"personas": ()})
    days = np.arange(world.end - 7 * experiment.weeks, world.end, 7)
    constants = _constants(world, orders, returns, int(days[0]))
    takes_part = (contactable_until > days[0])[orders["member"]]
    unaffected, orders = orders[~takes_part], orders[takes_part]
    next_order = len(takes_part)
    last_assigned = np.full(len(latents), -np.inf)
    log: list[pd.DataFrame] = []
    for day in days:
        free = (contactable_until > day + 1) & (day - last_assigned >= rules.cooldown_days)
        chosen = _candidates(rng, orders, returns, latents, int(day), free, constants, segmented)
        assigned = _assign(rng, chosen, programme, experiment).assign(time=day + ASSIGNED_HOUR)
        offers, orders = _respond(rng, world, assigned, orders, effects, next_order)
        next_order = max(next_order, orders.index.max() + 1)
        returns = returns[returns["order"].isin(orders.index)]
        last_assigned[offers["member"]] = day
        log.append(offers)
    everything, orders = pd.concat(log, ignore_index=True), pd.concat([unaffected, orders])
    return Outcome(orders, everything.join(_typical_orders(orders), on="member"))


def _typical_orders(orders: pd.DataFrame) -> pd.DataFrame:
    """Return the mean margin and amount of each member's orders."""
    return orders.groupby("member").agg(typical_margin=("margin", "mean"), typical_amount=("net", "mean"))


def _constants(world: World, orders: pd.DataFrame, returns: pd.DataFrame, day: int) -> FittedConstants:
    """Fit, as the programme would have before its first offers, what segments depend on."""
    as_of = world.programme.instant(world.calendar.start + timedelta(days=day))
    state = member_state(orders, returns, world.latents, day)
    return fit_constants(state.assign(as_of=as_of), world.programme, as_of)


def _candidates(
    rng: np.random.Generator,
    orders: pd.DataFrame,
    returns: pd.DataFrame,
    latents: pd.DataFrame,
    day: int,
    free: np.ndarray,
    constants: FittedConstants,
    programme: Programme,
) -> pd.DataFrame:
    """Return this week's participants with their segment: free, worth recalling, and drawn to enter."""
    state = member_state(orders, returns, latents, day)
    state = state[free[state.index] & (rng.random(len(state)) < ENTRY_SHARE)]
    placed = state.join(segment_members(state, constants, programme).drop(columns="member_id"))
    return placed[placed["policy_segment"].notna()].rename_axis("member").reset_index()


def _assign(
    rng: np.random.Generator, chosen: pd.DataFrame, programme: Programme, experiment: Experiment
) -> pd.DataFrame:
    """Draw control or one of the incentives each participant may get, and keep the probability of what was drawn."""
    allowed = eligible_incentives(chosen, programme.arms).astype(float)
    recency = np.log(chosen["recency_days"].to_numpy())
    closeness = (recency.mean() - recency) / max(recency.std(), 1e-9)
    treated = 1 / (1 + np.exp(np.log(CONTROL_SHARE / (1 - CONTROL_SHARE)) - experiment.confounding * closeness))
    options = allowed.sum(axis=1, keepdims=True)
    shares = treated[:, None] * np.divide(allowed, options, out=np.zeros_like(allowed), where=options > 0)
    shares = np.column_stack([1 - shares.sum(axis=1), shares])
    arm = (rng.random((len(chosen), 1)) > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
    names = np.array([programme.guardrails.control_id, *(incentive.id for incentive in programme.arms)])
    channels = np.array([None, *(incentive.channel for incentive in programme.arms)], dtype=object)
    return chosen[["member", "policy_segment"]].assign(
        incentive_id=names[arm], channel=channels[arm], propensity=shares[np.arange(len(arm)), arm], sent=arm > 0
    )


def _respond(
    rng: np.random.Generator,
    world: World,
    offers: pd.DataFrame,
    orders: pd.DataFrame,
    effects: pd.DataFrame,
    next_order: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let members respond: some order once more, some stay away, and some of those who order redeem.

    Returns the offers with what came of them, and the orders as they then are; new ones are numbered from
    ``next_order``.
    """
    window, members = world.programme.guardrails.response_days, len(world.latents)
    before = _responses(orders, offers, window, members)
    would = before["orders"].to_numpy() > 0
    base = offers.assign(would=would).groupby("policy_segment")["would"].transform("mean").clip(upper=0.9).to_numpy()
    effect = effects.reindex(pd.MultiIndex.from_frame(offers[["policy_segment", "incentive_id"]]))
    effect = effect.fillna({"gain": 0.0, "loss": 0.0, "basket": 1.0, "redemption": 0.0})
    draw = rng.random(len(offers))
    recalled = ~would & (draw < effect["gain"].to_numpy() / (1 - base))
    lost = would & (draw < np.minimum(effect["loss"].to_numpy() / base.clip(min=1e-9), MOST_LOST))
    basket = effect["basket"].to_numpy()[recalled]
    extra = _recall_orders(rng, world, offers[recalled], basket, window)
    extra.index = pd.RangeIndex(next_order, next_order + len(extra))
    stayed_away = _in_window(orders, offers[lost], window, members)
    orders = pd.concat([orders[~stayed_away], extra])
    after = _responses(orders, offers, window, members)
    redeems = (after["orders"].to_numpy() > 0) & (rng.random(len(offers)) < effect["redemption"].to_numpy())
    facts = offers.assign(
        would_order=would,
        would_margin=before["margin"].to_numpy(),
        would_amount=before["amount"].to_numpy(),
        ordered=after["orders"].to_numpy() > 0,
        margin=after["margin"].to_numpy(),
        amount=after["amount"].to_numpy(),
        redeemed=after["first"].where(redeems).to_numpy(),
    )
    return facts, orders


def _in_window(orders: pd.DataFrame, offers: pd.DataFrame, window: int, members: int) -> np.ndarray:
    """Tell which orders fall into the response window of an offer to their member; a member has at most one offer."""
    start = np.full(members, np.nan)
    start[offers["member"]] = offers["time"]
    after = orders["time"].to_numpy() - start[orders["member"].to_numpy()]
    return np.asarray((after >= 0) & (after < window))


def _responses(orders: pd.DataFrame, offers: pd.DataFrame, window: int, members: int) -> pd.DataFrame:
    """Sum up each offer's response window: orders, their margin, and time and amount of the first."""
    hits = orders[_in_window(orders, offers, window, members)]
    by_member = hits.groupby("member")
    responses = by_member.agg(orders=("time", "size"), margin=("margin", "sum"), first=("time", "min"))
    responses["amount"] = hits.loc[by_member["time"].idxmin(), "net"].to_numpy()
    return responses.reindex(offers["member"]).fillna({"orders": 0, "margin": 0.0})


def _recall_orders(
    rng: np.random.Generator, world: World, offers: pd.DataFrame, basket: np.ndarray, window: int
) -> pd.DataFrame:
    """Draw one order per recalled member, early in the window more often than late."""
    longest = 1 - np.exp(-(window - 1) / RESPONSE_MEAN_DAYS)
    lag = -RESPONSE_MEAN_DAYS * np.log(1 - rng.random(len(offers)) * longest)
    time = offers["time"].to_numpy() + 0.02 + lag
    priced = price_orders(rng, offers["member"].to_numpy(), time, world.latents, world.calendar)
    money = ["net", "discount", "margin"]
    return priced.assign(**priced[money].mul(basket, axis=0).round(2))


def true_effects(offers: pd.DataFrame, effects: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Add to the drawn effects what they come to per member treated: recall, margin before cost, cost, net value."""
    by_segment, others = offers.groupby("policy_segment"), offers[~offers["would_order"]].groupby("policy_segment")
    ordering = offers[offers["would_order"]].groupby("policy_segment")
    segments = pd.DataFrame(
        {
            "offers": by_segment.size(),
            "base_recall": by_segment["would_order"].mean(),
            "base_margin": by_segment["would_margin"].mean(),
            "base_amount": ordering["would_amount"].mean(),
            "margin_per_recall": others["typical_margin"].mean(),
            "amount_per_recall": others["typical_amount"].mean(),
        }
    )
    segments["base_amount"] = segments["base_amount"].fillna(0.0)
    truth = effects.reset_index().join(segments, on="policy_segment")
    lost = np.minimum(truth["loss"] / truth["base_recall"], MOST_LOST)
    truth["recall"] = truth["gain"] - lost * truth["base_recall"]
    truth["margin"] = truth["gain"] * truth["basket"] * truth["margin_per_recall"] - lost * truth["base_margin"]
    ordered = truth["base_recall"] + truth["recall"]
    amount = (1 - lost) * truth["base_recall"] * truth["base_amount"] + (
        truth["gain"] * truth["basket"] * truth["amount_per_recall"]
    )
    catalogue = {incentive.id: incentive for incentive in programme.arms}
    truth["cost"] = [
        expected_cost(catalogue[name], redemption_rate=rate, basket=basket)
        for name, rate, basket in zip(
            truth["incentive_id"], truth["redemption"] * ordered, (amount / ordered).fillna(0.0), strict=True
        )
    ]
    return truth.assign(net_value=truth["margin"] - truth["cost"])


def true_choices(truth: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Return per segment the cheapest incentive that truly recalls without losing money, and the one worth most."""
    rules = programme.guardrails
    limits = {incentive.id: incentive.eligible.tiers for incentive in programme.arms}
    offered = truth[
        [
            not limits[i] or s.split("__")[0] in limits[i]
            for s, i in zip(truth["policy_segment"], truth["incentive_id"], strict=True)
        ]
    ]
    works = offered[(offered["recall"] > rules.recall_floor) & (offered["net_value"] >= -rules.loss_tolerance)]
    pays = offered[offered["net_value"] > 0]
    choices = pd.DataFrame({"policy_segment": POLICY_SEGMENTS}).set_index("policy_segment")
    choices["cheapest_effective"] = works.sort_values("cost").groupby("policy_segment")["incentive_id"].first()
    choices["most_valuable"] = pays.sort_values("net_value").groupby("policy_segment")["incentive_id"].last()
    return choices.reset_index()


def offers_table(offers: pd.DataFrame, programme: Programme, calendar: Calendar, *, propensities: bool) -> pd.DataFrame:
    """Return the offer log as the programme keeps it; members are still numbers."""
    arms, redeemed = offers["incentive_id"], offers["redeemed"].notna()
    spent = redemption_costs(arms, offers["amount"].fillna(0.0), programme)
    cost = contact_costs(arms, programme) + redeemed * spent
    redeemed_at = calendar.local_time(offers["redeemed"].fillna(0).to_numpy())
    log = pd.DataFrame(
        {
            "offer_id": "F" + offers.index.astype("str").str.zfill(7),
            "member": offers["member"],
            "incentive_id": offers["incentive_id"].str.split("@").str[0],
            "assigned_at": calendar.local_time(offers["time"].to_numpy()),
            "campaign_id": "W" + np.floor(offers["time"]).astype(int).astype("str"),
            "channel": offers["channel"],
            "propensity": offers["propensity"].round(6),
            "cost_amount": cost.round(4),
            "redeemed_at": pd.Series(redeemed_at, offers.index).where(redeemed),
            "policy_segment": offers["policy_segment"],
        }
    )
    return log if propensities else log.drop(columns="propensity")
