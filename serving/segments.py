"""Value tier, lifecycle state, persona and policy segment of each member; from features and constants alone."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
import pandas as pd

from features.catalogue import feature_names
from features.errors import InputError
from features.programme import Programme
from features.settings import Tier
from features.settings_members import Persona, States
from serving.bundle import FittedConstants
from serving.by_name import Members, numbers, size
from serving.priors import typical_gap_days, value_if_active

RHYTHMS = {"at_risk": "recent", "lapsed_short": "recent", "lapsed_mid": "mid", "lapsed_long": "long"}
"""Rhythm of each state in which a member is worth recalling; the other states have none."""

POLICY_SEGMENTS = tuple(f"{tier}__{rhythm}" for tier in get_args(Tier) for rhythm in dict.fromkeys(RHYTHMS.values()))
"""Where incentive effects are estimated and incentives chosen."""

_COMPARISONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """A feature compared with a number."""

    feature: str
    comparison: str
    number: float

    def holds(self, features: Members) -> np.ndarray:
        """Tell for which members it holds; a missing value satisfies no condition."""
        values = numbers(features, self.feature)
        return np.asarray(_COMPARISONS[self.comparison](values, self.number) & ~np.isnan(values))


def segment_members(features: pd.DataFrame, constants: FittedConstants, programme: Programme) -> pd.DataFrame:
    """Place every member.

    No model takes part, so segments stay comparable when models are trained anew.

    Parameters
    ----------
    features
        The feature table.
    constants
        What was fitted on the member base: cuts, median gap, prior.
    programme
        Whose tiers, states and personas apply.

    Returns
    -------
    pandas.DataFrame
        ``member_id``, ``tier``, ``state``, ``persona`` and ``policy_segment``, one row per row of
        ``features`` and in its index. The last two are missing where no persona matches and where there is nothing to
        recall.
    """
    return pd.DataFrame(
        {
            "member_id": features["member_id"].array,
            **{name: pd.array(told, dtype="str") for name, told in places(features, constants, programme).items()},
        },
        index=features.index,
    )


def places(features: Members, constants: FittedConstants, programme: Programme) -> dict[str, np.ndarray]:
    """Return what :func:`segment_members` does, without the ``member_id`` and as arrays of objects."""
    tier = _tier(features, constants, programme)
    state = _state(features, constants, programme.states)
    segment = np.full(size(features), None)
    for name, rhythm in RHYTHMS.items():
        rows = state == name
        segment[rows] = tier[rows] + f"__{rhythm}"
    return {"tier": tier, "state": state, "persona": _persona(features, tier, programme), "policy_segment": segment}


def check_personas(programme: Programme) -> None:
    """Check that personas compare known features with numbers, and that incentives exclude known personas.

    Raises
    ------
    InputError
        Naming each condition or name that does not fit, and the nearest that would.
    """
    known = feature_names(programme.windows)
    problems = [
        f"persona {persona.name}: {problem}"
        for persona in programme.personas
        for text in persona.when
        if (problem := _problem(text, known))
    ]
    personas = [persona.name for persona in programme.personas]
    problems += [
        f"incentive {incentive.id}: unknown persona {name!r}{_nearest(name, personas)}"
        for incentive in programme.incentives
        for name in incentive.eligible.exclude_personas
        if name not in personas
    ]
    if problems:
        raise InputError("the programme's personas do not fit:\n" + "\n".join(f"  {problem}" for problem in problems))


def _tier(features: Members, constants: FittedConstants, programme: Programme) -> np.ndarray:
    historic = numbers(features, "value_per_year")
    horizons = programme.horizons
    could_be = value_if_active(features, constants, horizons.value_days)
    conditions = {
        "high": historic >= constants.high_value_per_year,
        "potential": could_be >= constants.potential_value_if_active,
        "mid": historic >= constants.mid_value_per_year,
    }
    return _first_match(conditions, otherwise="low", members=size(features))


def _state(features: Members, constants: FittedConstants, states: States) -> np.ndarray:
    recency = numbers(features, "recency_days")
    gap = typical_gap_days(features, constants, states.prior_gaps)
    since_lapse = recency - states.lapsed_gaps * gap
    one_order = numbers(features, "order_days") <= 1
    current = recency <= states.at_risk_gaps * gap
    conditions = {
        "unknown": np.isnan(recency),
        "new": current & one_order,
        "active": current,
        "at_risk": since_lapse <= 0,
        "lapsed_short": since_lapse <= states.short_days,
        "lapsed_mid": since_lapse <= states.mid_days,
    }
    return _first_match(conditions, otherwise="lapsed_long", members=size(features))


def _persona(features: Members, tier: np.ndarray, programme: Programme) -> np.ndarray:
    matches = {persona.name: _matches(persona, features, tier) for persona in programme.personas}
    return _first_match(matches, otherwise=None, members=len(tier))


def _matches(persona: Persona, features: Members, tier: np.ndarray) -> np.ndarray:
    in_tier = np.logical_or.reduce([tier == name for name in persona.tiers or get_args(Tier)])
    held = [parse_condition(text).holds(features) for text in persona.when]
    return np.asarray(np.logical_and.reduce([in_tier, *held]))


@lru_cache
def parse_condition(text: str) -> Condition:
    """Read a condition of the form `feature comparison number`."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not of the form `feature comparison number`, e.g. `recency_days > 90`")
    feature, comparison, number = match.groups()
    return Condition(feature, comparison, float(number))


def _problem(text: str, known: Collection[str]) -> str | None:
    try:
        feature = parse_condition(text).feature
    except InputError as error:
        return str(error)
    return None if feature in known else f"{text!r}: unknown feature {feature!r}{_nearest(feature, known)}"


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _first_match(conditions: dict[str, np.ndarray], *, otherwise: str | None, members: int) -> np.ndarray:
    """Name, per member, the first condition that holds."""
    labels = np.full(members, otherwise, dtype=object)
    for name, holds in reversed(conditions.items()):
        labels[holds] = name
    return labels
