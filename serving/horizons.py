"""Whether a member orders within other horizons than the models'. Pure.

The buy-till-you-die formula gives the shape over time, the models the level: a member's cumulative hazard by the
formula is scaled to what the models say at their own horizons, in between by interpolation of the scale's logarithm. So
the probability rises with time, as it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from serving.bundle import Floats, ModelBundle
from serving.priors import DECIMALS, p_order_within

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
    formula = {horizon: _log_hazard(p_order_within(features, bundle.constants, horizon)) for horizon in {*own, *days}}
    scales = {
        horizon: _log_hazard(probability.to_numpy(np.float64)) - formula[horizon]
        for horizon, probability in own.items()
    }
    near, far = min(own), max(own)
    reach = formula[far] - formula[near]
    columns = []
    for horizon in days:
        way = np.divide(formula[horizon] - formula[near], reach, out=np.zeros_like(reach), where=reach > 0)
        scale = scales[near] + way.clip(0, 1) * (scales[far] - scales[near])
        columns.append(np.round(-np.expm1(-np.exp(formula[horizon] + scale)), DECIMALS))
    return np.column_stack(columns) if columns else np.empty((len(features), 0))


def _log_hazard(probability: Floats) -> Floats:
    """Return the logarithm of the cumulative hazard that gives this probability."""
    return np.asarray(np.log(-np.log1p(-probability.clip(SUREST, 1 - SUREST))))
