"""Who is actually sent what: a sticky holdout, a little exploration, the policy's advice for the rest. Pure.

Everything is drawn by hash, so that a run repeated draws the same. What is logged are the probabilities with which a
member came to each arm, given all that earlier assignments could depend on. Whether a member is in the quarter's
holdout first matters at their first assignment in the quarter: there it is part of the chance, and held-out members
are control offers like others. From then on it is known: members held out are control for certain, which no effect is
estimated from, and all others get what was drawn for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.settings_incentives import Guardrails

MemberIds = Sequence[str] | pd.Series | np.ndarray

CONTROL: Final = 0
"""Its place among the arms: before all others."""


def in_holdout(member_ids: MemberIds, *, as_of: date, share: float, seed: str) -> np.ndarray:
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
    return lots(f"{seed}|{as_of.year}Q{_quarter(as_of)}|", member_ids) < share


def lots(salt: str, member_ids: MemberIds) -> np.ndarray:
    """Return numbers in [0, 1) that only the salt and each member decide."""
    salted = hashlib.sha256(salt.encode())

    def digest(member_id: str) -> bytes:
        hasher = salted.copy()
        hasher.update(member_id.encode())
        return hasher.digest()[:8]

    digests = b"".join(map(digest, np.asarray(member_ids, dtype=object)))
    return np.frombuffer(digests, dtype=">u8") / 2.0**64


def assign(
    member_ids: MemberIds,
    *,
    arms: Sequence[str],
    advised: np.ndarray,
    may_get: np.ndarray,
    last_assignment_days: np.ndarray,
    as_of: date,
    guardrails: Guardrails,
) -> dict[str, np.ndarray]:
    """Turn advice into assignments, with the probability of every arm.

    Parameters
    ----------
    member_ids
        Members.
    arms
        All arms.
    advised
        The arm the policy advises, None where none.
    may_get
        One row per member, one column per arm: what no guardrail forbids.
    last_assignment_days
        Whole days since anything was assigned, control included; missing where nothing ever was.
    as_of
        Local date of the decision.
    guardrails
        Of which ``holdout_share``, ``exploration_share``, ``seed`` and ``control_id``.

    Returns
    -------
    dict
        Per member ``assigned_arm`` (None for control), ``assigned_by``, ``probabilities`` (of control and every arm the
        member may get; they add up to 1) and ``assigned_probability`` (the assigned one's). Where a member may get
        nothing, or nothing is advised and nothing explored, ``probabilities`` is empty and the others are missing.
    """
    share, held_share = guardrails.exploration_share, guardrails.holdout_share
    names = np.array([guardrails.control_id, *arms], dtype=object)
    advice = np.zeros(len(member_ids), dtype=np.intp)
    for column, name in enumerate(arms, start=CONTROL + 1):
        advice[advised == name] = column
    takes_part = may_get.any(axis=1) & ((advice != CONTROL) | (share > 0))
    options = np.column_stack([takes_part, may_get & takes_part[:, None]])

    by_lot = _spread(options, advice, share)
    held = in_holdout(member_ids, as_of=as_of, share=held_share, seed=guardrails.seed)
    is_known = last_assignment_days <= _days_into_quarter(as_of)
    nothing = np.eye(len(names))[CONTROL]
    first = (1 - held_share) * by_lot + held_share * nothing
    chances = np.where(is_known[:, None], np.where(held[:, None], nothing, by_lot), first)

    draws = lots(f"{guardrails.seed}|{as_of.isoformat()}|", member_ids)
    explores = draws >= 1 - share
    chosen = np.where(explores, _nth_option(options, (draws - (1 - share)) / (share or 1)), advice)
    chosen = np.where(held, CONTROL, chosen)
    by = np.where(held, "holdout", np.where(explores, "exploration", "policy")).astype(object)
    missing = np.array(None)
    own = chances[np.arange(len(chosen)), chosen]
    return {
        "assigned_arm": np.where(takes_part & (chosen != CONTROL), names[chosen], missing),
        "assigned_by": np.where(takes_part, by, missing),
        "assigned_probability": np.where(takes_part, own, np.nan),
        "probabilities": _mappings(names, options, chances),
    }


def _spread(options: np.ndarray, advice: np.ndarray, share: float) -> np.ndarray:
    """Return each arm's chance where ``share`` is spread evenly over the options and the rest is the advice's."""
    chances = share * options / np.maximum(options.sum(axis=1, keepdims=True), 1)
    chances[np.arange(len(advice)), advice] += 1 - share
    return np.asarray(chances)


def _nth_option(options: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the column of the option that a draw in [0, 1) falls on, all of a row being as likely."""
    count = options.sum(axis=1)
    nth = np.minimum(np.floor(draws * count), count - 1)
    return np.asarray((np.cumsum(options, axis=1) == nth[:, None] + 1).argmax(axis=1))


def _mappings(arms: np.ndarray, options: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return each member's chances by arm; members with the same share one mapping."""
    kinds, kind = np.unique(np.where(options, chances, -1.0), axis=0, return_inverse=True)
    mappings = np.empty(len(kinds), dtype=object)
    for number, row in enumerate(kinds):
        mappings[number] = {str(arm): float(chance) for arm, chance in zip(arms, row, strict=True) if chance >= 0}
    return np.asarray(mappings[kind])


def _quarter(day: date) -> int:
    return (day.month - 1) // 3 + 1


def _days_into_quarter(day: date) -> int:
    return (day - date(day.year, 3 * _quarter(day) - 2, 1)).days
