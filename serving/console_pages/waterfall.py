"""A churn probability taken apart, as steps from what holds for anybody to this member. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.records import Reason

REST = ("Everything else", "其余因素")
_SMALLEST_SPAN = 1e-6


@dataclass(frozen=True)
class Step:
    """One bar of the waterfall: how far something moved the log-odds, and where the bar lies, in per cent of the width.

    ``start`` to ``start + width`` is the bar, whichever way it points.
    """

    en: str
    zh: str
    moved: float
    start: float
    width: float

    @property
    def raises(self) -> bool:
        """Whether it raises the risk."""
        return self.moved > 0


def waterfall(reasons: Sequence[Reason], base: float, log_odds: float) -> list[Step]:
    """Return a step for each reason and one for everything else, which lead from ``base`` to ``log_odds``.

    Parameters
    ----------
    reasons
        The strongest ones, with both languages.
    base, log_odds
        Log-odds of churning without anything known, and with everything, before calibration.
    """
    moves = [(reason.en or "", reason.zh or "", reason.shap_value) for reason in reasons]
    moves.append((*REST, log_odds - base - sum(moved for *_, moved in moves)))
    places = [base]
    for *_, moved in moves:
        places.append(places[-1] + moved)
    low, span = min(places), max(max(places) - min(places), _SMALLEST_SPAN)
    return [
        Step(en, zh, moved, 100 * (min(before, after) - low) / span, 100 * abs(moved) / span)
        for (en, zh, moved), before, after in zip(moves, places, places[1:], strict=False)
    ]
