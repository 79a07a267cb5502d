"""How likely each incentive was for each offer where nobody logged it: LightGBM, learnt on other members' offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from serving.logged_arms import read_probabilities
from training.prognosis import FOLDS, ROUNDS, SETTINGS, member_folds

OVERLAP: Final = 0.02
"""Offers less likely than this to have gone either way say nothing about the other way."""


def chance_column(incentive_id: str) -> str:
    """Name the column that tells how likely an incentive was."""
    return f"chance_{incentive_id}"


def with_possible(offers: pd.DataFrame) -> pd.DataFrame:
    """Add, where probabilities were logged, a column per arm: 1 where the offer could have been it, else 0."""
    if offers["probabilities"].isna().all():
        return offers
    logged = read_probabilities(offers["probabilities"])
    told = offers["probabilities"].notna()
    return offers.assign(
        **{
            chance_column(arm): pd.Series([float(chances.get(arm, 0) > 0) for chances in logged], offers.index)
            .where(told, 1.0)
            .to_numpy()
            for arm in offers["incentive_id"].unique()
        }
    )


def estimate_chances(offers: pd.DataFrame, inputs: Sequence[str], *, seed: int, threads: int) -> pd.DataFrame:
    """Estimate for every offer how likely each incentive of its policy segment was.

    Parameters
    ----------
    offers
        With ``member_id``, ``policy_segment``, ``incentive_id`` and the inputs.
    inputs
        Columns known when the offers were assigned.
    seed, threads
        Of LightGBM.

    Returns
    -------
    pandas.DataFrame
        In the index of ``offers``, one column per incentive; they add up to 1. An incentive never assigned in a
        segment was impossible there.
    """
    arms, arm = np.unique(offers["incentive_id"].to_numpy(dtype=str), return_inverse=True)
    known = offers[list(inputs)].to_numpy(np.float64)
    folds = member_folds(offers["member_id"])
    chances = np.tile(np.bincount(arm) / len(arm), (len(arm), 1))
    settings = {**SETTINGS, "objective": "multiclass", "num_class": len(arms), "seed": seed, "num_threads": threads}
    for fold in range(FOLDS):
        own, others = folds == fold, folds != fold
        if own.any() and others.any() and len(arms) > 1:
            learnt = lgb.train(settings, lgb.Dataset(known[others], arm[others], params=settings), ROUNDS)
            chances[own] = learnt.predict(known[own], num_threads=threads)
    assigned = pd.crosstab(offers["policy_segment"], offers["incentive_id"]).reindex(columns=arms) > 0
    possible = chances * assigned.loc[offers["policy_segment"]].to_numpy()
    shares = possible / possible.sum(axis=1, keepdims=True)
    return pd.DataFrame(shares, index=offers.index, columns=[chance_column(one) for one in arms])
