"""The rows models learn from: members at past dates, and which of them are kept back to choose and calibrate by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import ONLY_FOR_GUARDRAILS
from serving.bundle import Floats
from training.sampling import Flags
from training.snapshots import Population, Snapshot


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


def stack(snapshots: Sequence[Snapshot]) -> Rows:
    """Put snapshots under each other."""
    return Rows(
        inputs=pd.concat([model_inputs(each) for each in snapshots], ignore_index=True),
        labels=pd.concat([each.labels for each in snapshots], ignore_index=True),
        weights=np.concatenate([each.weights for each in snapshots]),
    )


def model_inputs(population: Population) -> pd.DataFrame:
    """Return what models may read of members: features and priors side by side."""
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


def _tenth(member_ids: pd.Series) -> NDArray[np.uint64]:
    """Place each member in one of ten groups, always the same."""
    return pd.util.hash_array(member_ids.to_numpy(dtype=object)) % 10
