"""Exact SHAP values of boosted trees, for one member or for all: two ways to the same numbers. Pure.

LightGBM walks every tree anew for every member. But what a tree attributes depends only on which of its splits a member
goes left at, and most members share these sides with others: for many members it is worked out once per set of sides
that occurs, and looked up for the rest. With the path-dependent values of Lundberg et al. (2020), a leaf attributes to
feature j of its path

    value * (o_j - z_j) * integral over t from 0 to 1 of the product over i != j of (z_i * (1 - t) + o_i * t)

where o_i is 1 if the member meets the path's conditions on feature i, else 0, and z_i is the share of training rows
that met them. The integrand is a polynomial in t (Owen, 1972), so Gauss-Legendre quadrature with enough nodes is exact.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundle import FittedModel, Floats
from serving.scoring import booster, predict

BULK_FROM_ROWS: Final = 4_000
"""From here on looking up is faster than walking, with what has to be worked out first."""

MOST_SPLITS: Final = 62
"""Of a tree: a member's sides are the bits of a whole number."""

MOST_FEATURES: Final = 14
"""Of a path: its table has a row for every set of conditions met."""

Bits = NDArray[np.int64]
Conditions = Mapping[int, tuple[tuple[int, bool], ...]]


@dataclass(frozen=True)
class Split:
    """A split: members at or below the threshold go left, and those without a value if ``missing_left``."""

    feature: int
    threshold: float
    missing_left: bool

    def goes_left(self, values: Floats) -> NDArray[np.bool_]:
        """Tell for each value whether it goes left."""
        return ~(values > self.threshold) if self.missing_left else values <= self.threshold


@dataclass(frozen=True)
class Leaf:
    """A leaf's path.

    Attributes
    ----------
    conditions
        Per feature, the splits on the way and whether the way goes left there.
    table
        What the leaf attributes to each of these features, one column per set of conditions met, as bits.
    """

    conditions: Conditions
    table: Floats

    def met(self, left: Sequence[NDArray[np.bool_]]) -> Bits:
        """Return which features' conditions are met, as bits, given who goes left at each split."""
        met = np.zeros(len(left[0]), dtype=np.int64)
        for place, splits in enumerate(self.conditions.values()):
            met |= np.logical_and.reduce([left[split] == way for split, way in splits]).astype(np.int64) << place
        return met


@dataclass(frozen=True)
class Tree:
    """A tree taken apart, and its mean over the training rows."""

    splits: tuple[Split, ...]
    leaves: tuple[Leaf, ...]
    base: float

    def sides(self, columns: Floats) -> Bits:
        """Return at which splits each member goes left, as bits; ``columns`` has one row per feature."""
        bits = np.zeros(columns.shape[1], dtype=np.int64)
        for number, split in enumerate(self.splits):
            bits |= split.goes_left(columns[split.feature]).astype(np.int64) << number
        return bits

    def attribute(self, sides: Bits) -> dict[int, Floats]:
        """Return what it attributes to each of its features, for each set of sides."""
        left = [(sides >> number & 1).astype(bool) for number in range(len(self.splits))]
        attributed = {split.feature: np.zeros(len(sides)) for split in self.splits}
        for leaf in self.leaves:
            met = leaf.met(left)
            for feature, of_feature in zip(leaf.conditions, leaf.table, strict=True):
                attributed[feature] += of_feature.take(met)
        return attributed


def shap_values(model: FittedModel, matrix: Floats) -> tuple[Floats, float]:
    """Return a model's SHAP values on its raw scale, one row per member, and the base they start from."""
    trees = _trees(model.text) if len(matrix) >= BULK_FROM_ROWS else None
    if trees is None:
        walked = predict(model, matrix, pred_contrib=True)
        return walked[:, :-1], float(walked[0, -1]) if len(walked) else 0.0
    blocks = np.array_split(matrix, os.cpu_count() or 1)
    with ThreadPoolExecutor(len(blocks)) as pool:
        values = list(pool.map(lambda block: _looked_up(trees, block), blocks))
    return np.concatenate(values), sum(tree.base for tree in trees)


def _looked_up(trees: tuple[Tree, ...], matrix: Floats) -> Floats:
    columns = np.ascontiguousarray(matrix.T)
    values = np.zeros_like(columns)
    for tree in (tree for tree in trees if tree.splits):
        which, distinct = pd.factorize(tree.sides(columns))
        for feature, attributed in tree.attribute(distinct).items():
            values[feature] += attributed.take(which)
    return values.T


@lru_cache(maxsize=4)
def _trees(text: str) -> tuple[Tree, ...] | None:
    """Take a model's trees apart; None if one of them has what this module does not know."""
    try:
        return tuple(_tree(dumped["tree_structure"]) for dumped in booster(text).dump_model()["tree_info"])
    except UnknownTreeError:
        return None


class UnknownTreeError(Exception):
    """A tree with categorical splits, zeros that count as missing, or too many splits."""


def _tree(root: Mapping[str, Any]) -> Tree:
    splits: list[Split] = []
    leaves: list[Leaf] = []
    base = _take_apart(root, splits, leaves, {}, {})
    if len(splits) > MOST_SPLITS:
        raise UnknownTreeError
    return Tree(tuple(splits), tuple(leaves), base)


def _take_apart(
    node: Mapping[str, Any],
    splits: list[Split],
    leaves: list[Leaf],
    conditions: Conditions,
    kept: Mapping[int, float],
) -> float:
    """Note the splits and leaves at and below a node, and return its mean over the training rows."""
    if "split_feature" not in node:
        if len(conditions) > MOST_FEATURES:
            raise UnknownTreeError
        leaves.append(Leaf(conditions, _table(node["leaf_value"], np.array([*kept.values()]))))
        return float(node["leaf_value"])
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        raise UnknownTreeError
    feature, number = node["split_feature"], len(splits)
    missing_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    splits.append(Split(feature, node["threshold"], missing_left))
    mean = 0.0
    for way, child in ((True, node["left_child"]), (False, node["right_child"])):
        share = child.get("internal_count", child.get("leaf_count")) / node["internal_count"]
        met = {**conditions, feature: (*conditions.get(feature, ()), (number, way))}
        mean += share * _take_apart(child, splits, leaves, met, {**kept, feature: kept.get(feature, 1.0) * share})
    return mean


def _table(value: float, kept: Floats) -> Floats:
    """Return what a leaf attributes to each feature of its path, one column per set of conditions met."""
    features = len(kept)
    meets = (np.arange(1 << features) >> np.arange(features)[:, None] & 1).astype(np.float64)
    integral = np.zeros_like(meets)
    for node, weight in _quadrature(features // 2 + 1):
        t = (node + 1) / 2
        integral += weight / 2 * _products_of_others(kept[:, None] * (1 - t) + meets * t)
    return value * (meets - kept[:, None]) * integral


@cache
def _quadrature(nodes: int) -> list[tuple[float, float]]:
    """Return the nodes and weights of Gauss-Legendre quadrature, exact up to degree 2 * nodes - 1."""
    return list(zip(*np.polynomial.legendre.leggauss(nodes), strict=True))


def _products_of_others(factors: Floats) -> Floats:
    """Return, for each row, the product of all other rows."""
    others = np.ones_like(factors)
    others[1:] = np.cumprod(factors[:-1], axis=0)
    others[:-1] *= np.cumprod(factors[:0:-1], axis=0)[::-1]
    return others
