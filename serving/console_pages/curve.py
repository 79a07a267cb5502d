"""The budget frontier as shapes to draw, places in per cent of the picture. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from serving.frontier import Point

MOST_TICKS: Final = 5
_ROUND: Final = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Curve:
    """What is drawn.

    Attributes
    ----------
    line, band
        Points of the net value and of its interval, as SVG's ``points``.
    dots
        Where each budget's net value lies: across and down.
    ticks
        How far down which net value lies.
    """

    line: str
    band: str
    dots: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, float], ...]


def curve(points: Sequence[Point]) -> Curve:
    """Place budgets side by side, each in the middle of its own column, over a scale with 0 in it."""
    outlooks = [point.outlook for point in points]
    ticks = _ticks(min(0.0, *(each.net_value_low for each in outlooks)), max(each.net_value_high for each in outlooks))
    bottom, span = ticks[0], ticks[-1] - ticks[0]

    def down(value: float) -> float:
        return round(100 * (1 - (value - bottom) / span), 2)

    across = [round(100 * (place + 0.5) / len(points), 2) for place in range(len(points))]
    middle, low, high = (
        list(zip(across, (down(getattr(each, name)) for each in outlooks), strict=True))
        for name in ("net_value", "net_value_low", "net_value_high")
    )
    return Curve(_text(middle), _text([*high, *reversed(low)]), tuple(middle), tuple((down(t), t) for t in ticks))


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers at even steps that enclose a range."""
    least = max(high - low, 1e-6) / (MOST_TICKS - 1)
    unit = 10.0 ** floor(log10(least))
    step = next(unit * each for each in _ROUND if unit * each >= least * (1 - 1e-9))
    return [step * number for number in range(floor(low / step), ceil(high / step) + 1)]


def _text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
