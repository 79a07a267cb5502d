"""From snapshots to a bundle: choose the number of trees and calibrate out of time, then learn from all snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from features.catalogue import ONLY_FOR_GUARDRAILS, catalogue
from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import Calibrator, ColumnProfile, FittedModel, Floats, ModelBundle, ModelName, ValueSpread
from serving.scoring import score
from training.calibrate import SMALLEST_PROBABILITY, fit_calibrator
from training.churn import CHURN, ORDERS
from training.evaluate import churn_metrics, value_metrics
from training.level import level_margin, share_level, value_level
from training.sampling import Flags, equally_likely
from training.snapshots import Population, Snapshot, same_season
from training.spec import Growth, ModelSpec
from training.spread import fit_spread
from training.value import VALUE

MOST_ROUNDS = 600
FEWEST_ROUNDS = 30
PATIENCE = 40
PROFILE_QUANTILES = tuple(np.linspace(0, 1, 11).round(1).tolist())


@dataclass(frozen=True)
class Rows:
    """Members at past dates: model inputs, labels, and how many members they stand for, row by row."""

    inputs: pd.DataFrame
    labels: pd.DataFrame
    weights: Floats

    def where(self, chosen: Flags) -> Rows:
        """Keep the chosen rows."""
        return Rows(self.inputs[chosen], self.labels[chosen], self.weights[chosen])

    @property
    def even_weights(self) -> Floats:
        """Weights that are 1 on average, so that what they are weighed against keeps its meaning."""
        return np.asarray(self.weights / self.weights.mean())


@dataclass(frozen=True)
class Split:
    """Rows to grow trees on, to choose their number by, and to calibrate on."""

    grow: Rows
    choose: Rows
    calibrate: Rows
    out_of_time: bool


@dataclass(frozen=True)
class Training:
    """A bundle, and how models not yet calibrated did where they had not looked.

    Attributes
    ----------
    bundle
        The models, learnt from all snapshots.
    held_out
        ``churned``, ``value`` and what was predicted, ``churn_probability`` and ``expected_value``, for the members
        kept for calibration.
    out_of_time
        Whether these come from a later date than the rows learnt from; else there was only one date, and they are
        other members.
    specs
        What the models are.
    """

    bundle: ModelBundle
    held_out: pd.DataFrame
    out_of_time: bool
    specs: tuple[ModelSpec, ...]


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


def train(
    snapshots: Sequence[Snapshot], now: Population, programme: Programme, *, growth: Growth | None = None
) -> Training:
    """Fit all models of a programme.

    Parameters
    ----------
    snapshots
        The past dates to learn from, the earliest first; all had matured by ``now.as_of``.
    now
        The population the bundle will first be used on: it gives the constants and the reference profile.
    programme
        Settings of the programme.
    growth
        How trees are grown, by model, where it differs from the default.
    """
    everything = stack(snapshots)
    split = split_rows(snapshots)
    left_out = {each.name for each in catalogue(programme.windows) if each.family in programme.training.leave_out}
    names = [name for name in informative(everything.inputs) if name not in left_out]
    specs = tuple(spec.grown(growth or {}) for spec in model_specs(programme))
    fitted = {spec.name: fit(spec, names, split, everything, now, programme) for spec in specs}
    judged = equally_likely(split.calibrate.labels["member_id"], split.calibrate.weights)
    held_out = _held_out(fitted, split.calibrate.labels)[judged]
    season = same_season(snapshots, now.as_of, programme)
    typical = now.evened().features
    bundle = ModelBundle(
        created_at=datetime.now(UTC).replace(tzinfo=None),
        programme_name=programme.name,
        trained_until=now.as_of,
        churn_days=programme.horizons.churn_days,
        value_days=programme.horizons.value_days,
        value_basis=now.value_basis,
        windows=programme.windows,
        feature_names=tuple(names),
        constants=now.constants,
        models={name: each.model for name, each in fitted.items()},
        calibrators={
            spec.name: _calibrator(spec, fitted[spec.name], split.calibrate, now, snapshots, season)
            for spec in specs
            if spec.objective == "binary"
        },
        value_spread=_spread(fitted, split.calibrate.labels, judged),
        level_margin=level_margin(snapshots, season),
        reference_profile={name: _profile(typical[name]) for name in names if name in typical},
        metrics=_metrics(held_out),
    )
    return Training(_at_level(bundle, now, snapshots, season), held_out, split.out_of_time, specs)


def model_specs(programme: Programme) -> tuple[ModelSpec, ...]:
    """Return the models a programme needs; equal horizons share one classifier."""
    horizons = programme.horizons
    return (CHURN, VALUE) if horizons.churn_days == horizons.value_days else (CHURN, ORDERS, VALUE)


def stack(snapshots: Sequence[Snapshot]) -> Rows:
    """Put snapshots under each other."""
    return Rows(
        inputs=pd.concat([_inputs(each) for each in snapshots], ignore_index=True),
        labels=pd.concat([each.labels for each in snapshots], ignore_index=True),
        weights=np.concatenate([each.weights for each in snapshots]),
    )


def _inputs(population: Population) -> pd.DataFrame:
    unread = ["member_id", "as_of", *ONLY_FOR_GUARDRAILS]
    return pd.concat([population.features.drop(columns=unread, errors="ignore"), population.priors], axis=1)


def split_rows(snapshots: Sequence[Snapshot]) -> Split:
    """Keep the latest snapshot for choosing and calibrating, half of its members each.

    Trees grow on the snapshots that had matured by its date. Where there are none, members are split instead.
    """
    latest = snapshots[-1]
    matured = [each for each in snapshots if each.matured_at <= latest.as_of]
    if matured:
        rows = stack([latest])
        first_half = _tenth(rows.labels["member_id"]) < 5
        return Split(stack(matured), rows.where(first_half), rows.where(~first_half), out_of_time=True)
    rows = stack(snapshots)
    tenth = _tenth(rows.labels["member_id"])
    return Split(
        rows.where(tenth < 6), rows.where((tenth == 6) | (tenth == 7)), rows.where(tenth > 7), out_of_time=False
    )


def informative(inputs: pd.DataFrame) -> list[str]:
    """Return the columns that differ between members; one that is constant or always missing is left out."""
    matrix = inputs.to_numpy(np.float64)
    missing = np.isnan(matrix)
    lowest = np.where(missing, np.inf, matrix).min(axis=0)
    highest = np.where(missing, -np.inf, matrix).max(axis=0)
    differs = (lowest < highest) | (missing.any(axis=0) & ~missing.all(axis=0))
    return [name for name, keep in zip(inputs.columns, differs, strict=True) if keep]


def fit(
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
        now=_predict(spec, names, final, rounds, _inputs(now), shift),
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


def _tenth(member_ids: pd.Series) -> NDArray[np.uint64]:
    """Place each member in one of ten groups, always the same."""
    return pd.util.hash_array(member_ids.to_numpy(dtype=object)) % 10


def _calibrator(
    spec: ModelSpec,
    fitted: Fitted,
    rows: Rows,
    now: Population,
    snapshots: Sequence[Snapshot],
    season: Snapshot | None,
) -> Calibrator:
    predicted, expected = expit(fitted.now), expit(now.priors[spec.offset].to_numpy())
    return fit_calibrator(
        expit(fitted.held_out),
        rows.labels[spec.label].to_numpy(),
        now=predicted,
        level=share_level(now.mean(predicted), now.mean(expected), spec, snapshots, season),
        weights=rows.even_weights,
        now_weights=now.weights,
    )


def _at_level(
    bundle: ModelBundle, now: Population, snapshots: Sequence[Snapshot], season: Snapshot | None
) -> ModelBundle:
    """Bring the values that a bundle expects of its first members to the level of the coming window."""
    predicted = now.total(score(now.features, bundle)["expected_value"])
    level = value_level(predicted, now.total(now.priors["prior_expected_value"]), snapshots, season)
    return bundle.model_copy(update={"value_factor": level / predicted if predicted > 0 else 1.0})


def _profile(values: pd.Series) -> ColumnProfile:
    known = values.dropna()
    return ColumnProfile(
        quantiles=tuple(known.quantile(PROFILE_QUANTILES).tolist()) if len(known) else (),
        missing_share=float(values.isna().mean()),
    )


def _spread(fitted: dict[ModelName, Fitted], outcomes: pd.DataFrame, judged: Flags) -> ValueSpread:
    ordered = (outcomes["ordered"].to_numpy() > 0) & judged
    return fit_spread(
        _order_probability(fitted)[ordered],
        np.exp(fitted["value"].held_out[ordered]),
        outcomes["value"].to_numpy()[ordered],
    )


def _order_probability(fitted: dict[ModelName, Fitted]) -> Floats:
    """Return the probability of an order within the value horizon, for the rows kept for calibration."""
    return np.asarray(expit(fitted["orders"].held_out if "orders" in fitted else -fitted["churn"].held_out))


def _held_out(fitted: dict[ModelName, Fitted], outcomes: pd.DataFrame) -> pd.DataFrame:
    return outcomes[["churned", "value"]].assign(
        churn_probability=expit(fitted["churn"].held_out),
        expected_value=_order_probability(fitted) * np.exp(fitted["value"].held_out),
    )


def _metrics(held_out: pd.DataFrame) -> dict[str, float]:
    judged = {
        "churn": churn_metrics(held_out["churned"], held_out["churn_probability"]),
        "value": value_metrics(held_out["value"], held_out["expected_value"]),
    }
    return {f"{name}_{metric}": value for name, each in judged.items() for metric, value in each.items()}
