"""Run by AutoGluon's own environment: learn from `past.parquet` in a folder, predict `now.parquet`'s members."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from autogluon.tabular import TabularPredictor

PRESET = "medium_quality"
HEED_NO_LIMIT = ["RF", "XT"]
"""Forests: they went on for minutes beyond the time given them."""

CHURNED, VALUE = "label_churned", "label_value"


def main(folder: Path, seconds: int) -> None:
    """Write `predictions.parquet`: ``churn_probability`` and ``expected_value``, row by row."""
    past, now = (pd.read_parquet(folder / f"{name}.parquet") for name in ("past", "now"))
    churn = _fit(past.drop(columns=VALUE), CHURNED, "binary", "log_loss", folder / "churn", seconds)
    value = _fit(past.drop(columns=CHURNED), VALUE, "regression", "root_mean_squared_error", folder / "value", seconds)
    pd.DataFrame(
        {"churn_probability": churn.predict_proba(now)[1].to_numpy(), "expected_value": value.predict(now).to_numpy()}
    ).to_parquet(folder / "predictions.parquet")


def _fit(past: pd.DataFrame, label: str, kind: str, metric: str, folder: Path, seconds: int) -> TabularPredictor:
    predictor = TabularPredictor(label, problem_type=kind, eval_metric=metric, path=str(folder), verbosity=0)
    return predictor.fit(past, presets=PRESET, time_limit=seconds, excluded_model_types=HEED_NO_LIMIT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
