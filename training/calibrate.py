"""Calibration: from a model's probability to the share that is observed out of time."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from serving.bundle import Calibrator, Floats

LEVEL_SHARE: Final = 0.25
"""Share of a level error seen out of time that is taken to last. The final models learn from that window too, and the
next one need not repeat it: on the development back-tests more made totals worse as often as better."""

STRAIGHTNESS: Final = 10.0
"""Weight of the squared distance of the fitted line from leaving the log-odds as they are."""

SMALLEST_PROBABILITY: Final = 1e-5
_FARTHEST = float(logit(1 - SMALLEST_PROBABILITY))
_KNOTS = np.linspace(-_FARTHEST, _FARTHEST, 81)


def fit_calibrator(probability: Floats, outcome: Floats) -> Calibrator:
    """Learn a calibrator from predictions made out of time and the 0/1 outcomes.

    It is a straight line on the log-odds (Platt) whose level moves by `LEVEL_SHARE` of the way to the observed one.
    Isotonic regression, the free curve, had the higher cross-validated log loss in all nine development back-tests,
    with 1,100 to 11,900 members to learn from.
    """
    log_odds = logit(probability.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    slope = _slope(log_odds, outcome)
    level = (1 - LEVEL_SHARE) * expit(log_odds).mean() + LEVEL_SHARE * outcome.mean()
    shift = brentq(lambda shift: float(expit(slope * log_odds + shift).mean() - level), -100, 100)
    calibrated = expit((slope * _KNOTS + shift).clip(-_FARTHEST, _FARTHEST))
    return Calibrator(x=tuple(expit(_KNOTS).tolist()), y=tuple(calibrated.tolist()))


def level_factor(actual: float, predicted: float) -> float:
    """Return what to multiply predicted values by so that totals fit: the part of the ratio that is taken to last."""
    return float((actual / predicted) ** LEVEL_SHARE) if actual > 0 and predicted > 0 else 1.0


def _slope(log_odds: Floats, outcome: Floats) -> float:
    """Fit a penalised logistic regression on the log-odds and return its slope."""

    def loss(line: Floats) -> tuple[float, Floats]:
        slope, shift = line
        score = slope * log_odds + shift
        error = expit(score) - outcome
        misfit = (np.logaddexp(0, score) - outcome * score).sum() + STRAIGHTNESS * ((slope - 1) ** 2 + shift**2)
        gradient = [error @ log_odds + 2 * STRAIGHTNESS * (slope - 1), error.sum() + 2 * STRAIGHTNESS * shift]
        return float(misfit), np.array(gradient)

    return float(minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(0.1, 10.0), (None, None)]).x[0])
