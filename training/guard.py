"""The leakage guard: training is refused where a feature knows what came after, by name.

Each feature is judged alone, on adjacent snapshots, among members whose outcome is open: those who ordered within two
churn horizons. That whoever is gone for years stays away is no leak. How the churn share differs over its values is
learnt from half of the earlier snapshot's members; its power is the AUC this gives for the other half, and for the
later snapshot. Honest features of the development programmes reach 0.84, and none that reaches 0.8 loses half of it by
more than chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, RefusedError
from features.programme import Programme
from serving.bundle import Floats
from training.metrics import auc
from training.snapshots import Population, Snapshot

SEPARATES_FROM: Final = 0.98
STRONG_FROM: Final = 0.8
MOST_LOST: Final = 0.5
"""Share of a strong feature's power, its AUC above a half, that may be gone one snapshot later."""

SURE: Final = 4.0
"""Standard errors a loss must exceed: with a hundred features on several dates, chance alone makes large ones."""

FEWEST_OF_EACH: Final = 30
"""With fewer members who churned, or who did not, an AUC near 1 comes by chance."""

OPEN_HORIZONS: Final = 2
"""Members who last ordered so many churn horizons ago, or never, are not judged: next to all of them stay away."""

JUDGED_MEMBERS: Final = 20_000
VALUE_BINS: Final = 32
WEIGHT_OF_ALL: Final = 10.0

HOW_TO_TRUST: Final = (
    "; a feature that is known to be honest passes when it is named in the programme file:\n"
    '  [training]\n  trusted_features = ["..."]'
)


@dataclass(frozen=True)
class Power:
    """How well a feature alone tells who will churn, among the same date's members and one snapshot later."""

    feature: str
    then: float
    later: float
    noise: float
    """Standard error of the difference of the two, at most."""

    @property
    def separates(self) -> bool:
        """Tell whether no honest feature could do this well."""
        return max(self.then, self.later) >= SEPARATES_FROM

    @property
    def collapses(self) -> bool:
        """Tell whether it is strong only while what came after is already in the tables."""
        lost = self.then - self.later
        return self.then >= STRONG_FROM and lost > max(MOST_LOST * (self.then - 0.5), SURE * self.noise)


def refuse_leaks(snapshots: Sequence[Snapshot], now: Population, programme: Programme) -> None:
    """Refuse to learn from snapshots whose features know what came after.

    Raises
    ------
    RefusedError
        Naming each feature that separates the label alone or whose power collapses one snapshot later, except those
        the programme trusts, and each snapshot whose label window overlaps what features have seen.
    InputError
        If the programme trusts a feature that does not exist.
    """
    trusted = _trusted(programme.training.trusted_features, _features(now))
    overlapping = [problem for each in snapshots for problem in _overlaps(each, now, programme)]
    leaks = overlapping or [
        problem
        for earlier, later in pairwise(snapshots)
        for power in powers(earlier, later, programme.horizons.churn_days)
        if power.feature not in trusted
        and (problem := _problem(power, programme.local_date(earlier.as_of).isoformat()))
    ]
    if leaks:
        raise RefusedError(
            "what came after has leaked into the features:\n"
            + "\n".join(f"  {leak}" for leak in dict.fromkeys(leaks))
            + "\ncheck the times of the tables they are made from, and give `recorded_at` where rows come in late"
            + ("" if overlapping else HOW_TO_TRUST)
        )


def _trusted(names: Sequence[str], features: Sequence[str]) -> set[str]:
    for name in names:
        if name not in features:
            near = get_close_matches(name, features, n=1)
            raise InputError(
                f"training.trusted_features: there is no feature {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else "docs/features.md lists them")
            )
    return set(names)


def powers(earlier: Snapshot, later: Snapshot, churn_days: int) -> Iterator[Power]:
    """Yield the power of each feature; none where too few members churned, or too few did not."""
    first, second = (_part(each, OPEN_HORIZONS * churn_days) for each in (earlier, later))
    half = pd.util.hash_array(first["member_id"].to_numpy(dtype=object)) % 2 == 0
    learn, judge = first[half], first[~half]
    if not all(_has_both(each["churned"]) for each in (learn, judge, second)):
        return
    for name in _features(earlier):
        rate = _ChurnRate.learn(*_columns(learn, name))
        then, afterwards = (_auc(rate, *_columns(each, name)) for each in (judge, second))
        noise = np.hypot(_noise(then, judge["churned"]), _noise(afterwards, second["churned"]))
        yield Power(name, then, afterwards, float(noise))


@dataclass(frozen=True)
class _ChurnRate:
    """The churn share over a feature's values, in bins at its quantiles; missing values are a bin of their own."""

    edges: Floats
    shares: Floats

    @classmethod
    def learn(cls, values: Floats, churned: Floats) -> _ChurnRate:
        known = values[~np.isnan(values)]
        inner = np.linspace(0, 1, VALUE_BINS + 1)[1:-1]
        edges = np.unique(np.quantile(known, inner)) if len(known) else np.zeros(0)
        bin_of = _bins(values, edges)
        members, positives = (np.bincount(bin_of, weights, len(edges) + 2) for weights in (None, churned))
        return cls(edges, (positives + WEIGHT_OF_ALL * churned.mean()) / (members + WEIGHT_OF_ALL))

    def __call__(self, values: Floats) -> Floats:
        return self.shares[_bins(values, self.edges)]


def _bins(values: Floats, edges: Floats) -> NDArray[np.intp]:
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))


def _auc(rate: _ChurnRate, values: Floats, churned: Floats) -> float:
    return float(auc(churned, rate(values), np.ones((1, len(churned))))[0])


def _noise(area: float, churned: pd.Series) -> float:
    """Return the most an AUC's standard error can be: A (1 - A) / min(m, n) bounds its variance (Van Dantzig 1951)."""
    fewer = min(churned.sum(), len(churned) - churned.sum())
    return float(np.sqrt(area * (1 - area) / fewer))


def _part(snapshot: Snapshot, open_days: int) -> pd.DataFrame:
    typical = snapshot.evened()
    members = typical.features.assign(churned=typical.labels["churned"])
    members = members[members["recency_days"] <= open_days]
    return members.sample(JUDGED_MEMBERS, random_state=0) if len(members) > JUDGED_MEMBERS else members


def _features(population: Population) -> list[str]:
    return [str(name) for name in population.features if name not in ("member_id", "as_of")]


def _columns(members: pd.DataFrame, name: str) -> tuple[Floats, Floats]:
    return members[name].to_numpy(np.float64), members["churned"].to_numpy(np.float64)


def _has_both(churned: pd.Series) -> bool:
    return bool(FEWEST_OF_EACH <= churned.sum() <= len(churned) - FEWEST_OF_EACH)


def _problem(power: Power, as_of: str) -> str | None:
    if power.separates:
        alone = max(power.then, power.later)
        return f"{power.feature} alone tells who will churn after {as_of} (AUC {alone:.3f})"
    if power.collapses:
        fell = f"AUC {power.then:.3f}, then {power.later:.3f}"
        return f"{power.feature} tells who churned after {as_of}, but no more one date later ({fell})"
    return None


def _overlaps(snapshot: Snapshot, now: Population, programme: Programme) -> Iterator[str]:
    """Say where features have seen what labels tell of."""
    as_of = programme.local_date(snapshot.as_of)
    if snapshot.matured_at > now.as_of:
        ends = programme.local_date(snapshot.matured_at)
        yield f"labels of {as_of} run until {ends}, beyond the features of {programme.local_date(now.as_of)}"
    if (snapshot.features["as_of"] > snapshot.as_of).any():
        yield f"features beside the labels of {as_of} have seen days after it"
    if snapshot.constants.fitted_at > snapshot.as_of:
        yield f"constants beside the labels of {as_of} were fitted on days after it"
