"""Which members an incentive moves more than others: member-level uplift, and whether it is there at all.

A score per member is worth acting on only where, among members it was not learnt from, those ranked higher are moved
more. The protocol, by plain functions of any experiment with known odds: :func:`own_effects` gives every unit a noisy
but unbiased effect of its own, :func:`uplift_scores` scores units by models that saw no unit of the same member, and
:func:`qini` ranks units by any such score within each stratum and judges the ranking by their own effects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import norm, rankdata

from serving.bundle import Floats
from training.prognosis import FOLDS, foresee, member_folds

ROUNDS: Final = 100
SETTINGS: Final[dict[str, Any]] = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 4,
    "min_data_in_leaf": 500,
    "lambda_l2": 100.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""Small trees, held back: how much more one member is moved than another is far less sure than who orders."""

Labels = np.ndarray


@dataclass(frozen=True)
class Qini:
    """How much a ranking is worth.

    Attributes
    ----------
    value
        What treating those ranked highest brings beyond treating as many by lot, per unit, averaged over all shares
        that could be treated: the area between Qini curve and diagonal. In the outcome's unit.
    se
        Its standard error; units of a member count together.
    """

    value: float
    se: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval."""
        reach = float(norm.ppf((1 + confidence) / 2)) * self.se
        return self.value - reach, self.value + reach


def own_effects(
    outcome: Floats, arm: Labels, propensity: Floats, foreseen: Floats, *, treated: str, control: str
) -> Floats:
    """Return for every unit an unbiased, very noisy estimate of what being treated would do to it.

    That is what happened beyond what was foreseen, over the chance of it, with its sign turned for control: of the
    same mean as AIPW scores, whatever was foreseen. Units of third arms tell nothing and get 0.

    Parameters
    ----------
    outcome, arm, propensity
        What each unit did, which arm it was in, and how likely that arm was.
    foreseen
        What it was expected to do whatever its arm, by a model that saw nothing of the same member.
    treated, control
        The two arms.
    """
    sign = (arm == treated).astype(float) - (arm == control)
    return np.asarray(sign / propensity * (outcome - foreseen))


def uplift_scores(
    features: pd.DataFrame,
    arm: Labels,
    outcome: Floats,
    propensity: Floats,
    *,
    treated: str,
    control: str,
    members: pd.Series,
    seed: int,
    threads: int,
) -> tuple[Floats, Floats]:
    """Score every unit by how much it would be moved, from models that saw no unit of the same member.

    Parameters
    ----------
    features
        Numbers known before the assignment, one row per unit; may be missing.
    arm, outcome, propensity, treated, control
        As in :func:`own_effects`.
    members
        Whom each unit is about; folds are of members, see :func:`training.prognosis.member_folds`.
    seed, threads
        Of LightGBM.

    Returns
    -------
    tuple
        Scores, in the outcome's unit, all equal where nothing could be learnt; and own effects. One each per unit.

    Notes
    -----
    A DR-learner (Kennedy, 2023): own effects, unbiased where the odds are known, are regressed on features. They are
    that noisy that what is learnt has to be shrunk. So two guesses are stacked (Breiman, 1996), with weights not below
    zero found on members neither was learnt from: that the effect goes with what was foreseen, and what small trees
    make of the features. Where neither helps both weights are zero.
    """
    known = features.assign(member_id=members, outcome=outcome)
    foreseen = foresee(known, [str(name) for name in features], ["outcome"], seed=seed, threads=threads)[:, 0]
    effects = own_effects(outcome, arm, propensity, foreseen, treated=treated, control=control)
    inputs = np.column_stack([features.to_numpy(np.float64), foreseen])
    told, folds = np.isin(arm, (treated, control)), member_folds(members)
    settings = {**SETTINGS, "seed": seed, "num_threads": threads}

    def grown(on: np.ndarray, asked: np.ndarray) -> Floats:
        learnt = lgb.train(settings, lgb.Dataset(inputs[on], effects[on], params=settings), ROUNDS)
        return np.asarray(learnt.predict(inputs[asked], num_threads=threads))

    scores = np.zeros(len(effects))
    for fold in range(FOLDS):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & told)
        if not len(own) or len(np.unique(folds[others])) < FOLDS - 1:
            continue
        unseen = np.zeros(len(effects))
        for held in np.unique(folds[others]):
            is_held = folds[others] == held
            unseen[others[is_held]] = grown(others[~is_held], others[is_held])
        weights = _stacked(np.column_stack([foreseen, unseen])[others], effects[others])
        scores[own] = np.column_stack([foreseen[own], grown(others, own)]) @ weights
    return scores, effects


def _stacked(guesses: Floats, effects: Floats) -> Floats:
    """Return the weights, not below zero, with which guesses come nearest to own effects, levels apart."""
    weights, _ = nnls(guesses - guesses.mean(axis=0), effects - effects.mean())
    return np.asarray(weights)


def qini(scores: Floats, effects: Floats, strata: np.ndarray, members: np.ndarray) -> Qini:
    """Judge a ranking of units by their own effects.

    Parameters
    ----------
    scores
        Higher means treated sooner; of units with the same score, all are as likely.
    effects
        By :func:`own_effects`.
    strata
        Units are ranked within each: scores of different models do not compare, and a ranking within policy segments
        tells what members add to these.
    members
        Whom each unit is about, as whole numbers from 0.

    Notes
    -----
    The rank-weighted average effect with Qini's weights, and its influence function (Yadlowsky, Fleming, Shah,
    Brunskill and Wager, 2025), which is the bootstrap's limit.
    """
    moves = np.zeros(len(scores))
    value = 0.0
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        share = len(rows) / len(scores)
        worth, influence = _ranked(scores[rows], effects[rows])
        value += share * worth
        moves[rows] = influence
    by_member = np.bincount(members, moves)
    return Qini(value, float(np.sqrt((by_member**2).sum()) / len(scores)))


def _ranked(scores: Floats, effects: Floats) -> tuple[float, Floats]:
    """Return the worth of one stratum's ranking and how much each unit moves it."""
    centred, count = effects - effects.mean(), len(scores)
    place = (rankdata(scores) - 0.5) / count
    worth = float(np.mean(centred * place))
    levels, level = np.unique(scores, return_inverse=True)
    totals = np.bincount(level, centred, len(levels)) / count
    at_or_above = totals[::-1].cumsum()[::-1] - totals / 2
    return worth, centred * (place - 0.5) + at_or_above[level] - 2 * worth
