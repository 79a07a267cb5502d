"""An automatic machine-learning peer: AutoGluon, on the same features, in an environment of its own.

Its pins and ours exclude each other, so features go there as Parquet and predictions come back.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from training.snapshots import Population, Snapshot

NAME = "AutoGluon"
PYTHON = Path(__file__).parents[1] / "build" / "automl" / "bin" / "python"
"""Made by `make bench-automl`."""

SCRIPT = Path(__file__).with_name("automl_fit.py")


def automl(seconds: int) -> Callable[[Sequence[Snapshot], Population], pd.DataFrame]:
    """Return the peer; it searches for so many seconds per model."""
    return partial(_search, seconds)


def _search(seconds: int, snapshots: Sequence[Snapshot], now: Population) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pd.concat([_labelled(each) for each in snapshots]).to_parquet(folder / "past.parquet")
        _inputs(now).to_parquet(folder / "now.parquet")
        subprocess.run([PYTHON, SCRIPT, folder, str(seconds)], check=True, stdout=subprocess.DEVNULL)
        return pd.read_parquet(folder / "predictions.parquet")


def _labelled(snapshot: Snapshot) -> pd.DataFrame:
    labels = snapshot.labels[["churned", "value"]].add_prefix("label_")
    return pd.concat([_inputs(snapshot), labels], axis=1)


def _inputs(population: Population) -> pd.DataFrame:
    return population.features.drop(columns=["member_id", "as_of"])
