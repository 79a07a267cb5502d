"""From snapshots to a bundle: choose the number of trees and calibrate out of time, then learn from all snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.special import expit

from features.catalogue import catalogue
from features.programme import Programme
from serving.bundle import Calibrator, ColumnProfile, Floats, ModelBundle, ModelName, ValueSpread
from serving.scoring import score
from training.calibrate import fit_calibrator
from training.churn import CHURN, ORDERS
from training.evaluate import churn_metrics, value_metrics
from training.grow import Fitted, grow
from training.level import level_margin, share_level, value_level
from training.rows import Rows, informative, split_rows, stack
from training.sampling import Flags, equally_likely
from training.snapshots import Population, Snapshot, same_season
from training.spec import Growth, ModelSpec
from training.spread import fit_spread
from training.value import VALUE

PROFILE_QUANTILES = tuple(np.linspace(0, 1, 11).round(1).tolist())


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
    fitted = {spec.name: grow(spec, names, split, everything, now, programme) for spec in specs}
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
        usual=spec.bend,
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
