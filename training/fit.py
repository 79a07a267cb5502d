"""From snapshots to a bundle: choose the number of trees and calibrate out of time, then learn from all snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import ColumnProfile, FittedModel, Floats, ModelBundle, ModelName
from training.calibrate import fit_calibrator, level_factor
from training.churn import CHURN, ORDERS
from training.evaluate import churn_metrics, value_metrics
from training.snapshots import Population, Snapshot
from training.spec import Growth, ModelSpec
from training.value import VALUE

MOST_ROUNDS = 600
FEWEST_ROUNDS = 30
PATIENCE = 40
PROFILE_QUANTILES = tuple(np.linspace(0, 1, 11).round(1).tolist())

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Members at past dates: model inputs and labels, row by row."""

    inputs: pd.DataFrame
    labels: pd.DataFrame

    def where(self, chosen: Flags) -> Rows:
        """Keep the chosen rows."""
        return Rows(self.inputs[chosen], self.labels[chosen])


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
    """A model learnt from everything, and what its earlier self predicted for the rows kept for calibration."""

    model: FittedModel
    held_out: Floats


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
    names = informative(everything.inputs)
    specs = tuple(spec.grown(growth or {}) for spec in model_specs(programme))
    fitted = {spec.name: fit(spec, names, split, everything, programme) for spec in specs}
    outcomes = split.calibrate.labels
    held_out = _held_out(fitted, outcomes)
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
            spec.name: fit_calibrator(expit(fitted[spec.name].held_out), outcomes[spec.label].to_numpy())
            for spec in specs
            if spec.objective == "binary"
        },
        value_factor=_value_factor(fitted["value"], outcomes),
        reference_profile={name: _profile(now.features[name]) for name in names if name in now.features},
        metrics=_metrics(held_out),
    )
    return Training(bundle, held_out, split.out_of_time, specs)


def model_specs(programme: Programme) -> tuple[ModelSpec, ...]:
    """Return the models a programme needs; equal horizons share one classifier."""
    horizons = programme.horizons
    return (CHURN, VALUE) if horizons.churn_days == horizons.value_days else (CHURN, ORDERS, VALUE)


def stack(snapshots: Sequence[Snapshot]) -> Rows:
    """Put snapshots under each other."""
    inputs = [
        pd.concat([each.features.drop(columns=["member_id", "as_of"]), each.priors], axis=1) for each in snapshots
    ]
    return Rows(
        inputs=pd.concat(inputs, ignore_index=True),
        labels=pd.concat([each.labels for each in snapshots], ignore_index=True),
    )


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


def fit(spec: ModelSpec, names: list[str], split: Split, everything: Rows, programme: Programme) -> Fitted:
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
    rounds = _choose_rounds(spec, names, split, parameters)
    earlier = lgb.train(parameters, _dataset(spec, names, split.grow), rounds)
    final = lgb.train(parameters, _dataset(spec, names, everything), rounds)
    learnt_from = _learnable(spec, everything)
    return Fitted(
        model=FittedModel(
            text=final.model_to_string(),
            objective=spec.objective,
            offset=spec.offset,
            offset_mean=float(learnt_from.inputs[spec.offset].mean()),
        ),
        held_out=_predict(spec, names, earlier, split.calibrate.inputs),
    )


def _choose_rounds(spec: ModelSpec, names: list[str], split: Split, parameters: dict[str, Any]) -> int:
    """Stop where the metric no longer improves, but not before a few rounds: on short histories it is noisy."""
    if not len(_learnable(spec, split.choose).labels):
        return FEWEST_ROUNDS
    grow = _dataset(spec, names, split.grow)
    booster = lgb.train(
        parameters,
        grow,
        MOST_ROUNDS,
        valid_sets=[_dataset(spec, names, split.choose, reference=grow)],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    return max(FEWEST_ROUNDS, int(booster.best_iteration))


def _dataset(spec: ModelSpec, names: list[str], rows: Rows, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    learnable = _learnable(spec, rows)
    if learnable.labels.empty:
        raise RefusedError(
            f"no member {spec.among} after the past dates to learn {spec.name} from; wait for more history"
        )
    return lgb.Dataset(
        learnable.inputs[names].to_numpy(np.float64),
        learnable.labels[spec.label].clip(lower=spec.label_floor).to_numpy(np.float64),
        init_score=learnable.inputs[spec.offset].to_numpy(np.float64),
        feature_name=names,
        reference=reference,
    )


def _learnable(spec: ModelSpec, rows: Rows) -> Rows:
    return rows if spec.among is None else rows.where(rows.labels[spec.among].to_numpy() > 0)


def _predict(spec: ModelSpec, names: list[str], booster: lgb.Booster, inputs: pd.DataFrame) -> Floats:
    """Predict on the link scale."""
    raw = booster.predict(inputs[names].to_numpy(np.float64), raw_score=True)
    return np.asarray(raw + inputs[spec.offset].to_numpy(np.float64))


def _tenth(member_ids: pd.Series) -> NDArray[np.uint64]:
    """Place each member in one of ten groups, always the same."""
    return pd.util.hash_array(member_ids.to_numpy(dtype=object)) % 10


def _value_factor(value: Fitted, outcomes: pd.DataFrame) -> float:
    ordered = outcomes["ordered"].to_numpy() > 0
    return level_factor(outcomes["value"][ordered].sum(), np.exp(value.held_out)[ordered].sum())


def _profile(values: pd.Series) -> ColumnProfile:
    known = values.dropna()
    return ColumnProfile(
        quantiles=tuple(known.quantile(PROFILE_QUANTILES).tolist()) if len(known) else (),
        missing_share=float(values.isna().mean()),
    )


def _held_out(fitted: dict[ModelName, Fitted], outcomes: pd.DataFrame) -> pd.DataFrame:
    churn = expit(fitted["churn"].held_out)
    orders = expit(fitted["orders"].held_out) if "orders" in fitted else 1 - churn
    expected_value = orders * np.exp(fitted["value"].held_out)
    return outcomes[["churned", "value"]].assign(churn_probability=churn, expected_value=expected_value)


def _metrics(held_out: pd.DataFrame) -> dict[str, float]:
    judged = {
        "churn": churn_metrics(held_out["churned"], held_out["churn_probability"]),
        "value": value_metrics(held_out["value"], held_out["expected_value"]),
    }
    return {f"{name}_{metric}": value for name, each in judged.items() for metric, value in each.items()}
