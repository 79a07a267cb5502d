"""Whether a member orders within other horizons than the models'. Pure.

The buy-till-you-die formula gives the shape over time, the models the level: a member's cumulative hazard by the
formula is scaled to what the models say at their own horizons, in between by interpolation of the scale's logarithm. So
the probability rises with time, as it must.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from serving.bundle import Floats, ModelBundle
from serving.by_name import Members, size
from serving.priors import DAYS_PER_WEEK, DECIMALS, clock, p_orders

SUREST: Final = 1e-9


def order_probabilities(
    features: Members, scores: pd.DataFrame | Mapping[str, Floats], bundle: ModelBundle, days: Sequence[int]
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
    churn, orders = (np.asarray(scores[name], np.float64) for name in ("churn_probability", "order_probability"))
    own = {bundle.churn_days: 1 - churn, bundle.value_days: orders}
    weeks = {horizon: horizon / DAYS_PER_WEEK for horizon in {*own, *days}}
    history, btyd = clock(features), bundle.constants.btyd
    formula = {horizon: _log_hazard(p_orders(*history, btyd, ahead)) for horizon, ahead in weeks.items()}
    scales = {horizon: _log_hazard(probability) - formula[horizon] for horizon, probability in own.items()}
    near, far = min(own), max(own)
    reach = formula[far] - formula[near]
    columns = []
    for horizon in days:
        way = np.divide(formula[horizon] - formula[near], reach, out=np.zeros_like(reach), where=reach > 0)
        scale = scales[near] + way.clip(0, 1) * (scales[far] - scales[near])
        columns.append(np.round(-np.expm1(-np.exp(formula[horizon] + scale)), DECIMALS))
    return np.column_stack(columns) if columns else np.empty((size(features), 0))


def _log_hazard(probability: Floats) -> Floats:
    """Return the logarithm of the cumulative hazard that gives this probability."""
    return np.asarray(np.log(-np.log1p(-probability.clip(SUREST, 1 - SUREST))))
