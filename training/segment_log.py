"""The offers of one policy segment as arrays: any two arms can be compared, adjusted for what was foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from training.contrast import AdjustedArm, Arm, Combined, Contrast
from training.propensity import OVERLAP, chance_column

OUTCOMES: Final = ("recall", "margin", "net")
SPENDING: Final = ("cost", "redeemed")
FORESEEN: Final = ("foreseen_recall", "foreseen_margin")
SMALLEST_ARM: Final = 2
SMALLEST_ADJUSTED_ARM: Final = 50
"""Smaller arms are compared as they are: fitting to so few offers would cost more than it brings."""


class SegmentEvidence:
    """All that is known of one policy segment: its offers in the offer log and in tests run elsewhere."""

    def __init__(self, logs: Sequence[SegmentLog]) -> None:
        self._logs = logs

    @property
    def adjusts(self) -> bool:
        """Whether anything was foreseen that comparisons are adjusted for."""
        return any(log.adjusts for log in self._logs)

    def sizes(self, one: str, other: str) -> tuple[int, int]:
        """Count the offers of two arms that can be compared."""
        sizes = np.array([log.sizes(one, other) for log in self._logs]).reshape(-1, 2).sum(axis=0)
        return int(sizes[0]), int(sizes[1])

    def contrast(self, one: str, other: str, *, adjusted: bool = True) -> Contrast | None:
        """Compare two arms within each source and combine what they say; None where no source can tell."""
        told = [contrast for log in self._logs if (contrast := log.contrast(one, other, adjusted=adjusted))]
        return Combined(told) if len(told) > 1 else next(iter(told), None)

    def recall_variance(self) -> float:
        """Variance of recall in all arms together: known without knowing what any arm did."""
        sizes = np.array([len(log) for log in self._logs], dtype=float)
        if not sizes.sum():
            return np.nan
        return float(np.average([log.recall_variance() for log in self._logs if len(log)], weights=sizes[sizes > 0]))

    def orders(self) -> np.ndarray:
        """Count offers and those of them followed by an order, and add up the margin these brought."""
        return np.asarray(sum((log.orders() for log in self._logs), start=np.zeros(3)))

    def spending(self, arm: str, other: str) -> tuple[float, float, float]:
        """Mean cost of an arm's offers that can be compared, its standard error, share redeemed; NaN if not known."""
        sizes = np.array([log.sizes(arm, other)[0] for log in self._logs], dtype=float)
        told = np.array([log.spending(arm, other) for log in self._logs]).reshape(-1, 3)
        cost, redeemed = _average(told[:, 0], sizes), _average(told[:, 2], sizes)
        return cost, float(np.sqrt(_average(sizes * told[:, 1] ** 2, sizes) / max(sizes.sum(), 1))), redeemed


def _average(values: np.ndarray, weights: np.ndarray) -> float:
    known = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan


class SegmentLog:
    """Offers of one policy segment.

    Parameters
    ----------
    offers
        With ``member_id``, ``incentive_id``, ``week``, ``weight``, ``cost``, ``redeemed``, the outcomes and, to be
        adjusted for, what was foreseen. Where the chance of each incentive was estimated, offers that could hardly have
        gone either way are left out of a comparison.
    """

    def __init__(self, offers: pd.DataFrame) -> None:
        arm, arms = pd.factorize(offers["incentive_id"])
        self._weeks = pd.factorize(offers["week"])[0]
        self._members = pd.factorize(offers["member_id"])[0]
        self._weights = offers["weight"].to_numpy(np.float64)
        self._outcomes = offers[list(OUTCOMES)].to_numpy(np.float64)
        self._spending = offers[list(SPENDING)].to_numpy(np.float64)
        foreseen = [name for name in FORESEEN if name in offers]
        self._own: dict[str, np.ndarray] = {name: arm == number for number, name in enumerate(arms)}
        self._chances = {name: offers[told].to_numpy() for name in arms if (told := chance_column(name)) in offers}
        self._foreseen = np.column_stack([np.ones(len(offers)), offers[foreseen].to_numpy(np.float64)])

    def __len__(self) -> int:
        return len(self._weeks)

    @property
    def adjusts(self) -> bool:
        """Whether anything was foreseen that comparisons are adjusted for."""
        return bool(self._foreseen.shape[1] > 1)

    def sizes(self, one: str, other: str) -> tuple[int, int]:
        """Count the offers of two arms in the weeks that have both."""
        shared = self._comparable(one, other)
        treated, control = (int((shared & self._is(arm)).sum()) for arm in (one, other))
        return treated, control

    def contrast(self, one: str, other: str, *, adjusted: bool = True) -> Contrast | None:
        """Compare two arms in the weeks that have both; None where there are too few offers to tell any error."""
        if min(self.sizes(one, other)) < SMALLEST_ARM:
            return None
        shared = self._comparable(one, other)
        counts = self._steady(shared, one, other)
        arms = (self._arm(shared, counts, arm, adjusted=adjusted) for arm in (one, other))
        return Contrast(*arms, members=1 + int(self._members.max()))

    def recall_variance(self) -> float:
        """Variance of recall in all arms together: known without knowing what any arm did."""
        return float(np.var(self._outcomes[:, 0])) if len(self._outcomes) else np.nan

    def orders(self) -> np.ndarray:
        """Count offers and those of them followed by an order, and add up the margin these brought."""
        recalled = self._outcomes[:, 0] > 0
        return np.array([len(self), recalled.sum(), self._outcomes[recalled, 1].sum()])

    def spending(self, arm: str, other: str) -> tuple[float, float, float]:
        """Mean cost of an arm's offers in the weeks that ``other`` has too, its standard error, share redeemed."""
        own = self._comparable(arm, other) & self._is(arm)
        if own.sum() < SMALLEST_ARM:
            return np.nan, np.nan, np.nan
        spent = Arm(self._spending[own], self._weights[own], self._members[own])
        cost, redeemed = spent.mean
        moves = spent.influence(1 + int(self._members.max()))
        return float(cost), float(np.sqrt((moves[:, 0] ** 2).sum())), float(redeemed)

    def _comparable(self, one: str, other: str) -> np.ndarray:
        """Leave out weeks in which only one of the two was assigned, and offers that could not have been either.

        The season, or who was chosen, would pass for an effect.
        """
        count = 1 + int(self._weeks.max(initial=-1))
        treated, control = (np.bincount(self._weeks[self._is(arm)], minlength=count) > 0 for arm in (one, other))
        comparable = (treated & control)[self._weeks]
        for arm in (one, other):
            if arm in self._chances:
                comparable &= self._chances[arm] >= OVERLAP
        return np.asarray(comparable)

    def _is(self, arm: str) -> np.ndarray:
        return np.asarray(self._own.get(arm, np.zeros(len(self), dtype=bool)))

    def _steady(self, shared: np.ndarray, one: str, other: str) -> np.ndarray:
        """Return how much each offer's week counts, so that odds that follow earlier outcomes do no harm.

        Where odds change with what was seen, how sure a week is depends on luck, and an average by sureness is biased
        and not normal. Weeks count by the root of it instead: each then adds to the error alike, whatever the odds
        (Zhang, Janson and Murphy, 2020; Hadad et al., 2021). With constant odds all weeks count alike.
        """
        spread = np.zeros(1 + int(self._weeks.max()))
        for arm in (one, other):
            own = shared & self._is(arm)
            weeks, weights = self._weeks[own], self._weights[own]
            totals = np.bincount(weeks, weights, len(spread))
            squares = np.bincount(weeks, weights**2, len(spread))
            spread += np.divide(squares, totals, out=np.zeros_like(totals), where=totals > 0)
        steady = np.divide(1, np.sqrt(spread), out=np.zeros_like(spread), where=spread > 0)
        return np.asarray(steady[self._weeks])

    def _arm(self, shared: np.ndarray, counts: np.ndarray, arm: str, *, adjusted: bool) -> Arm:
        own = shared & self._is(arm)
        weights = self._weights[own] * counts[own]
        plain = Arm(self._outcomes[own], weights, self._members[own])
        if not adjusted or not self.adjusts or own.sum() < SMALLEST_ADJUSTED_ARM:
            return plain
        fitted = self._fit(own, weights)
        return AdjustedArm(
            outcomes=plain.outcomes,
            weights=plain.weights,
            members=plain.members,
            expected=self._foreseen[own] @ fitted,
            everybody=self._foreseen[shared] @ fitted,
            everybodys_members=self._members[shared],
            everybodys_weights=counts[shared],
            fitted=len(fitted),
        )

    def _fit(self, own: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Scale what was foreseen to an arm's own outcomes, so that adjusting never hurts (Lin, 2013)."""
        root = np.sqrt(weights)[:, None]
        fitted, *_ = np.linalg.lstsq(root * self._foreseen[own], root * self._outcomes[own])
        return np.asarray(fitted)
