"""Pictures of how good a model is and what moves it.

Each function returns a Matplotlib figure of its own; nothing goes through pyplot, so none is left open. The colours
are those of Okabe and Ito, which stay apart for colour-blind readers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from serving.report.figures import as_svg as as_svg
from training.evaluate import gain_curve
from training.reliability import ece_band, expected_calibration_error, reliability_table

SHOWN_MEMBERS: Final = 1_000
"""Pictures with a point per member show at most so many, drawn at random and always the same ones."""

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES: Final = ("-", "--", "-.", ":")
_GREY: Final = "#767676"


def reliability_figure(churned: ArrayLike, probability: ArrayLike) -> Figure:
    """Show observed beside predicted churn by tenths of the members, and the calibration error beside its band."""
    table = reliability_table(churned, probability)
    error, band = expected_calibration_error(churned, probability), ece_band(probability)
    figure, axes = _axes(
        f"Calibration error {error:.3f}; a perfect model's would lie between {band.low:.3f} and {band.high:.3f}"
    )
    observed = table["observed_share"]
    spread = np.abs(table[["observed_low", "observed_high"]].sub(observed, axis=0).to_numpy()).T
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="perfectly calibrated")
    axes.errorbar(
        table["predicted_share"], observed, yerr=spread, fmt="o-", color=_COLOURS[0], capsize=3, label="observed, 95 %"
    )
    axes.set(xlabel="Predicted probability of churn", ylabel="Share that churned", xlim=(0, 1), ylim=(0, 1))
    _percent(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False)
    return figure


def decile_figure(deciles: pd.DataFrame, *, quantity: str) -> Figure:
    """Show predicted and actual means of a decile table, highest prediction first; ``quantity`` names their unit."""
    figure, axes = _axes("Predicted and actual by tenths of the members")
    for offset, column, label, colour in (
        (-0.2, "predicted_mean", "predicted", _COLOURS[5]),
        (0.2, "actual_mean", "actual", _COLOURS[0]),
    ):
        axes.bar(deciles["decile"] + offset, deciles[column], width=0.4, color=colour, label=label)
    axes.set(xlabel="Tenth of the members, highest prediction first", ylabel=f"Mean {quantity}")
    axes.set_xticks(deciles["decile"])
    axes.legend(frameon=False)
    return figure


def gain_figure(actual: ArrayLike, predictions: Mapping[str, ArrayLike], *, quantity: str) -> Figure:
    """Show which share of a total the members with the highest predictions hold, for one or several models."""
    figure, axes = _axes(f"Share of {quantity} reached by going from the highest prediction down")
    for number, (name, predicted) in enumerate(predictions.items()):
        curve = gain_curve(actual, predicted)
        colour, style = _COLOURS[number % len(_COLOURS)], _STYLES[number % len(_STYLES)]
        axes.plot(curve["members_share"], curve["captured_share"], color=colour, linestyle=style, label=name)
    best = gain_curve(actual, actual)
    axes.plot(best["members_share"], best["best_share"], color=_GREY, linewidth=1, label="best possible")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label="at random")
    axes.set(xlabel="Share of members", ylabel=f"Share of {quantity}", xlim=(0, 1), ylim=(0, 1.02))
    _percent(axes.xaxis, axes.yaxis)
    axes.legend(frameon=False, loc="lower right")
    return figure


def shap_figure(contributions: pd.DataFrame, values: pd.DataFrame, *, most: int = 15) -> Figure:
    """Show how far each feature moves members' churn score, and whether its high or its low values do.

    Parameters
    ----------
    contributions
        SHAP values in log-odds, one column per feature.
    values
        The features' own values, in the same rows; a column it lacks is shown without colour.
    most
        Features shown, those that move the score most; the rest are summed.
    """
    shown = _sample_rows(len(contributions))
    rows = min(most, contributions.shape[1])
    figure, axes = _axes(f"What moves the churn score ({len(shown):,} members)", height=1.5 + 0.32 * rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The set_.* function will be deprecated", PendingDeprecationWarning)
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        import shap  # costs seconds, and sets its colours up in a way Matplotlib is about to give up

        explanation = shap.Explanation(
            values=contributions.to_numpy(np.float64)[shown],
            data=values.reindex(columns=contributions.columns).to_numpy(np.float64)[shown],
            feature_names=list(contributions.columns),
        )
        shap.plots.beeswarm(explanation, max_display=rows, ax=axes, show=False, plot_size=None, s=8)
    for points in axes.collections:
        points.set_rasterized(True)
    axes.set_xlabel("SHAP value, in log-odds (right: more likely to churn)", fontsize=10)
    axes.tick_params(labelsize=9)
    return figure


def family_figure(contributions: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Show how far each family of features moves members' churn score on average.

    Parameters
    ----------
    contributions
        SHAP values in log-odds, one column per feature.
    families
        Family of each of those columns.
    """
    by_family = contributions.T.groupby(contributions.columns.map(families)).sum().T
    strength = by_family.abs().mean().sort_values()
    figure, axes = _axes("What moves the churn score, by family of features", height=1.5 + 0.32 * len(strength))
    axes.barh(strength.index, strength.to_numpy(), color=_COLOURS[0])
    axes.set_xlabel("Mean absolute change of the log-odds of churn")
    return figure


def _axes(title: str, *, height: float = 4.5) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.0, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _percent(*sides: mpl.axis.Axis) -> None:
    for side in sides:
        side.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def _sample_rows(rows: int) -> np.ndarray:
    if rows <= SHOWN_MEMBERS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, SHOWN_MEMBERS, replace=False))
