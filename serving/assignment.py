"""Who is actually sent what is recommended: a holdout drawn by hash, the same members for a whole quarter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd


def in_holdout(member_ids: Iterable[str], *, as_of: date, share: float, seed: str) -> np.ndarray:
    """Tell for each member whether they are kept untreated in the calendar quarter of ``as_of``.

    Parameters
    ----------
    member_ids
        Members, in any order; each answer depends on the member alone.
    as_of
        Local date of the decision. The draw holds for its quarter and is made anew in the next.
    share
        Share of members in the holdout.
    seed
        Salt of the hash.

    Returns
    -------
    numpy.ndarray
        One boolean per member, in the order given.
    """
    salted = hashlib.sha256(f"{seed}|{as_of.year}Q{(as_of.month - 1) // 3 + 1}|".encode())
    return np.fromiter((_draw(salted, member_id) < share for member_id in member_ids), dtype=bool)


def assign(decisions: pd.DataFrame, *, as_of: date, holdout_share: float, seed: str) -> pd.DataFrame:
    """Turn recommendations into assignments.

    Parameters
    ----------
    decisions
        With ``member_id`` and ``recommended_incentive``.
    as_of
        Local date of the decision.
    holdout_share, seed
        As in :func:`in_holdout`.

    Returns
    -------
    pandas.DataFrame
        ``assigned_incentive``, ``assigned_by`` and ``assigned_probability`` (the chance with which the member came to
        what they are assigned, the holdout's nothing included), in the index of ``decisions``. All three are missing
        where nothing is recommended.
    """
    recommended = decisions["recommended_incentive"]
    held = in_holdout(decisions["member_id"], as_of=as_of, share=holdout_share, seed=seed)
    probability = np.where(held, holdout_share, 1 - holdout_share)
    assigned_by = pd.Series(np.where(held, "holdout", "policy"), index=decisions.index, dtype="str")
    return pd.DataFrame(
        {
            "assigned_incentive": recommended.mask(held),
            "assigned_by": assigned_by.where(recommended.notna()),
            "assigned_probability": pd.Series(probability, index=decisions.index).where(recommended.notna()),
        }
    )


def _draw(salted: hashlib._Hash, member_id: str) -> float:
    """Return a number in [0, 1) that only the salt and the member decide."""
    hasher = salted.copy()
    hasher.update(member_id.encode())
    return int.from_bytes(hasher.digest()[:8], "big") / 2**64
