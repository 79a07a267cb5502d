"""Which arm each offer of a log was, and which others it could have been."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd

from features.errors import InputError
from features.programme import Programme
from training.propensity import chance_column


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
    logged = _logged(offers["probabilities"])
    own = [chances.get(arm) for chances, arm in zip(logged, arms, strict=True)]
    propensity = offers["propensity"].astype("float64").fillna(pd.Series(own, offers.index, dtype="float64"))
    return offers.assign(incentive_id=arms, propensity=propensity)


def with_possible(offers: pd.DataFrame) -> pd.DataFrame:
    """Add, where probabilities were logged, a column per arm: 1 where the offer could have been it, else 0."""
    if offers["probabilities"].isna().all():
        return offers
    logged = _logged(offers["probabilities"])
    told = offers["probabilities"].notna()
    return offers.assign(
        **{
            chance_column(arm): pd.Series([float(chances.get(arm, 0) > 0) for chances in logged], offers.index)
            .where(told, 1.0)
            .to_numpy()
            for arm in offers["incentive_id"].unique()
        }
    )


def _logged(probabilities: pd.Series) -> list[Mapping[str, float]]:
    """Read each row's mapping; rows alike share one, rows without have an empty one."""
    read = {text: _mapping(text) for text in probabilities.dropna().unique()}
    return [read.get(text, {}) for text in probabilities]


def _mapping(text: str) -> Mapping[str, float]:
    try:
        return {str(arm): float(chance) for arm, chance in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"offers.probabilities: {text[:80]!r} is no JSON object of chances such as "
            '{"control": 0.1, "coupon_10": 0.9}'
        ) from error
