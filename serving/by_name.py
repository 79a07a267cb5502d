"""What is known of members, by name: a table, or its columns as arrays, which are found a hundred times faster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundle import Floats

KEYS: Final = ("member_id", "as_of")

Members = pd.DataFrame | Mapping[str, Any]
"""One row per member, ``member_id`` among the columns."""


def numbers(members: Members, name: str) -> Floats:
    """Return a column of numbers; NaN is missing."""
    return np.asarray(members[name], np.float64)


def texts(members: Members, name: str) -> NDArray[np.object_]:
    """Return a column of texts; None or NaN is missing."""
    return np.asarray(members[name], object)


def is_one_of(values: NDArray[np.object_], names: Iterable[str]) -> NDArray[np.bool_]:
    """Tell of each text whether it is one of these."""
    found = np.zeros(len(values), dtype=bool)
    for name in names:
        found |= values == name
    return found


def size(members: Members) -> int:
    """Return how many members there are."""
    return len(members) if isinstance(members, pd.DataFrame) else len(members["member_id"])


def arrays_of(features: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns of a FeatureTable, in which the two keys come first."""
    matrix = features.iloc[:, len(KEYS) :].to_numpy(np.float64)
    return {
        "member_id": features["member_id"].to_numpy(object),
        "as_of": features["as_of"].to_numpy("datetime64[us]"),
        **dict(zip(features.columns[len(KEYS) :], matrix.T, strict=True)),
    }
