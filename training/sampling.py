"""Fewer members to learn from than there are: rare segments stay, and whoever is drawn stands for others like them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundle import Floats

Counts = NDArray[np.intp]
Flags = NDArray[np.bool_]

_DRAWING: Final = "draw the members"
_EVENING: Final = "even the weights"
"""Keys of hashes, of sixteen letters each."""


def draw(member_ids: pd.Series, strata: pd.Series, most: int) -> tuple[Counts, Floats]:
    """Draw members by stratum, the same ones whatever order they come in.

    Parameters
    ----------
    member_ids, strata
        Of the members to draw from, row by row.
    most
        How many to draw at most, beyond one for each stratum; see :func:`allocate`.

    Returns
    -------
    tuple
        Rows of those drawn, rising, and how many members each stands for: one over the probability to be drawn.
        Weighted so, every count by stratum is exact and every total unbiased (Horvitz and Thompson 1952).
    """
    stratum, sizes = np.unique(strata.to_numpy(dtype=object), return_inverse=True, return_counts=True)[1:]
    taken = allocate(sizes, most)
    order = np.lexsort((_uniform(member_ids, _DRAWING), stratum))
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order)) - np.repeat(sizes.cumsum() - sizes, sizes)
    rows = np.flatnonzero(place < taken[stratum])
    return rows, (sizes / taken)[stratum[rows]]


def allocate(sizes: Counts, most: int) -> Counts:
    """Return how many to draw from strata of these sizes: by the root of the size, small ones whole.

    Between shares by size, which lose rare segments, and equal ones, which waste rows (power allocation, Bankier 1988).
    """
    whole = np.zeros(len(sizes), dtype=bool)
    while not whole.all():
        roots = np.where(whole, 0.0, np.sqrt(sizes))
        share = (most - sizes[whole].sum()) * roots / roots.sum()
        small = ~whole & (share >= sizes)
        if not small.any():
            return np.where(whole, sizes, np.maximum(share.astype(np.intp), 1))
        whole |= small
    return sizes


def equally_likely(member_ids: pd.Series, weights: Floats) -> Flags:
    """Choose rows so that all members are again equally likely to be there: who stands for few is left out more often.

    Equal weights choose every row.
    """
    return np.asarray(_uniform(member_ids, _EVENING) * weights.max(initial=0.0) < weights)


def _uniform(member_ids: pd.Series, purpose: str) -> Floats:
    """Return a number from 0 to 1 for each member, always the same for the same purpose."""
    hashed = pd.util.hash_array(member_ids.to_numpy(dtype=object), hash_key=purpose)
    return np.asarray(hashed / 2**64)
