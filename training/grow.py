"""Grow one model's trees on top of its start: how many is chosen out of time, then they learn from everything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import FittedModel, Floats
from training.calibrate import SMALLEST_PROBABILITY
from training.rows import Rows, Split, model_inputs
from training.snapshots import Population
from training.spec import ModelSpec

MOST_ROUNDS: Final = 600
FEWEST_ROUNDS: Final = 30
PATIENCE: Final = 40


@dataclass(frozen=True)
class Fitted:
    """A model learnt from everything, and predictions on the link scale.

    Attributes
    ----------
    model
        The model.
    held_out
        What its earlier self predicted for the rows kept for calibration.
    now
        What it predicts for the members to be scored first.
    """

    model: FittedModel
    held_out: Floats
    now: Floats


def grow(
    spec: ModelSpec, names: list[str], split: Split, everything: Rows, now: Population, programme: Programme
) -> Fitted:
    """Choose the number of rounds on one half of the held-out rows, predict the other half, then learn from all."""
    parameters = {
        **spec.growth,
        "objective": spec.objective,
        "metric": spec.metric,
        "seed": programme.training.seed,
        "num_threads": programme.training.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    shift = _level_shift(spec, split.grow)
    earlier, rounds = _choose_rounds(spec, names, split, parameters, shift)
    final = lgb.train(parameters, _dataset(spec, names, everything, shift), rounds)
    learnt_from = _learnable(spec, everything)
    return Fitted(
        model=FittedModel(
            text=final.model_to_string(),
            objective=spec.objective,
            offset=spec.offset,
            offset_weight=spec.offset_weight,
            offset_shift=shift,
            offset_mean=float(np.average(learnt_from.inputs[spec.offset], weights=learnt_from.weights)),
        ),
        held_out=_predict(spec, names, earlier, rounds, split.calibrate.inputs, shift),
        now=_predict(spec, names, final, rounds, model_inputs(now), shift),
    )


def _choose_rounds(
    spec: ModelSpec, names: list[str], split: Split, parameters: dict[str, Any], shift: float
) -> tuple[lgb.Booster, int]:
    """Stop where the metric no longer improves, but not before a few rounds: on short histories it is noisy.

    Returns the trees grown so far, some beyond the last useful round, and the number of rounds.
    """
    grow = _dataset(spec, names, split.grow, shift)
    if not len(_learnable(spec, split.choose).labels):
        return lgb.train(parameters, grow, FEWEST_ROUNDS), FEWEST_ROUNDS
    booster = lgb.train(
        parameters,
        grow,
        MOST_ROUNDS,
        valid_sets=[_dataset(spec, names, split.choose, shift, reference=grow)],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return booster, max(FEWEST_ROUNDS, int(booster.best_iteration))


def _dataset(
    spec: ModelSpec, names: list[str], rows: Rows, shift: float, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    learnable = _learnable(spec, rows)
    if learnable.labels.empty:
        raise RefusedError(
            f"no member {spec.among} after the past dates to learn {spec.name} from; wait for more history"
        )
    return lgb.Dataset(
        learnable.inputs[names].to_numpy(np.float64),
        _label(spec, learnable),
        weight=learnable.even_weights,
        init_score=_start(spec, learnable.inputs, shift),
        feature_name=names,
        reference=reference,
    )


def _start(spec: ModelSpec, inputs: pd.DataFrame, shift: float) -> Floats:
    """Return where the trees start, on the link scale."""
    return shift + spec.offset_weight * inputs[spec.offset].to_numpy(np.float64)


def _level_shift(spec: ModelSpec, rows: Rows) -> float:
    """Return the shift that gives the start the level of the labels."""
    learnable = _learnable(spec, rows)
    label = _label(spec, learnable)
    if not len(label):
        return 0.0
    start = _start(spec, learnable.inputs, 0.0)
    mean = partial(np.average, weights=learnable.weights)
    if spec.objective != "binary":
        return float(np.log(mean(label)) - np.log(mean(np.exp(start))))
    level = mean(label).clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return float(brentq(lambda shift: mean(expit(start + shift)) - level, -100, 100))


def _label(spec: ModelSpec, rows: Rows) -> Floats:
    return rows.labels[spec.label].clip(lower=spec.label_floor).to_numpy(np.float64)


def _learnable(spec: ModelSpec, rows: Rows) -> Rows:
    return rows if spec.among is None else rows.where(rows.labels[spec.among].to_numpy() > 0)


def _predict(
    spec: ModelSpec, names: list[str], booster: lgb.Booster, rounds: int, inputs: pd.DataFrame, shift: float
) -> Floats:
    """Predict on the link scale, by the first so many rounds."""
    raw = booster.predict(inputs[names].to_numpy(np.float64), raw_score=True, num_iteration=rounds)
    return np.asarray(raw + _start(spec, inputs, shift))
