"""How much a member's history says: the rungs of the cold start ladder, from features alone."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from serving.by_name import Members, numbers, size

HistoryLevel = Literal["no_order", "one_order", "few_orders", "returned", "long_history"]
HISTORY_LEVELS: Final = get_args(HistoryLevel)

LONG_ORDER_DAYS: Final = 5
LONG_TENURE_DAYS: Final = 91
LAPSE_DAYS: Final = 91
LAPSE_GAPS: Final = 3.0


def history_levels(features: Members) -> NDArray[np.object_]:
    """Place every member on the ladder.

    Parameters
    ----------
    features
        The feature table.

    Returns
    -------
    numpy.ndarray
        One of `HISTORY_LEVELS` per row: ``no_order``; ``one_order``, all on one day; ``returned``, back after a silence
        of more than 91 days and three of the member's own gaps before it, with no order since; ``long_history``,
        orders on five days or more and over 91 days since the first; ``few_orders`` otherwise.
    """
    column = {
        name: numbers(features, name)
        for name in ("order_days", "tenure_days", "gap_count", "gap_mean_days", "gap_last_days")
    }
    order_days, gaps, last_gap = column["order_days"], column["gap_count"], column["gap_last_days"]
    before = np.divide(
        column["gap_mean_days"] * gaps - last_gap, gaps - 1, out=np.full(size(features), np.nan), where=gaps > 1
    )
    conditions = {
        "no_order": order_days == 0,
        "one_order": order_days == 1,
        "returned": (last_gap > LAPSE_DAYS) & (last_gap > LAPSE_GAPS * before),
        "long_history": (order_days >= LONG_ORDER_DAYS) & (column["tenure_days"] > LONG_TENURE_DAYS),
    }
    return np.select(list(conditions.values()), list(conditions), default="few_orders").astype(object)
