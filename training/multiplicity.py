"""Many comparisons at once: how far intervals must reach, and which lower bounds a step-down test puts above a floor.

The error permitted to a policy table, one minus its confidence, is shared out: `TESTS_SHARE` goes to a step-down test
of all comparisons (Holm's, weighted), the rest to two-sided intervals (Sidak's). By Bonferroni's inequality all that is
said holds at once with the confidence asked for: each interval, and "above the floor" for each comparison the test
finds. Holm's steps need no assumption on how comparisons depend; Sidak's intervals hold for any normal estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

TESTS_SHARE: Final = 0.8
EVEN_SHARE: Final = 0.2
"""Of the error in each step, shared evenly: a comparison with few offers may still show a large effect."""

Rejects = Callable[[int, float], bool]
"""Whether a comparison's lower bound at so many standard errors is above the floor."""


def interval_z(comparisons: int, confidence: float) -> float:
    """Return how many standard errors two-sided intervals reach, so that so many of them hold at once."""
    level = (1 - (1 - TESTS_SHARE) * (1 - confidence)) ** (1 / max(comparisons, 1))
    return float(norm.ppf((1 + level) / 2))


def step_down(
    separations: np.ndarray, rejects: Rejects, confidence: float, chains: Sequence[Sequence[int]]
) -> np.ndarray:
    """Tell which comparisons are above the floor; the chance of any false one is at most the tests' share of error.

    Chains of comparisons are tested in steps. A chain is tested in its order, each comparison with the whole share of
    the chain, and only if the one before was found: that costs no more error than a single comparison (Maurer, Hothorn
    and Lehmacher, 1995; Bretz, Maurer, Brannath and Posch, 2009). A chain found whole leaves the family, and the others
    share its error.

    Parameters
    ----------
    separations
        How many standard errors the detectable effect is, per comparison: known before effects are seen. Error goes
        where it can find something (Roeder and Wasserman, 2009), for a chain by its first comparison.
    rejects
        The test of one comparison at a number of standard errors.
    confidence
        Of the whole policy table.
    chains
        Places of comparisons; each comparison is in one chain, most often alone.
    """
    error = TESTS_SHARE * (1 - confidence)
    found = np.zeros(len(separations), dtype=bool)
    left = [list(chain) for chain in chains]
    firsts = [chain[0] for chain in left]
    while left:
        rest = []
        for chain, z in zip(left, thresholds(separations[firsts], error).tolist(), strict=True):
            passed = next((place for place, number in enumerate(chain) if not rejects(number, z)), len(chain))
            found[chain[:passed]] = True
            rest.append(chain[passed:])
        if rest == left:
            break
        firsts = [first for first, chain in zip(firsts, rest, strict=True) if chain]
        left = [chain for chain in rest if chain]
    return found


def thresholds(separations: np.ndarray, error: float) -> np.ndarray:
    """Share an error rate among one-sided tests so that they find most; return their critical values.

    With separation s the best critical value is s/2 + c/s, the same c for all. Beyond its minimum it rises again, which
    would give error away where the detectable effect is sure to be found; from there on the minimum stands.
    """
    separations = np.maximum(separations, 1e-3)

    def critical(c: float) -> np.ndarray:
        capped = np.minimum(separations, np.sqrt(2 * c))
        return np.asarray(capped / 2 + c / capped)

    favoured = (1 - EVEN_SHARE) * error
    c = brentq(lambda c: float(norm.sf(critical(c)).sum()) - favoured, 1e-6, 1e3)
    return np.asarray(norm.isf(norm.sf(critical(c)) + EVEN_SHARE * error / len(separations)))
