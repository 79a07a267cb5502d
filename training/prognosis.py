"""What each offer would be expected to bring whatever was assigned: LightGBM, learnt on other members' offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd

FOLDS: Final = 3
TRAINED_OFFERS: Final = 60_000
"""Each model learns from at most so many offers: what can be foreseen of a response is coarse."""

ROUNDS: Final = 60
SETTINGS: Final[dict[str, Any]] = {
    "objective": "regression",
    "learning_rate": 0.08,
    "num_leaves": 8,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def member_folds(member_ids: pd.Series) -> np.ndarray:
    """Assign each member to one of the folds, by hash: all of a member's offers share it."""
    return np.asarray(pd.util.hash_array(member_ids.to_numpy(dtype=object)) % FOLDS)


def foresee(
    offers: pd.DataFrame, inputs: Sequence[str], outcomes: Sequence[str], *, seed: int, threads: int
) -> np.ndarray:
    """Predict the outcomes of every offer from models that have seen none of its member's offers.

    Parameters
    ----------
    offers
        With ``member_id``, the inputs and the outcomes.
    inputs
        Columns known when the offers were assigned; the assignment itself is none of them.
    outcomes
        Columns to foresee.
    seed, threads
        Of LightGBM. The predictions do not depend on the number of threads.

    Returns
    -------
    numpy.ndarray
        One row per offer, one column per outcome.
    """
    known = offers[list(inputs)].to_numpy(np.float64)
    happened = offers[list(outcomes)].to_numpy(np.float64)
    folds = member_folds(offers["member_id"])
    foreseen = np.zeros_like(happened)
    rng = np.random.default_rng(seed)
    for fold in range(FOLDS):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(others) > TRAINED_OFFERS:
            others = np.sort(rng.choice(others, TRAINED_OFFERS, replace=False))
        if len(own) and len(others):
            for number in range(happened.shape[1]):
                foreseen[own, number] = _learnt(known[others], happened[others, number], seed, threads).predict(
                    known[own], num_threads=threads
                )
    return foreseen


def _learnt(known: np.ndarray, happened: np.ndarray, seed: int, threads: int) -> lgb.Booster:
    settings = {**SETTINGS, "seed": seed, "num_threads": threads}
    return lgb.train(settings, lgb.Dataset(known, happened, params=settings), ROUNDS)
