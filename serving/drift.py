"""How far features have moved from where the models were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from serving.bundle import ColumnProfile, Floats, ModelBundle

THRESHOLD = 0.25
"""A population stability index above this is commonly read as: no longer the population the model was trained on."""

_WORST = 5
_LEAST_SHARE = 1e-4

Distribution = Mapping[str, tuple[int, ...]]
"""Per profiled feature, how many values lie up to each inner quantile of its profile and above all, and are missing."""


def distribution(features: pd.DataFrame, bundle: ModelBundle) -> dict[str, tuple[int, ...]]:
    """Count members between the quantiles of the bundle's profile. Counts of parts add up to those of the whole."""
    return {name: counted(features[name], profile) for name, profile in bundle.reference_profile.items()}


def counted(values: pd.Series, profile: ColumnProfile) -> tuple[int, ...]:
    """Count one feature's values; see `Distribution`."""
    known = values.dropna().to_numpy(dtype="float64")
    edges = _edges(profile)
    between = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return (*between.tolist(), len(values) - len(known))


def united(parts: Sequence[Distribution]) -> dict[str, tuple[int, ...]]:
    """Add the counts of parts of the members."""
    names = parts[0] if parts else ()
    return {name: tuple(map(sum, zip(*(part[name] for part in parts), strict=True))) for name in names}


def drifted(counts: Distribution, bundle: ModelBundle) -> dict[str, float]:
    """Return the features that moved most, by their population stability index, the worst first.

    Parameters
    ----------
    counts
        Of the members to score.
    bundle
        Tells how each feature was distributed where its models were trained.

    Returns
    -------
    dict
        At most five features above ``THRESHOLD``.
    """
    found = {name: stability_index(counts[name], profile) for name, profile in bundle.reference_profile.items()}
    moved = {name: round(index, 3) for name, index in found.items() if index > THRESHOLD}
    return dict(sorted(moved.items(), key=lambda item: (-item[1], item[0]))[:_WORST])


def stability_index(counts: Sequence[int], profile: ColumnProfile) -> float:
    """Compare counted values to a profile by the shares between its quantiles and of what is missing.

    What chance alone would add for so few values is taken off. Where one value fills several quantiles, its share in
    the profile is known to lie between two of them only, and the one nearest to what is seen is taken.
    """
    between, members = counts[:-1], sum(counts)
    known = sum(between)
    edges = _edges(profile)
    seen_up_to = np.cumsum(between)[:-1] / max(known, 1)
    expected_up_to = _expected(np.asarray(profile.quantiles), edges, seen_up_to)
    before, now = (
        np.clip([share, *(np.diff(up_to, prepend=0.0, append=1.0) * (1 - share))], _LEAST_SHARE, None)
        for up_to, share in ((expected_up_to, profile.missing_share), (seen_up_to, 1 - known / members))
    )
    by_chance = (len(edges) + 1) / members
    return max(0.0, float(((now - before) * np.log(now / before)).sum()) - by_chance)


def _edges(profile: ColumnProfile) -> Floats:
    return np.unique(np.asarray(profile.quantiles[1:-1], dtype=np.float64))


def _expected(quantiles: Floats, edges: Floats, seen_up_to: Floats) -> Floats:
    """Return the share of a profile's values up to each of its distinct inner quantiles."""
    first, after = (np.searchsorted(quantiles, edges, side=side) for side in ("left", "right"))
    steps = len(quantiles) - 1
    at_least = (after - 1) / steps
    return np.where(after - first > 1, np.clip(seen_up_to, at_least, at_least + 1 / steps), at_least)
