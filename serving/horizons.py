"""Whether a member orders within other horizons than the models'. Pure.

The buy-till-you-die formula gives the shape over time, the models the level: on the log-odds scale a member's formula
is shifted to what the models say at their own horizons, in between by interpolation. It rises with time, as it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from serving.bundle import Floats, ModelBundle
from serving.priors import DECIMALS, order_log_odds

SUREST: Final = 1e-9


def order_probabilities(
    features: pd.DataFrame, scores: pd.DataFrame, bundle: ModelBundle, days: Sequence[int]
) -> Floats:
    """Return the probability of an order within each number of days: one row per member, one column per horizon.

    Parameters
    ----------
    features, scores
        The feature table and its scores by the bundle, row by row.
    bundle
        Whose horizons and constants apply.
    days
        Horizons. At the bundle's own, the scores' probabilities come back.
    """
    own = {bundle.churn_days: 1 - scores["churn_probability"], bundle.value_days: scores["order_probability"]}
    formulas = {horizon: order_log_odds(features, bundle.constants, horizon) for horizon in {*own, *days}}
    shifts = {
        horizon: logit(probability.to_numpy(np.float64).clip(SUREST, 1 - SUREST)) - formulas[horizon]
        for horizon, probability in own.items()
    }
    near, far = min(own), max(own)
    reach = formulas[far] - formulas[near]
    columns = []
    for horizon in days:
        way = np.divide(formulas[horizon] - formulas[near], reach, out=np.zeros_like(reach), where=reach > 0)
        shift = shifts[near] + way.clip(0, 1) * (shifts[far] - shifts[near])
        columns.append(np.round(expit(formulas[horizon] + shift), DECIMALS))
    return np.column_stack(columns) if columns else np.empty((len(features), 0))
