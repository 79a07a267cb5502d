"""Which arm each offer of a log was, and which others it could have been. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from serving.rows import chances_told

NAMED: Final = 5
"""So many arms that are not the programme's a warning names."""


def with_arms(offers: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Name each offer's arm, and take its propensity from its logged probabilities where it has none of its own.

    Parameters
    ----------
    offers
        With ``incentive_id``, ``channel``, ``propensity`` and ``probabilities``.
    programme
        Its incentives; of those with several channels an arm is one by one channel.

    Returns
    -------
    pandas.DataFrame
        The offers with ``incentive_id`` the arm's. What went out by a channel its incentive does not have keeps an id
        that is no arm's.

    Raises
    ------
    InputError
        If ``probabilities`` cannot be read.
    """
    several = offers["incentive_id"].isin([incentive.id for incentive in programme.incentives if incentive.channels])
    channel = offers["channel"].astype("str").str.lower().fillna("")
    arms = offers["incentive_id"].where(~several, offers["incentive_id"].astype("str") + "@" + channel)
    logged = read_probabilities(offers["probabilities"])
    own = [chances.get(arm) for chances, arm in zip(logged, arms, strict=True)]
    propensity = offers["propensity"].astype("float64").fillna(pd.Series(own, offers.index, dtype="float64"))
    return offers.assign(incentive_id=arms, propensity=propensity)


def out_of_programme(arms: pd.Series, programme: Programme) -> tuple[pd.Series, str]:
    """Tell which arms are neither the programme's nor control, and name the commonest of them."""
    known = [programme.guardrails.control_id, *(arm.id for arm in programme.arms)]
    unknown = ~arms.isin(known)
    counts = arms[unknown].value_counts()
    named = [f"{arm} ({count})" for arm, count in counts.head(NAMED).items()]
    return unknown, ", ".join([*named, "..."] if len(counts) > NAMED else named)


def read_probabilities(probabilities: pd.Series) -> list[Mapping[str, float]]:
    """Read each row's chances by arm; rows alike share a mapping, rows without have an empty one."""
    read = {text: _mapping(text) for text in probabilities.dropna().unique()}
    return [read.get(text, {}) for text in probabilities]


def _mapping(text: str) -> Mapping[str, float]:
    try:
        return chances_told(text)
    except ValueError as error:
        raise InputError(f"offers.probabilities: {error}") from error
