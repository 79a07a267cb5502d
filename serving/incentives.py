"""What an incentive costs, and who may get it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

from features.programme import Programme
from features.settings_incentives import Incentive
from serving.segments import RHYTHMS

Number = TypeVar("Number", float, np.ndarray)


def expected_cost(incentive: Incentive, *, redemption_rate: Number, basket: Number) -> Number:
    """Cost per member contacted: the contact itself, and face value and share as often as it is redeemed.

    Parameters
    ----------
    incentive
        Of which ``contact_cost``, ``face_value`` and ``face_share``.
    redemption_rate
        Redemptions per contact.
    basket
        Amount of the order it is redeemed on.
    """
    redemption: Number = incentive.face_value + incentive.face_share * basket
    cost: Number = incentive.contact_cost + redemption * redemption_rate
    return cost


def contact_costs(arms: pd.Series, programme: Programme) -> pd.Series:
    """Return what each contact costs, by its arm; control costs nothing."""
    return arms.map({arm.id: arm.contact_cost for arm in programme.arms}).astype("float64").fillna(0.0)


def redemption_costs(arms: pd.Series, amounts: pd.Series, programme: Programme) -> pd.Series:
    """Return what a redemption costs, by its arm and the amount it is redeemed on, none below zero."""
    value = arms.map({arm.id: arm.face_value for arm in programme.arms}).astype("float64").fillna(0.0)
    share = arms.map({arm.id: arm.face_share for arm in programme.arms}).astype("float64").fillna(0.0)
    return value + share * amounts.clip(lower=0)


def eligible_incentives(members: pd.DataFrame, incentives: Iterable[Incentive]) -> pd.DataFrame:
    """Tell which member may get which incentive.

    Parameters
    ----------
    members
        With ``tier``, ``state``, ``persona`` and ``order_count``.
    incentives
        The programme's incentives.

    Returns
    -------
    pandas.DataFrame
        One boolean column per incentive id, in the index of ``members``.
    """
    return pd.DataFrame({incentive.id: _eligible(members, incentive) for incentive in incentives}, index=members.index)


def named_arms(arms: pd.Series, programme: Programme) -> tuple[pd.Series, pd.Series]:
    """Split arms into incentives and channels."""
    incentives = {arm.id: incentive.id for incentive in programme.incentives for arm in incentive.arms}
    channels = {arm.id: arm.channel for arm in programme.arms}
    return arms.map(incentives).astype("str"), arms.map(channels).astype("str")


def arms_named(incentives: pd.Series, channels: pd.Series, programme: Programme) -> pd.Series:
    """Join incentives and channels to arms."""
    arms = {(incentive.id, arm.channel): arm.id for incentive in programme.incentives for arm in incentive.arms}
    named = [arms[pair] for pair in zip(incentives, channels, strict=True)]
    return pd.Series(named, incentives.index, dtype="str")


def offered_in(incentive: Incentive, policy_segment: str) -> bool:
    """Tell whether an incentive's tiers and states allow it to anybody in a policy segment."""
    tier, rhythm = policy_segment.split("__")
    states = {state for state, of_state in RHYTHMS.items() if of_state == rhythm}
    rules = incentive.eligible
    return (not rules.tiers or tier in rules.tiers) and (not rules.states or not states.isdisjoint(rules.states))


def campaign_costs(decisions: pd.DataFrame, incentives: Iterable[Incentive]) -> pd.DataFrame:
    """Sum up what sending all assigned incentives is expected to cost.

    Parameters
    ----------
    decisions
        With ``assigned_incentive`` and ``assigned_cost`` per member.
    incentives
        The programme's incentives; their set-up is charged once, and only where anybody is sent one.

    Returns
    -------
    pandas.DataFrame
        Per ``incentive_id``: ``members``, ``member_cost``, ``setup_cost`` and their sum ``cost``.
    """
    sent = decisions.groupby("assigned_incentive")["assigned_cost"].agg(members="size", member_cost="sum")
    setup = pd.Series({incentive.id: incentive.setup_cost for incentive in incentives}, dtype="float64")
    costs: pd.DataFrame = sent.assign(setup_cost=setup.reindex(sent.index)).rename_axis("incentive_id").reset_index()
    return costs.assign(cost=costs["member_cost"] + costs["setup_cost"])


def _eligible(members: pd.DataFrame, incentive: Incentive) -> np.ndarray:
    rules = incentive.eligible
    allowed = np.asarray(members["order_count"] >= rules.min_orders) & ~members["persona"].isin(rules.exclude_personas)
    if rules.tiers:
        allowed &= members["tier"].isin(rules.tiers)
    if rules.states:
        allowed &= members["state"].isin(rules.states)
    return np.asarray(allowed, dtype=bool)
