"""The report's plots, as SVG. Their words stay outside, so that they need no font the machine may lack.

The colours are those of Okabe and Ito, which stay apart for colour-blind readers and in grey print.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from serving.outlook import Outlook

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#767676"
SIZE: Final = (4.6, 2.5)
"""Inches. Small, so that text is legible when a phone shows it at full width."""

_ID: Final = re.compile(r' id="([^"]*)"')


def as_svg(figure: Figure, name: str = "winback") -> str:
    """Return a figure as an SVG element for a page, its text as text; the same figure always gives the same SVG.

    Parameters
    ----------
    figure
        What to draw.
    name
        Keeps the ids of a page's figures apart.
    """
    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None}, dpi=150)
    text = drawn.getvalue()
    used = set(re.findall(r"#([\w-]+)", text))
    return _ID.sub(lambda found: found[0] if found[1] in used else "", text[text.index("<svg") :])


def budget_figure(curve: Sequence[tuple[float, Outlook]]) -> Figure:
    """Show the net value that each budget would bring, with its interval."""
    figure, axes = _axes()
    budgets = [0.0, *(budget for budget, _ in curve)]
    outlooks = [outlook for _, outlook in curve]
    low, value, high = (
        [0.0, *(getattr(outlook, name) for outlook in outlooks)]
        for name in ("net_value_low", "net_value", "net_value_high")
    )
    axes.fill_between(budgets, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(budgets, value, "o-", color=BLUE, markersize=4, linewidth=1.8)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def trend_figure(labels: Sequence[str], values: Sequence[float], *, percent: bool = False) -> Figure:
    """Show a figure period by period, the latest one marked."""
    figure, axes = _axes()
    bars = axes.bar(range(len(values)), values, color="#9ecae1", width=0.66)
    bars[-1].set_color(BLUE)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylim(0, max([*values, 0]) * 1.18 or 1)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.bar_label(bars, [f"{100 * v:.1f} %" if percent else f"{v:,.0f}" for v in values], padding=2, fontsize=10)
    return figure


def _axes() -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=10, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.patch.set_alpha(0)
    figure.patch.set_alpha(0)
    return figure, axes


def _plain(value: float, _: int) -> str:
    return f"{value:,.0f}".replace("-", "−")
