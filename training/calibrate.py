"""Calibration: from a model's probability to the share to expect."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from serving.bundle import Calibrator, Floats
from training.spec import Bend

STEADINESS: Final = 100.0
"""Weight of the squared distance of the fitted bend from the usual one: what one window shows may not last."""

SMALLEST_PROBABILITY: Final = 1e-5
_FARTHEST = float(logit(1 - SMALLEST_PROBABILITY))
_KNOTS = np.linspace(-_FARTHEST, _FARTHEST, 81)


def fit_calibrator(
    probability: Floats,
    outcome: Floats,
    *,
    now: Floats,
    level: float,
    usual: Bend,
    weights: Floats | float = 1.0,
    now_weights: Floats | float = 1.0,
) -> Calibrator:
    """Learn a calibrator.

    It is beta calibration (Kull, Silva Filho and Flach 2017): its bend is learnt out of time, drawn towards the one
    usual elsewhere, and its level is that of the coming window.

    Parameters
    ----------
    probability, outcome
        Predictions made out of time, and what happened, 0 or 1.
    now
        Predictions for the members to be scored first.
    level
        Share to expect of them.
    usual
        Bend to draw towards.
    weights, now_weights
        Of either members; the first are 1 on average.
    """
    bend = _bend(_log_odds(probability), outcome, weights, np.array(usual))
    scores = _logs(_log_odds(now)) @ bend
    reachable = np.clip(level, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)

    def above_level(shift: float) -> float:
        return float((now_weights * (expit(scores + shift) - reachable)).mean())

    shift = brentq(above_level, -1_000, 1_000) if len(now) else 0.0
    calibrated = expit((_logs(_KNOTS) @ bend + shift).clip(-_FARTHEST, _FARTHEST))
    return Calibrator(x=tuple(expit(_KNOTS).tolist()), y=tuple(calibrated.tolist()))


def _log_odds(probability: Floats) -> Floats:
    return np.asarray(logit(probability.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)))


def _logs(log_odds: Floats) -> Floats:
    """Return the log of the probability and the negative log of its complement, side by side; they add up."""
    return np.column_stack([-np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)])


def _bend(log_odds: Floats, outcome: Floats, weights: Floats | float, usual: NDArray[np.float64]) -> Floats:
    """Fit a penalised logistic regression on both logs and return their weights; its own level is left aside."""
    logs = _logs(log_odds)

    def loss(line: Floats) -> tuple[float, Floats]:
        bend, shift = line[:2], line[2]
        score = logs @ bend + shift
        error = weights * (expit(score) - outcome)
        misfit = (weights * (np.logaddexp(0, score) - outcome * score)).sum()
        apart = bend - usual
        gradient = [*(error @ logs + 2 * STEADINESS * apart), error.sum()]
        return float(misfit + STEADINESS * apart @ apart), np.array(gradient)

    bounds = [(0.1, 10.0), (0.1, 10.0), (-_FARTHEST, _FARTHEST)]
    return np.asarray(minimize(loss, [*usual, 0.0], jac=True, method="L-BFGS-B", bounds=bounds).x[:2])
