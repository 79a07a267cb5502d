"""Level and season: how many members will order and what they will bring, all together.

Trees repeat the level of the windows they learnt from, and the coming window need not. The buy-till-you-die formulas,
fitted at the date itself, know the level of today but no season. What actual outcomes were to the formulas' expectation
in the same season last year is the best guide to the coming window where there was one. So totals follow the formulas
times that ratio for the most part, and the trees' own for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from serving.intervals import TOTAL_CONFIDENCE
from training.snapshots import Snapshot
from training.spec import ModelSpec

FORMULA_WEIGHT: Final = 0.75
"""Weight of the formulas, in log-odds and logs. On the development back-tests (docs/models.md) it left the smallest
error of both totals, with last year's season and without."""

SHARE_OF_SEASON: Final = 0.5
"""Of what the share of members differed by last year, what is expected again. The programme was younger then, and the
formulas knew less of who leaves. Values, where that hardly shows, are expected to differ again in full."""

SMALLEST_ERROR: Final = 0.04
"""Of the log of a total: no window was closer on average."""

FEWEST_WINDOWS: Final = 2
"""Below two even Student's t says nothing any more."""

MOST_CERTAIN: Final = 0.001


SEASONAL: Final = float(np.log(1.5))
"""How far a programme may differ from the formulas for a season's sake. What it differs by beyond that, on average over
the snapshots, is lasting."""


def share_level(
    predicted: float, formula: float, spec: ModelSpec, snapshots: Sequence[Snapshot], season: Snapshot | None
) -> float:
    """Return the share of members to expect in the coming window.

    Parameters
    ----------
    predicted, formula
        Mean probability by the model, and by the formulas.
    spec
        Which model it is.
    snapshots
        What it learnt from.
    season
        The one of the same season last year, where there is one.
    """

    def difference(snapshot: Snapshot) -> float:
        expected = snapshot.mean(expit(snapshot.priors[spec.offset].to_numpy()))
        return _log_odds(snapshot.mean(snapshot.labels[spec.label])) - _log_odds(expected)

    anchor = _log_odds(formula) + _to_expect(
        [*map(difference, snapshots)], SHARE_OF_SEASON * difference(season) if season else None
    )
    return float(expit((1 - FORMULA_WEIGHT) * _log_odds(predicted) + FORMULA_WEIGHT * anchor))


def value_level(predicted: float, formula: float, snapshots: Sequence[Snapshot], season: Snapshot | None) -> float:
    """Return the total value to expect in the coming window, from that by the models and that by the formulas."""
    if predicted <= 0 or formula <= 0:
        return predicted
    last_year = _value_difference(season) if season else None
    anchor = np.log(formula) + _to_expect([*map(_value_difference, snapshots)], last_year)
    return float(np.exp((1 - FORMULA_WEIGHT) * np.log(predicted) + FORMULA_WEIGHT * anchor))


def level_margin(snapshots: Sequence[Snapshot], season: Snapshot | None) -> float:
    """Return by how much the log of the coming window's total may be off, either way, at `TOTAL_CONFIDENCE`.

    It is as uncertain as past windows differed from the formulas, half of that where last year's season is known. Few
    windows, counted without overlap, tell little of that, so Student's t replaces the normal distribution.
    """
    recent = [each for each in snapshots if each is not season] or list(snapshots)
    differences = [_value_difference(each) for each in recent]
    error = np.hypot(SMALLEST_ERROR, np.sqrt(np.mean(np.square(differences))) * (1.0 if season is None else 0.5))
    windows = (recent[-1].matured_at - recent[0].as_of) / (recent[-1].matured_at - recent[-1].as_of)
    freedom = max(FEWEST_WINDOWS, min(int(windows), len(recent)))
    return float(t.ppf((1 + TOTAL_CONFIDENCE) / 2, freedom) * error)


def _value_difference(snapshot: Snapshot) -> float:
    """Return the log of actual over expected value; 0 where there is none."""
    actual, expected = map(snapshot.total, (snapshot.labels["value"], snapshot.priors["prior_expected_value"]))
    return float(np.log(actual / expected)) if actual > 0 and expected > 0 else 0.0


def _to_expect(differences: Sequence[float], last_year: float | None) -> float:
    """Return the difference from the formulas to expect: last year's, or else what is too much for a season."""
    if last_year is not None:
        return last_year
    usual = float(np.mean(differences))
    return float(np.sign(usual) * max(abs(usual) - SEASONAL, 0.0))


def _log_odds(share: float) -> float:
    return float(logit(np.clip(share, MOST_CERTAIN, 1 - MOST_CERTAIN)))
