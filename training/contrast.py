"""The difference between two arms of an offer log: adjusted means, errors clustered by member, intervals for shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.special import betaincinv, ndtr, stdtrit

SMALLEST_SE: Final = 1e-12


@dataclass(frozen=True)
class Arm:
    """Offers of one arm.

    Attributes
    ----------
    outcomes
        One row per offer, one column per outcome.
    weights
        Of each offer: one over the propensity with which it was assigned, or all equal.
    members
        Whom each offer was made to, as whole numbers from 0.
    """

    outcomes: np.ndarray
    weights: np.ndarray
    members: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """Weighted mean of each outcome (Hajek); with equal weights the plain mean."""
        return np.asarray(self.weights @ self.outcomes / self.weights.sum())

    def influence(self, members: int) -> np.ndarray:
        """Return what each of so many members moves the means by; a member's offers count together."""
        n = len(self.weights)
        shares = self.weights / self.weights.sum() * np.sqrt(n / (n - 1))
        moves = shares[:, None] * (self.outcomes - self.mean)
        return _by_member(self.members, moves, members)

    def equal_size(self, outcome: int, variance: float) -> float:
        """How many equally weighted offers would make a share this sure, its variance being as given.

        Heavy offers few of which were followed by an order make a share low and its error look small at once, so that
        bad luck of control would pass for a sure effect. What offers vary by is therefore at most what they do weighted
        by squares, as errors weigh them. With equal weights it is the same.
        """
        share, squares = float(self.mean[outcome]), self.weights**2
        off = self.outcomes[:, outcome] - np.average(self.outcomes[:, outcome], weights=self.weights)
        varies = min(share * (1 - share), float(squares @ off**2 / squares.sum()))
        return varies / variance if varies > 0 and variance > 0 else self.effective_size

    @property
    def effective_size(self) -> float:
        """How many equally weighted offers would tell as much (Kish)."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


@dataclass(frozen=True)
class AdjustedArm(Arm):
    """An arm compared with what was expected: the mean everybody would have had under it, doubly robust (AIPW).

    Attributes
    ----------
    expected
        What each of the arm's own offers was expected to bring.
    everybody
        What every offer of the comparison, whichever arm it was in, would be expected to bring in this one.
    everybodys_members
        Whom those offers were made to.
    everybodys_weights
        How much each of those offers counts.
    fitted
        Numbers fitted to the arm's own offers to expect so.
    """

    expected: np.ndarray
    everybody: np.ndarray
    everybodys_members: np.ndarray
    everybodys_weights: np.ndarray
    fitted: int

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean expectation over everybody, corrected by how far the arm's own offers were off it."""
        off = self.weights @ (self.outcomes - self.expected) / self.weights.sum()
        return np.asarray(self._expectation + off)

    def influence(self, members: int) -> np.ndarray:
        """Return what each of so many members moves the means by; a member's offers count together."""
        n = len(self.weights)
        shares = self.weights / self.weights.sum() * np.sqrt(n / (n - self.fitted))
        off = self.outcomes - self.expected
        own = shares[:, None] * (off - np.average(off, axis=0, weights=self.weights))
        counts = self.everybodys_weights / self.everybodys_weights.sum()
        spread = counts[:, None] * (self.everybody - self._expectation)
        return np.asarray(_by_member(self.members, own, members) + _by_member(self.everybodys_members, spread, members))

    @property
    def _expectation(self) -> np.ndarray:
        return np.average(self.everybody, axis=0, weights=self.everybodys_weights)


class Contrast:
    """Treated against control, outcome by outcome.

    With equal weights, no adjustment and no member in it twice this is the textbook difference in means with Welch's
    standard error. ``members`` is how many there are, if more than take part in the arms themselves.
    """

    def __init__(self, treated: Arm, control: Arm, *, members: int | None = None) -> None:
        members = members or 1 + int(max(treated.members.max(), control.members.max()))
        moved, still = treated.influence(members), control.influence(members)
        self.arms = (treated, control)
        self.difference = treated.mean - control.mean
        self.influence = moved - still
        self.se = np.sqrt((self.influence**2).sum(axis=0))
        self._variances = ((moved**2).sum(axis=0), (still**2).sum(axis=0))
        self._covariance = (moved * still).sum(axis=0)

    @property
    def effective_sizes(self) -> tuple[float, float]:
        """How many equally weighted offers of either arm would tell as much."""
        treated, control = self.arms
        return treated.effective_size, control.effective_size

    @property
    def base(self) -> np.ndarray:
        """Mean of each outcome without treatment."""
        return self.arms[1].mean

    def mean_interval(self, outcome: int, z: float) -> tuple[float, float]:
        """Interval for a difference of means, as sure as so many standard errors are of normal estimates.

        Student's, with as many degrees of freedom as the standard error itself is sure of (Satterthwaite, 1946): money
        of a few orders is heavy-tailed, and so is what is known of its spread.
        """
        moves = self.influence[:, outcome] ** 2
        unsure = float((moves**2).sum() - moves.sum() ** 2 / max(np.count_nonzero(moves), 1))
        degrees = 2 * float(moves.sum()) ** 2 / unsure if unsure > 0 else np.inf
        reach = -float(stdtrit(degrees, ndtr(-z))) * float(self.se[outcome])
        centre = float(self.difference[outcome])
        return centre - reach, centre + reach

    def share_interval(self, outcome: int, z: float) -> tuple[float, float]:
        """Interval for a difference of shares: Jeffreys' for either arm, joined as Newcombe (1998) joins Wilson's.

        Unlike standard errors it does not collapse where an arm has hardly any events, which is where a false effect
        would be declared, and either bound errs as often as it should (Brown, Cai and DasGupta, 2001). Zou and Donner's
        (2008) term takes account of members who are in both arms.
        """
        shares = [float(np.clip(arm.mean[outcome], 0, 1)) for arm in self.arms]
        variances = [float(variance[outcome]) for variance in self._variances]
        bounds = [
            _equal_tailed(share, arm.equal_size(outcome, variance), z)
            for share, variance, arm in zip(shares, variances, self.arms, strict=True)
        ]
        scale = np.sqrt(variances[0] * variances[1])
        correlation = float(self._covariance[outcome] / scale) if scale > 0 else 0.0
        (treated, control), ((low, high), (control_low, control_high)) = shares, bounds
        down = _joined(treated - low, control_high - control, correlation)
        up = _joined(high - treated, control - control_low, correlation)
        centre = float(self.difference[outcome])
        return centre - down, centre + up


class Combined(Contrast):
    """Contrasts of the same arms in separate experiments, averaged by inverse variance."""

    def __init__(self, contrasts: Sequence[Contrast]) -> None:
        precision = np.array([1 / np.maximum(contrast.se, SMALLEST_SE) ** 2 for contrast in contrasts])
        self._contrasts = contrasts
        self._shares = precision / precision.sum(axis=0)
        self.difference = np.sum([s * c.difference for s, c in zip(self._shares, contrasts, strict=True)], axis=0)
        self.influence = np.vstack([s * c.influence for s, c in zip(self._shares, contrasts, strict=True)])
        self.se = np.sqrt((self.influence**2).sum(axis=0))

    @property
    def effective_sizes(self) -> tuple[float, float]:
        """How many equally weighted offers of either arm would tell as much, in all experiments together."""
        treated, control = np.sum([contrast.effective_sizes for contrast in self._contrasts], axis=0)
        return float(treated), float(control)

    @property
    def base(self) -> np.ndarray:
        """Mean of each outcome without treatment, averaged as the differences are."""
        bases = [share * each.base for share, each in zip(self._shares, self._contrasts, strict=True)]
        return np.asarray(np.sum(bases, axis=0))

    def share_interval(self, outcome: int, z: float) -> tuple[float, float]:
        """Interval for a difference of shares, from those of each experiment (Zou and Donner, 2008)."""
        centre = float(self.difference[outcome])
        down = up = 0.0
        for contrast, share in zip(self._contrasts, self._shares[:, outcome], strict=True):
            low, high = contrast.share_interval(outcome, z)
            down += (share * (contrast.difference[outcome] - low)) ** 2
            up += (share * (high - contrast.difference[outcome])) ** 2
        return centre - float(np.sqrt(down)), centre + float(np.sqrt(up))


def _by_member(members: np.ndarray, moves: np.ndarray, count: int) -> np.ndarray:
    sums: np.ndarray = np.column_stack([np.bincount(members, move, count) for move in moves.T])
    return sums


def _joined(one: float, other: float, correlation: float) -> float:
    return float(np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0)))


def _equal_tailed(share: float, size: float, z: float) -> tuple[float, float]:
    """Jeffreys' interval for a share among so many offers: either bound errs as often as the other, far out too."""
    events, tail = share * size, ndtr(-z)
    low, high = betaincinv(events + 0.5, size - events + 0.5, [tail, 1 - tail])
    return min(float(low), share), max(float(high), share)
