"""Simple models that ours has to beat, learnt from the same snapshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, TweedieRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from serving.bundle import Floats
from serving.priors import prior_columns
from training.constants import order_model
from training.snapshots import Population, Snapshot

Peer = Callable[[Sequence[Snapshot], Population], pd.DataFrame]
"""Past snapshots and a population to its members' ``churn_probability`` and ``expected_value``, row by row."""

TWEEDIE_POWER: Final = 1.5
UNTUNED_ROUNDS: Final = 100
PATIENCE: Final = 40
BY_THE_BOOK: Final[Mapping[str, Any]] = {
    "learning_rate": 0.05, "seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
}  # fmt: skip


def base_rate(snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    """Expect of everybody the mean of the latest snapshot."""
    mean = snapshots[-1].labels[["churned", "value"]].mean()
    everybody = np.ones(len(now.features))
    return _prediction(mean["churned"] * everybody, mean["value"] * everybody)


def regression(columns: Sequence[str], snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    """Regress on logarithms of a few features: churn by logistic regression, value by Tweedie regression."""
    labels = pd.concat([each.labels for each in snapshots])
    if labels["churned"].nunique() < 2 or not (labels["value"] > 0).any():
        return base_rate(snapshots, now)
    known = np.vstack([_logarithms(each.features, columns) for each in snapshots])
    churn = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(known, labels["churned"])
    value = make_pipeline(StandardScaler(), TweedieRegressor(power=TWEEDIE_POWER, link="log", alpha=0, max_iter=10_000))
    value.fit(known, labels["value"].clip(lower=0))
    asked = _logarithms(now.features, columns)
    return _prediction(churn.predict_proba(asked)[:, 1], value.predict(asked))


def formulas(snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    """Take the priors alone: MBG/NBD and Gamma-Gamma, fitted at the date itself."""
    return _prediction(expit(now.priors["prior_churn_logit"].to_numpy()), now.priors["prior_expected_value"].to_numpy())


def bg_nbd(days: int, snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    """Fit BG/NBD to the eligible members instead and look so many days ahead; Gamma-Gamma stays."""
    btyd = order_model(now.features[now.features["order_days"] > 0], leaves_after_first=False)
    priors = prior_columns(now.features, now.constants.model_copy(update={"btyd": btyd}), days, days)
    return formulas(snapshots, replace(now, priors=priors))


def plain_lightgbm(snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    """Grow LightGBM on the same features without our priors, calibration or level, as one would by the book.

    The number of rounds is where the loss on the latest snapshot is least, then all snapshots are learnt from.
    """
    binary = _grow({"objective": "binary"}, "churned", snapshots, now)
    value = _grow({"objective": "tweedie", "tweedie_variance_power": TWEEDIE_POWER}, "value", snapshots, now)
    return _prediction(binary, value)


def _grow(objective: Mapping[str, Any], label: str, snapshots: Sequence[Snapshot], now: Population) -> Floats:
    parameters = {**BY_THE_BOOK, **objective}
    latest = snapshots[-1]
    earlier = [each for each in snapshots if each.matured_at <= latest.as_of]
    rounds = UNTUNED_ROUNDS
    if earlier:
        grow = _dataset(earlier, label)
        booster = lgb.train(
            parameters,
            grow,
            5 * UNTUNED_ROUNDS,
            valid_sets=[_dataset([latest], label, reference=grow)],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        rounds = booster.best_iteration
    return np.asarray(lgb.train(parameters, _dataset(snapshots, label), rounds).predict(_matrix(now)))


def _dataset(snapshots: Sequence[Snapshot], label: str, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    rows = np.vstack([_matrix(each) for each in snapshots])
    labels = np.concatenate([each.labels[label].clip(lower=0) for each in snapshots])
    return lgb.Dataset(rows, labels, reference=reference)


def _matrix(population: Population) -> Floats:
    return population.features.drop(columns=["member_id", "as_of"]).to_numpy(np.float64)


PEERS: dict[str, Peer] = {
    "base rate": base_rate,
    "recency only": partial(regression, ("recency_days",)),
    "logistic on RFM": partial(regression, ("recency_days", "order_days", "value_total")),
    "MBG/NBD + Gamma-Gamma": formulas,
}


def bench_peers(days: int) -> dict[str, Peer]:
    """Return more of them, one of which takes as long as ours, for horizons of so many days."""
    return PEERS | {"BG/NBD + Gamma-Gamma": partial(bg_nbd, days), "plain LightGBM": plain_lightgbm}


def _logarithms(features: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """Take logarithms; who never ordered has been silent since joining."""
    silent_days = features["recency_days"].fillna(features["joined_days"]).fillna(0)
    values = features.assign(recency_days=silent_days)[list(columns)]
    return np.asarray(np.log1p(values.clip(lower=0).to_numpy(np.float64)))


def _prediction(churn_probability: Floats, expected_value: Floats) -> pd.DataFrame:
    return pd.DataFrame({"churn_probability": churn_probability, "expected_value": expected_value})
