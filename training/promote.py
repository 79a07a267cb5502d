"""The rule by which a newly trained model replaces the one in use: it must not be worse where neither has seen.

Both models score the same members as of a date neither was trained past, and are judged by what those members then
did. A paired bootstrap bounds how much worse the challenger may be; the bound has to stay within the tolerance for
every watched metric, because a model that ranks better but misses the level still misprices offers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from training.bootstrap import paired_bootstrap
from training.compare import JUDGED, Judged

COMPARED_MEMBERS: Final = 20_000
"""Larger windows are compared on so many members, drawn at random and always the same ones."""


_WATCHED: Final = {name: JUDGED[name] for name in ("log_loss", "auc", "tweedie_deviance", "gini")}


@dataclass(frozen=True)
class Check:
    """One metric of both models, how much worse the challenger may be, and how much is allowed."""

    metric: str
    champion: float
    challenger: float
    worse_by_at_most: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Tell whether the challenger is not worse; an undefined metric shows nothing, so it does not pass."""
        return bool(self.worse_by_at_most <= self.allowed)

    def __str__(self) -> str:
        if np.isnan(self.worse_by_at_most):
            return f"{self.metric} cannot be judged on these members"
        return f"{self.metric} may be worse by {self.worse_by_at_most:.4f}, more than the {self.allowed:.4f} allowed"


@dataclass(frozen=True)
class Promotion:
    """Whether the challenger becomes champion, why, and the comparisons behind it."""

    promote: bool
    reason: str
    checks: tuple[Check, ...] = ()


def judge_challenger(
    outcomes: pd.DataFrame,
    *,
    champion: pd.DataFrame | None,
    challenger: pd.DataFrame,
    tolerance: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
) -> Promotion:
    """Decide whether a challenger replaces the champion.

    Parameters
    ----------
    outcomes
        What the members did: ``member_id``, ``churned`` and ``value``.
    champion, challenger
        What each model expected of them: ``member_id``, ``churn_probability`` and ``expected_value``. Without a
        champion the challenger is it.
    tolerance
        How much worse a metric may be, as a share of the champion's.
    confidence
        How sure the one-sided bound on the loss is.
    seed
        Of the bootstrap.
    """
    if champion is None:
        return Promotion(promote=True, reason="there is no champion yet")
    actual = _part(outcomes, seed)
    now, new = _of_members(champion, actual, "champion"), _of_members(challenger, actual, "challenger")
    checks = tuple(
        _check(name, watched, actual, now, new, tolerance=tolerance, confidence=confidence, seed=seed)
        for name, watched in _WATCHED.items()
    )
    failed = [str(check) for check in checks if not check.passed]
    reason = "; ".join(failed) if failed else f"not worse in {', '.join(_WATCHED)} on {len(actual):,} members"
    return Promotion(promote=not failed, reason=reason, checks=checks)


def _check(
    name: str,
    watched: Judged,
    actual: pd.DataFrame,
    champion: pd.DataFrame,
    challenger: pd.DataFrame,
    *,
    tolerance: float,
    confidence: float,
    seed: int,
) -> Check:
    difference = paired_bootstrap(
        watched.metric,
        actual[watched.actual],
        champion[watched.predicted],
        challenger[watched.predicted],
        confidence=2 * confidence - 1,
        seed=seed,
    )
    interval = difference.interval
    return Check(
        metric=name,
        champion=difference.first,
        challenger=difference.second,
        worse_by_at_most=interval.high if watched.rising_is_worse else -interval.low,
        allowed=tolerance * abs(difference.first),
    )


def _part(outcomes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the members to compare on, in order of their id, whatever order they came in."""
    ordered = _by_member(outcomes, "outcomes").sort_index()
    return ordered.sample(COMPARED_MEMBERS, random_state=seed) if len(ordered) > COMPARED_MEMBERS else ordered


def _of_members(scores: pd.DataFrame, actual: pd.DataFrame, name: str) -> pd.DataFrame:
    by_member = _by_member(scores, f"scores of the {name}")
    missing = actual.index.difference(by_member.index)
    if len(missing):
        raise ValueError(f"the {name} did not score {len(missing)} of the members compared, {missing[0]!r} among them")
    return by_member.reindex(actual.index)


def _by_member(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    indexed = frame.set_index("member_id")
    if not indexed.index.is_unique:
        raise ValueError(f"the {name} hold a member more than once")
    return indexed
