"""What an incentive costs, and who may get it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.programme import Programme
from features.settings_incentives import Incentive
from serving.by_name import Members, is_one_of, numbers, size, texts
from serving.segments import RHYTHMS

Number = TypeVar("Number", float, np.ndarray)
Texts = NDArray[np.object_]
"""Texts, None where there is none."""


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


def eligible_incentives(members: Members, incentives: Sequence[Incentive]) -> NDArray[np.bool_]:
    """Tell which member may get which incentive.

    Parameters
    ----------
    members
        With ``tier``, ``state``, ``persona`` and ``order_count``.
    incentives
        The programme's incentives.

    Returns
    -------
    numpy.ndarray
        One row per member, one column per incentive.
    """
    count = numbers(members, "order_count")
    persona, tier, state = (texts(members, name) for name in ("persona", "tier", "state"))
    may_get = np.empty((size(members), len(incentives)), dtype=bool)
    for column, rules in enumerate(incentive.eligible for incentive in incentives):
        may_get[:, column] = (count >= rules.min_orders) & ~is_one_of(persona, rules.exclude_personas)
        for values, allowed in ((tier, rules.tiers), (state, rules.states)):
            if allowed:
                may_get[:, column] &= is_one_of(values, allowed)
    return may_get


def named_arms(arms: Iterable[str | None], programme: Programme) -> tuple[Texts, Texts]:
    """Split arms into incentives and channels; None, which is no arm, stays None."""
    named: dict[str | None, tuple[str | None, str | None]] = {
        arm.id: (incentive.id, arm.channel) for incentive in programme.incentives for arm in incentive.arms
    }
    pairs = [named.get(arm, (None, None)) for arm in arms]
    incentives, channels = np.array(pairs, dtype=object).reshape(-1, 2).T
    return incentives, channels


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
