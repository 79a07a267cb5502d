"""How sure values were, held against what happened: intervals of members, their distribution, and the total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from serving.bundle import ModelBundle
from serving.intervals import total_interval, value_rank
from training.evaluate import interval_coverage, uniformity_distance

LIKELY_TO_ORDER: Final = 0.3


@dataclass(frozen=True)
class Sureness:
    """What intervals and predictive distributions came to.

    Attributes
    ----------
    coverage_80
        Share of values in their 80 % interval, among members likelier than `LIKELY_TO_ORDER` to order.
    members_covered
        How many these are.
    pit_distance
        Greatest distance from uniform of where values lay in their predictive distributions.
    total_low, total_high
        Ends of the 90 % interval of the total over the actual total, less one.
    total_covered
        Whether it holds the actual total.
    """

    coverage_80: float
    members_covered: int
    pit_distance: float
    total_low: float
    total_high: float
    total_covered: bool


def sureness(members: pd.DataFrame, bundle: ModelBundle) -> Sureness:
    """Judge the intervals of scored members whose ``value`` is known; against a total of 0 the ends are NaN."""
    chance, if_active = (members[name].to_numpy() for name in ("order_probability", "value_if_active"))
    likely = members[chance > LIKELY_TO_ORDER]
    total = total_interval(chance, if_active, bundle.value_spread, level_margin=bundle.level_margin)
    actual = float(members["value"].sum())
    rank = value_rank(members["value"].to_numpy(), chance, if_active, bundle.value_spread)
    return Sureness(
        coverage_80=interval_coverage(likely["value"], likely["expected_value_low"], likely["expected_value_high"]),
        members_covered=len(likely),
        pit_distance=uniformity_distance(rank),
        total_low=total.low / actual - 1 if actual else float("nan"),
        total_high=total.high / actual - 1 if actual else float("nan"),
        total_covered=bool(total.low <= actual <= total.high),
    )
