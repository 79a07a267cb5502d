"""What the classical buy-till-you-die formulas expect of a member, from the bundle's fitted constants. Pure.

BG/NBD is Fader, Hardie and Lee (2005), MBG/NBD is Batislam, Denizel and Filiztekin (2007), Gamma-Gamma is Fader and
Hardie (2013). Time is in weeks. An order is an order day, and the first one only starts the clock: ``repeats`` counts
the order days after it, ``last`` is the time from the first to the last and ``age`` that from the first until now.

A member leaves right after an order or not at all: in MBG/NBD after any, in BG/NBD after any but the first. Given that
they are still there, the rate of orders is Gamma(r + repeats, alpha + age) and the chance of leaving after an order
Beta(a, b + how often they might have left), independently.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit, hyp2f1, logit

from serving.bundle import BetaGeometric, FittedConstants, Floats, GammaGamma
from serving.by_name import Members, numbers, size

DAYS_PER_WEEK: Final = 7.0
PRIOR_GAPS: Final = 2.0
PROBABILITY_FLOOR: Final = 1e-3
VALUE_FLOOR: Final = 0.01
NEXT_ORDER_QUANTILES: Final = {"next_order_days": 0.5, "next_order_low_days": 0.1, "next_order_high_days": 0.9}
DECIMALS: Final = 9

PRIOR_COLUMNS: Final = (
    "prior_p_alive",
    "prior_expected_orders",
    "prior_p_orders",
    "prior_value_per_order",
    "prior_expected_value",
    "prior_value_if_active",
    "prior_overdue",
    "prior_churn_logit",
    "prior_orders_logit",
    "prior_log_value",
)
PRIOR_INPUTS: Final = (
    "repeat_order_days",
    "first_to_last_days",
    "tenure_days",
    "joined_days",
    "repeat_value_mean",
    "recency_days",
    "gap_count",
    "gap_median_days",
)


def p_alive(repeats: Floats, last: Floats, age: Floats, btyd: BetaGeometric) -> Floats:
    """Probability that a member has not left for good; 1 where they never might have."""
    silence = (btyd.r + repeats) * np.log((btyd.alpha + age) / (btyd.alpha + last))
    chances = repeats + btyd.leaves_after_first
    log_odds_left = np.log(btyd.a) - np.log(btyd.b + np.maximum(chances, 1) - 1) + silence
    return np.where(chances > 0, expit(-log_odds_left), 1.0)


def p_orders_if_alive(repeats: Floats, age: Floats, btyd: BetaGeometric, weeks: float) -> Floats:
    """Probability of an order in the coming weeks for a member who has not left: they stay until they order."""
    return np.asarray(-np.expm1((btyd.r + repeats) * _log_shrink(age, btyd, weeks)))


def orders_if_alive(repeats: Floats, age: Floats, btyd: BetaGeometric, weeks: float) -> Floats:
    """Orders to expect in the coming weeks from a member who has not left.

    The published 2F1(r + x, b + x; a + b + x - 1; z) overflows for frequent buyers; Euler's transformation takes x out
    of its numerator. The poles at a = 1 and a + b + x = 1 are removable, so the formula is taken a hair beside them.
    Where a or b is so large that it still overflows, the chance of leaving hardly varies and its mean stands in.
    MBG/NBD is the same with b + 1 for b: who is still there has stayed once more.
    """
    a_less_1, b = _off_zero(np.array([btyd.a - 1.0])), btyd.b + btyd.leaves_after_first
    c = _off_zero(btyd.a + b + repeats - 1.0)
    log_shrink = _log_shrink(age, btyd, weeks)
    gauss = hyp2f1(btyd.a + b - 1.0 - btyd.r, a_less_1, c, -np.expm1(log_shrink))
    with np.errstate(invalid="ignore", over="ignore"):
        orders = c / a_less_1 * (1.0 - np.exp(a_less_1 * log_shrink) * gauss)
    rate = (btyd.r + repeats) / (btyd.alpha + age)
    leaves = btyd.a / (btyd.a + b + repeats)
    if_leaving_is_fixed = -np.expm1(-(btyd.r + repeats) * np.log1p(leaves * weeks / (btyd.alpha + age))) / leaves
    orders = np.where(np.isfinite(orders), orders, if_leaving_is_fixed)
    return np.clip(orders, p_orders_if_alive(repeats, age, btyd, weeks), rate * weeks)


def p_orders(repeats: Floats, last: Floats, age: Floats, btyd: BetaGeometric, weeks: float) -> Floats:
    """Probability of at least one order in the coming weeks."""
    return p_alive(repeats, last, age, btyd) * p_orders_if_alive(repeats, age, btyd, weeks)


def expected_orders(repeats: Floats, last: Floats, age: Floats, btyd: BetaGeometric, weeks: float) -> Floats:
    """Orders to expect in the coming weeks."""
    return p_alive(repeats, last, age, btyd) * orders_if_alive(repeats, age, btyd, weeks)


def expected_spend(repeats: Floats, mean_value: Floats, spend: GammaGamma) -> Floats:
    """Value to expect of an order day, given the mean over the member's repeat order days."""
    total = np.where(repeats > 0, repeats * mean_value, 0.0)
    return spend.p * (spend.v + total) / (spend.p * repeats + spend.q - 1.0)


def days_until_order(repeats: Floats, age: Floats, btyd: BetaGeometric, probability: float) -> Floats:
    """Return the days within which a member who has not left orders with this probability.

    They stay until they order, at a rate that is Gamma(r + repeats, alpha + age): the wait has a Lomax distribution.
    It is too heavy-tailed for a mean, so ask for its median.
    """
    return np.asarray(DAYS_PER_WEEK * (btyd.alpha + age) * np.expm1(-np.log1p(-probability) / (btyd.r + repeats)))


def next_order(features: Members, constants: FittedConstants, horizon_days: int) -> dict[str, Floats]:
    """Say whether members are still there and, if they are, when they will order next, row by row.

    Parameters
    ----------
    features
        The feature table.
    constants
        What was fitted on the member base.
    horizon_days
        How far ahead a date is stated.

    Returns
    -------
    dict
        ``active_probability``; ``next_order_days``, the median wait if active; ``next_order_low_days`` and
        ``next_order_high_days``, between which it ends with 80 % probability. Days count from as_of and are missing
        where they lie beyond the horizon; everything is missing where there is no order to go by.
    """
    repeats, last, age = clock(features)
    known = ~np.isnan(numbers(features, "recency_days"))
    waits = {
        name: days_until_order(repeats, age, constants.btyd, probability)
        for name, probability in NEXT_ORDER_QUANTILES.items()
    }
    columns = {
        "active_probability": np.where(known, p_alive(repeats, last, age, constants.btyd), np.nan),
        **{name: np.where(known & (days <= horizon_days), days, np.nan) for name, days in waits.items()},
    }
    return {name: np.round(values, DECIMALS) for name, values in columns.items()}


def typical_gap_days(features: Members, constants: FittedConstants, prior_gaps: float) -> Floats:
    """Return each member's own typical days between orders, shrunk to the programme's median.

    The programme's median weighs as much as ``prior_gaps`` gaps of the member's own; without gaps it stands alone.
    """
    count, own = (numbers(features, name) for name in ("gap_count", "gap_median_days"))
    weighted = np.where(count > 0, count * own, 0.0) + prior_gaps * constants.median_gap_days
    weight = count + prior_gaps
    programme = np.full(size(features), constants.median_gap_days)
    return np.asarray(np.divide(weighted, weight, out=programme, where=weight > 0))


def value_if_active(features: Members, constants: FittedConstants, value_days: int) -> Floats:
    """Return ``prior_value_if_active`` alone; see :func:`prior_columns`."""
    repeats, _, age = clock(features)
    btyd, weeks = constants.btyd, value_days / DAYS_PER_WEEK
    per_order = _value_per_order(repeats, numbers(features, "repeat_value_mean"), constants)
    orders = orders_if_alive(repeats, age, btyd, weeks) / p_orders_if_alive(repeats, age, btyd, weeks)
    return np.round(per_order * orders, DECIMALS)


def prior_columns(features: pd.DataFrame, constants: FittedConstants, churn_days: int, value_days: int) -> pd.DataFrame:
    """Return :func:`prior_values` in the index of the features."""
    return pd.DataFrame(prior_values(features, constants, churn_days, value_days), index=features.index)


def prior_values(features: Members, constants: FittedConstants, churn_days: int, value_days: int) -> dict[str, Floats]:
    """Turn features into the columns of `PRIOR_COLUMNS`, row by row.

    Members who never ordered are taken as if joining had been their first order: every column but ``prior_overdue``
    is finite for everybody, as a model's starting point must be. ``prior_p_orders``, ``prior_expected_*`` and
    ``prior_value_if_active`` look ``value_days`` ahead; the three on the link scale start the models, and are no surer
    than one in a thousand: the formulas are too sure of frequent buyers who fall silent for trees to correct.
    """
    repeats, last, age = clock(features)
    btyd, weeks = constants.btyd, value_days / DAYS_PER_WEEK
    alive = p_alive(repeats, last, age, btyd)
    p_if_alive = p_orders_if_alive(repeats, age, btyd, weeks)
    orders_alive = orders_if_alive(repeats, age, btyd, weeks)
    per_order = _value_per_order(repeats, numbers(features, "repeat_value_mean"), constants)
    value_if_active = per_order * orders_alive / p_if_alive
    recency = numbers(features, "recency_days")
    columns = {
        "prior_p_alive": alive,
        "prior_expected_orders": alive * orders_alive,
        "prior_p_orders": alive * p_if_alive,
        "prior_value_per_order": per_order,
        "prior_expected_value": alive * orders_alive * per_order,
        "prior_value_if_active": value_if_active,
        "prior_overdue": recency / typical_gap_days(features, constants, PRIOR_GAPS),
        "prior_churn_logit": -_finite_logit(p_orders(repeats, last, age, btyd, churn_days / DAYS_PER_WEEK)),
        "prior_orders_logit": _finite_logit(alive * p_if_alive),
        "prior_log_value": np.log(value_if_active.clip(min=VALUE_FLOOR)),
    }
    return {name: np.round(columns[name], DECIMALS) for name in PRIOR_COLUMNS}


def clock(features: Members) -> tuple[Floats, Floats, Floats]:
    """Return repeats, time to the last order and age, in weeks; joining stands in for a first order that never came."""
    names = ("repeat_order_days", "first_to_last_days", "tenure_days", "joined_days")
    repeats, to_last, tenure, joined = (numbers(features, name) for name in names)
    age = np.nan_to_num(np.where(np.isnan(tenure), joined, tenure)).clip(min=0) / DAYS_PER_WEEK
    return repeats.clip(min=0), np.minimum(np.nan_to_num(to_last).clip(min=0) / DAYS_PER_WEEK, age), age


def _value_per_order(repeats: Floats, mean_value: Floats, constants: FittedConstants) -> Floats:
    """Gamma-Gamma where there are repeat orders, the programme's mean where there are none; a negative mean is none."""
    known = (repeats > 0) & ~np.isnan(mean_value)
    own = expected_spend(repeats, np.where(known, mean_value, 0.0).clip(min=0), constants.spend)
    return np.where(known, own, constants.mean_value_per_order)


def _log_shrink(age: Floats, btyd: BetaGeometric, weeks: float) -> Floats:
    return -np.log1p(weeks / (btyd.alpha + age))


def _off_zero(number: Floats) -> Floats:
    return np.where(np.abs(number) < 1e-7, 1e-7, number)


def _finite_logit(probability: Floats) -> Floats:
    return np.asarray(logit(probability.clip(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)))
