"""How MLflow loads a registered model: it names this module and the bundle's folder, and no code is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from serving.bundle import ModelBundle
from serving.bundle_files import load_bundle
from serving.scoring import score


class BundleModel:
    """A bundle with the method MLflow calls."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a FeatureTable; MLflow has turned its times into nanoseconds, and its ``params`` mean nothing."""
        microseconds = features["as_of"].astype("datetime64[us]")
        return score(features.assign(as_of=microseconds), self.bundle)


def _load_pyfunc(path: str) -> BundleModel:
    return BundleModel(load_bundle(Path(path)))
