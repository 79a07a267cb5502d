"""The pipeline one would write first: pandas group-bys, scikit-learn's wrappers, shap's TreeExplainer.

It computes the same features; of everything else the job does (checks, segments, offers), it does nothing.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import shap
from pandas_features import features, sample

from serving.bundle import ModelBundle
from serving.scoring import booster


def run(
    folder: Path, today: str, members: int, bundle: ModelBundle, clocked: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Run it on the first so many members."""
    tables = sample(folder, members)
    with clocked("features"):
        inputs = features(tables, pd.Timestamp(today))
    model = lgb.LGBMClassifier(n_estimators=booster(bundle.models["churn"].text).num_trees(), num_leaves=15, verbose=-1)
    value = lgb.LGBMRegressor(n_estimators=booster(bundle.models["value"].text).num_trees(), num_leaves=15, verbose=-1)
    label = np.random.default_rng(1).random(len(inputs)) < 0.5
    model.fit(inputs, label)
    value.fit(inputs, inputs["value_total"])
    with clocked("trees"):
        scores = pd.DataFrame(
            {"churn": model.predict_proba(inputs)[:, 1], "value": value.predict(inputs)}, index=inputs.index
        )
    with clocked("SHAP"):
        explained = pd.DataFrame(shap.TreeExplainer(model).shap_values(inputs), inputs.index, inputs.columns)
    with clocked("reasons"):
        scores["reasons"] = explained.apply(lambda row: ", ".join(row.abs().nlargest(3).index), axis=1)
    with clocked("write"), tempfile.TemporaryDirectory() as scratch:
        scores.to_parquet(Path(scratch) / "scores.parquet")
        with closing(sqlite3.connect(Path(scratch) / "scores.db")) as connection:
            scores.to_sql("scores", connection)
