"""How far features have moved from where the models were trained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from serving.bundle import ColumnProfile, ModelBundle

THRESHOLD = 0.25
"""A population stability index above this is commonly read as: no longer the population the model was trained on."""

_WORST = 5
_LEAST_SHARE = 1e-4


def drifted(features: pd.DataFrame, bundle: ModelBundle) -> dict[str, float]:
    """Return the features that moved most, by their population stability index, the worst first.

    Parameters
    ----------
    features
        The feature table of the members to score.
    bundle
        Tells how each feature was distributed where its models were trained.

    Returns
    -------
    dict
        At most five features above ``THRESHOLD``.
    """
    found = {name: stability_index(features[name], profile) for name, profile in bundle.reference_profile.items()}
    moved = {name: round(index, 3) for name, index in found.items() if index > THRESHOLD}
    return dict(sorted(moved.items(), key=lambda item: (-item[1], item[0]))[:_WORST])


def stability_index(values: pd.Series, profile: ColumnProfile) -> float:
    """Compare values to a profile by the shares between its quantiles and of what is missing.

    What chance alone would add for so few values is taken off. Where one value fills several quantiles, its share in
    the profile is known to lie between two of them only, and the one nearest to what is seen is taken.
    """
    known = np.sort(values.dropna().to_numpy(dtype="float64"))
    missing = 1 - len(known) / len(values)
    edges = np.unique(profile.quantiles[1:-1])
    seen_up_to = np.searchsorted(known, edges, side="right") / max(len(known), 1)
    expected_up_to = _expected(np.asarray(profile.quantiles), edges, seen_up_to)
    before, now = (
        np.clip([absent, *(np.diff(up_to, prepend=0.0, append=1.0) * (1 - absent))], _LEAST_SHARE, None)
        for up_to, absent in ((expected_up_to, profile.missing_share), (seen_up_to, missing))
    )
    by_chance = (len(edges) + 1) / len(values)
    return max(0.0, float(((now - before) * np.log(now / before)).sum()) - by_chance)


def _expected(quantiles: np.ndarray, edges: np.ndarray, seen_up_to: np.ndarray) -> np.ndarray:
    """Return the share of a profile's values up to each of its distinct inner quantiles."""
    first, after = (np.searchsorted(quantiles, edges, side=side) for side in ("left", "right"))
    steps = len(quantiles) - 1
    at_least = (after - 1) / steps
    return np.where(after - first > 1, np.clip(seen_up_to, at_least, at_least + 1 / steps), at_least)
