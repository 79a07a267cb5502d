"""What a churn model is worth in money: maximum profit after Verbraken, Verbeke and Baesens (2013).

A campaign offers an incentive to the members most likely to churn. Of those who would have churned, a share accepts and
stays: they bring their lifetime value and cost the incentive. Those who would have stayed anyway take it and cost it.
Everybody offered costs the contact. The share that accepts is not known beforehand: Beta-distributed, it gives the
expected maximum profit, the mean over that share of the profit at the threshold best for it.

T. Verbraken, W. Verbeke, B. Baesens: A Novel Profit Maximizing Metric for Measuring Classification Performance of
Customer Churn Prediction Models. IEEE Transactions on Knowledge and Data Engineering 25(5), 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import beta

from features.settings_incentives import Incentive
from serving.bundle import Floats

ACCEPT_ALPHA: Final = 6.0
ACCEPT_BETA: Final = 14.0
"""The paper's prior on the share that accepts: 30 % on average, between 13 % and 51 % in 95 of 100 campaigns."""

NEVER: Final = 2.0
"""A threshold no probability reaches."""

PROFIT_COLUMNS: Final = [
    "model", "incentive", "clv", "incentive_cost", "contact_cost", "expected_maximum_profit", "targeted_share",
    "threshold", "profit_at_threshold", "profit_of_all",
]  # fmt: skip


@dataclass(frozen=True)
class MaximumProfit:
    """The most a campaign can be expected to earn per member, and the share of members it then goes to."""

    per_member: float
    targeted_share: float


def expected_maximum_profit(
    churned: ArrayLike,
    churn_probability: ArrayLike,
    *,
    clv: float,
    incentive_cost: float,
    contact_cost: float,
    accept_alpha: float,
    accept_beta: float,
) -> MaximumProfit:
    """Return the expected maximum profit of a model, and the share of members to target for it.

    Profit at a threshold is linear in the share that accepts, so the best threshold changes only at the slopes between
    corners of the ROC curve's convex hull, and the mean over the Beta distribution has a closed form.

    Parameters
    ----------
    churned, churn_probability
        What members did, 0 or 1, and what was predicted.
    clv
        Lifetime value of a member who is kept.
    incentive_cost
        Of an incentive that is taken.
    contact_cost
        Of each offer.
    accept_alpha, accept_beta
        Parameters of the Beta distribution of the share of would-be churners who accept.
    """
    gain, cost, targeted = _hull(
        churned, churn_probability, clv=clv, incentive_cost=incentive_cost, contact_cost=contact_cost
    )
    corners = np.clip(np.diff(cost) / np.diff(gain), 0, 1)
    bounds = np.concatenate([[0.0], corners, [1.0]])
    probability = np.diff(beta.cdf(bounds, accept_alpha, accept_beta))
    mean = accept_alpha / (accept_alpha + accept_beta)
    accepted = mean * np.diff(beta.cdf(bounds, accept_alpha + 1, accept_beta))
    return MaximumProfit(
        per_member=float(gain @ accepted - cost @ probability), targeted_share=float(targeted @ probability)
    )


def profit(
    churned: ArrayLike,
    churn_probability: ArrayLike,
    *,
    threshold: float,
    clv: float,
    incentive_cost: float,
    contact_cost: float,
    accept_rate: float,
) -> float:
    """Return the profit per member of offering to all whose churn probability reaches a threshold."""
    actual, predicted = (np.asarray(column, np.float64) for column in (churned, churn_probability))
    offered = predicted >= threshold
    from_churner = accept_rate * (clv - incentive_cost) - contact_cost
    earned = np.where(actual > 0, from_churner, -(incentive_cost + contact_cost))
    return float((earned * offered).sum() / len(offered)) if len(offered) else np.nan


def break_even_probability(*, clv: float, incentive_cost: float, contact_cost: float, accept_rate: float) -> float:
    """Return the churn probability from which on an offer pays; it is above 1 where none does."""
    kept = accept_rate * (clv - incentive_cost)
    return (incentive_cost + contact_cost) / (kept + incentive_cost) if kept > contact_cost else NEVER


def profit_table(
    churned: ArrayLike,
    churn_probability: Mapping[str, ArrayLike],
    *,
    clv: float,
    incentives: Sequence[Incentive],
) -> pd.DataFrame:
    """Return what offering each incentive by churn probability would have earned per member, by model.

    The threshold is where an offer breaks even at the mean share that accepts; ``profit_of_all`` is that of offering to
    everybody.

    Parameters
    ----------
    churned
        What members did, 0 or 1.
    churn_probability
        What each model predicted of them.
    clv
        Lifetime value of a member who is kept.
    incentives
        Give the costs: ``face_value`` where it is taken, ``contact_cost`` for each offer.
    """
    rows = [
        {"model": model, "incentive": incentive.id, **_row(churned, predicted, clv=clv, incentive=incentive)}
        for incentive in incentives
        for model, predicted in churn_probability.items()
    ]
    return pd.DataFrame(rows, columns=PROFIT_COLUMNS)


def _row(churned: ArrayLike, predicted: ArrayLike, *, clv: float, incentive: Incentive) -> dict[str, float]:
    costs = {"clv": clv, "incentive_cost": incentive.face_value, "contact_cost": incentive.contact_cost}
    accept_rate = ACCEPT_ALPHA / (ACCEPT_ALPHA + ACCEPT_BETA)
    threshold = break_even_probability(**costs, accept_rate=accept_rate)
    best = expected_maximum_profit(churned, predicted, **costs, accept_alpha=ACCEPT_ALPHA, accept_beta=ACCEPT_BETA)
    return {
        **costs,
        "expected_maximum_profit": best.per_member,
        "targeted_share": best.targeted_share,
        "threshold": threshold,
        "profit_at_threshold": profit(churned, predicted, threshold=threshold, **costs, accept_rate=accept_rate),
        "profit_of_all": profit(churned, predicted, threshold=0.0, **costs, accept_rate=accept_rate),
    }


def _hull(
    churned: ArrayLike, churn_probability: ArrayLike, *, clv: float, incentive_cost: float, contact_cost: float
) -> tuple[Floats, Floats, Floats]:
    """Return the corners of the ROC curve's upper hull, from nobody to everybody who may be worth targeting.

    Of each: what targeting it earns per unit of the share that accepts, what it costs, and the share of members.
    """
    actual, predicted = (np.asarray(column, np.float64) for column in (churned, churn_probability))
    distinct, group = np.unique(-predicted, return_inverse=True)
    churners = np.bincount(group, actual, len(distinct)).cumsum() / max(len(actual), 1)
    everybody = np.bincount(group, minlength=len(distinct)).cumsum() / max(len(actual), 1)
    gain = np.concatenate([[0.0], churners * (clv - incentive_cost)])
    cost = np.concatenate([[0.0], everybody * contact_cost + (everybody - churners) * incentive_cost])
    targeted = np.concatenate([[0.0], everybody])
    kept = _lower_hull(gain, cost)
    return gain[kept], cost[kept], targeted[kept]


def _lower_hull(x: Floats, y: Floats) -> list[int]:
    """Return the indices of the corners of the lower convex hull, among points by which x rises."""
    hull: list[int] = []
    for at in np.flatnonzero(np.diff(x, prepend=-np.inf) > 0).tolist():
        while len(hull) > 1 and not _turns_up(hull[-2], hull[-1], at, x, y):
            hull.pop()
        hull.append(at)
    return hull


def _turns_up(one: int, two: int, three: int, x: Floats, y: Floats) -> bool:
    return bool((y[two] - y[one]) * (x[three] - x[two]) < (y[three] - y[two]) * (x[two] - x[one]))
