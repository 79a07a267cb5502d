"""Run by DoubleML's own environment: the effect on recall per segment and arm of `log.parquet` in a folder."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import doubleml as dml
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor

FOLDS = 3
TREES = {"n_estimators": 60, "learning_rate": 0.08, "num_leaves": 8, "min_child_samples": 200, "reg_lambda": 10.0}
QUIET = {"verbosity": -1, "n_jobs": 1, "random_state": 7}
COVARIATES = ["liveliness", "typical_value", "noise", "week_number"]


def main(folder: Path) -> None:
    """Write `effects.parquet` with ``value`` and ``se`` per segment and arm, and `seconds.json`: how long it took."""
    log = pd.read_parquet(folder / "log.parquet")
    started = time.perf_counter()
    rows = [
        {
            "policy_segment": segment,
            "incentive_id": arm,
            **_effect(offers[offers["incentive_id"].isin([arm, "control"])]),
        }
        for segment, offers in log.groupby("policy_segment")
        for arm in sorted(set(offers["incentive_id"]) - {"control"})
    ]
    (folder / "seconds.json").write_text(json.dumps(time.perf_counter() - started))
    pd.DataFrame(rows).to_parquet(folder / "effects.parquet")


def _effect(offers: pd.DataFrame) -> dict[str, float]:
    data = offers[COVARIATES].assign(
        recall=offers["recall"], treated=(offers["incentive_id"] != "control").astype(float)
    )
    model = dml.DoubleMLIRM(
        dml.DoubleMLData(data, "recall", "treated", x_cols=COVARIATES),
        ml_g=LGBMRegressor(**TREES, **QUIET),
        ml_m=LGBMClassifier(**TREES, **QUIET),
        n_folds=FOLDS,
    )
    model.fit()
    return {"value": float(model.coef[0]), "se": float(model.se[0])}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
