"""What the decisions of a week add up to: totals, movements, who is at risk, what is sent and what is not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import pandas as pd

from features.programme import Programme
from features.settings import Tier
from features.settings_incentives import Incentive
from serving.incentives import campaign_costs
from serving.policy_table import Effect, PolicyTable
from serving.segments import RHYTHMS

AT_RISK: Final = tuple(RHYTHMS)
"""States with something to win back, from the lightest to the deepest."""
CHOSEN: Final = "chosen"
NOT_OFFERED: Final = "not_offered"


@dataclass(frozen=True)
class Totals:
    """A week in figures; money is in the programme's currency.

    Recalls are those expected of incentives sent as advised: of those sent to learn from, none is claimed.
    """

    members: int
    at_risk: int
    value_at_stake: float
    expected_value: float
    sent: int
    recalls: float
    recalls_low: float
    recalls_high: float
    cost: float


@dataclass(frozen=True)
class Group:
    """So many members, and what is at stake with them."""

    members: int
    value_at_stake: float


@dataclass(frozen=True)
class Sending:
    """What one policy segment is sent, and what was shown of it.

    Recalls are per all who get it; their bounds are the simultaneous ones, on which the choice rests.
    """

    policy_segment: str
    incentive_id: str
    members: int
    held_out: int
    cost: float
    recalls: float
    recalls_low: float
    recalls_high: float
    effect: Effect | None


@dataclass(frozen=True)
class Exploration:
    """Members sent something by lot, and its cost with their share of set-up."""

    members: int
    cost: float


@dataclass(frozen=True)
class Withheld:
    """A policy segment in which nothing is recommended, and why."""

    policy_segment: str
    members: int
    value_at_stake: float
    reason: str
    needed_sample: int | None


def totals(decisions: pd.DataFrame, programme: Programme) -> Totals:
    """Add up a week's decisions."""
    risky, sent = at_risk(decisions), decisions[decisions["assigned_incentive"].notna()]
    advised = sent[sent["assigned_incentive"] == sent["recommended_incentive"]]
    return Totals(
        members=len(decisions),
        at_risk=len(risky),
        value_at_stake=float(risky["value_at_stake"].sum()),
        expected_value=float(decisions["expected_value"].sum()),
        sent=len(sent),
        recalls=float(advised["expected_recall"].sum()),
        recalls_low=float(advised["expected_recall_low"].sum()),
        recalls_high=float(advised["expected_recall_high"].sum()),
        cost=float(campaign_costs(sent, programme.incentives)["cost"].sum()),
    )


def at_risk(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return the members with something to win back."""
    return decisions[decisions["state"].isin(AT_RISK)]


def risk_grid(risky: pd.DataFrame) -> dict[str, dict[str, Group]]:
    """Count members at risk and add up what is at stake by tier and state."""
    found = {tuple(key): _group(values) for key, values in risky.groupby(["tier", "state"])["value_at_stake"]}
    nobody = Group(0, 0.0)
    return {tier: {state: found.get((tier, state), nobody) for state in AT_RISK} for tier in get_args(Tier)}


def movements(before: pd.DataFrame, now: pd.DataFrame) -> dict[str, Group]:
    """Say who has moved since an earlier publication.

    Returns
    -------
    dict
        ``fell``: members newly at risk; ``sank``: at risk before, in a deeper state now; ``returned``: at risk before,
        active now; ``joined``: not among the members before. Value at stake is as now, except of those who returned:
        as it was.
    """
    both = before[["member_id", "state", "value_at_stake"]].merge(
        now[["member_id", "state", "value_at_stake"]], on="member_id", suffixes=("_before", "")
    )
    depth = {state: number for number, state in enumerate(AT_RISK)}
    then, today = both["state_before"].map(depth), both["state"].map(depth)
    new = now[~now["member_id"].isin(before["member_id"])]
    return {
        "fell": _group(both.loc[then.isna() & today.notna(), "value_at_stake"]),
        "sank": _group(both.loc[today > then, "value_at_stake"]),
        "returned": _group(both.loc[then.notna() & today.isna(), "value_at_stake_before"]),
        "joined": _group(new["value_at_stake"]),
    }


def sendings(decisions: pd.DataFrame, policy: PolicyTable | None, incentives: tuple[Incentive, ...]) -> list[Sending]:
    """Return what each policy segment is sent as advised, the most members first; set-up is shared by members."""
    effects = {} if policy is None else {(e.policy_segment, e.incentive_id): e for e in policy.effects}
    sent = _sent(decisions, incentives)
    withheld = decisions[decisions["assigned_by"] == "holdout"]
    held_out = withheld.groupby(["policy_segment", "recommended_incentive"]).size()
    found = []
    for key, rows in sent[sent["assigned_by"] == "policy"].groupby(["policy_segment", "assigned_incentive"]):
        segment, incentive_id = map(str, key)
        found.append(
            Sending(
                policy_segment=segment,
                incentive_id=incentive_id,
                members=len(rows),
                held_out=int(held_out.get((segment, incentive_id), 0)),
                cost=float(rows["cost"].sum()),
                recalls=float(rows["expected_recall"].sum()),
                recalls_low=float(rows["expected_recall_low"].sum()),
                recalls_high=float(rows["expected_recall_high"].sum()),
                effect=effects.get((segment, incentive_id)),
            )
        )
    return sorted(found, key=lambda sending: -sending.members)


def explored(decisions: pd.DataFrame, incentives: tuple[Incentive, ...]) -> Exploration:
    """Return what is sent by lot, to learn what it does; set-up is shared by members."""
    sent = _sent(decisions, incentives)
    by_lot = sent[sent["assigned_by"] == "exploration"]
    return Exploration(len(by_lot), float(by_lot["cost"].sum()))


def withheld(decisions: pd.DataFrame, policy: PolicyTable) -> list[Withheld]:
    """Return the policy segments without an incentive, the most at stake first."""
    stake = at_risk(decisions).groupby("policy_segment")["value_at_stake"]
    groups = {str(segment): _group(values) for segment, values in stake}
    found = [
        Withheld(segment, group.members, group.value_at_stake, choice.reason or "", choice.needed_sample)
        for segment, choice in policy.choices.items()
        if choice.incentive_id is None and (group := groups.get(segment))
    ]
    return sorted(found, key=lambda each: -each.value_at_stake)


def verdicts(policy: PolicyTable, incentives: tuple[Incentive, ...]) -> dict[str, dict[str, str]]:
    """Return the verdict on every incentive in every policy segment; one chosen without proof stays a bet."""
    known = {(effect.policy_segment, effect.incentive_id): effect.verdict for effect in policy.effects}
    return {
        segment: {
            incentive.id: CHOSEN
            if incentive.id == choice.incentive_id and known.get((segment, incentive.id)) != "bet"
            else known.get((segment, incentive.id), NOT_OFFERED)
            for incentive in incentives
        }
        for segment, choice in policy.choices.items()
    }


def no_offers(risky: pd.DataFrame) -> dict[str, Group]:
    """Count members at risk who get nothing by the reason, the most at stake first."""
    stake = risky.groupby("no_offer_reason")["value_at_stake"]
    found = {str(reason): _group(values) for reason, values in stake}
    return dict(sorted(found.items(), key=lambda item: -item[1].value_at_stake))


def _sent(decisions: pd.DataFrame, incentives: tuple[Incentive, ...]) -> pd.DataFrame:
    """Return the decisions to send something, with each one's ``cost``, its share of set-up included."""
    sent = decisions[decisions["assigned_incentive"].notna()]
    costs = campaign_costs(sent, incentives)
    setup_per_member = dict(zip(costs["incentive_id"], costs["setup_cost"] / costs["members"], strict=True))
    return sent.assign(cost=sent["assigned_cost"] + sent["assigned_incentive"].map(setup_per_member).astype(float))


def _group(values: pd.Series) -> Group:
    return Group(len(values), float(values.sum()))
