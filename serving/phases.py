"""A campaign in phases: a test by lot, a burst to those who bring most per cost, and the tail. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.budget import SMALLEST_COST

PhaseName = Literal["test", "burst", "tail"]


@dataclass(frozen=True)
class Phase:
    """What one phase sends and is expected to bring; set-up is in none of them."""

    phase: str
    members: int
    expected_cost: float
    expected_recalls: float
    expected_net: float


def divide(offers: pd.DataFrame, programme: Programme) -> tuple[pd.DataFrame, tuple[Phase, ...]]:
    """Give every offer its phase, by the shares of the cost of all that the programme file states.

    The test draws lots, so that what comes of it speaks for all. Of the others those who bring most per cost come
    first.

    Parameters
    ----------
    offers
        With ``expected_cost``, ``expected_recall``, ``expected_net`` and ``lot``.
    programme
        Of which ``phases``.
    """
    shares = programme.phases
    cost, lot = offers["expected_cost"].to_numpy(), offers["lot"].to_numpy()
    slope = offers["expected_net"].to_numpy() / np.maximum(cost, SMALLEST_COST)
    in_test = _first(np.argsort(lot, kind="stable"), cost, shares.test * cost.sum())
    others = np.flatnonzero(~in_test)
    in_burst = np.zeros(len(cost), dtype=bool)
    in_burst[others] = _first(np.lexsort((lot[others], -slope[others])), cost[others], shares.burst * cost.sum())
    phase = np.select([in_test, in_burst], ["test", "burst"], "tail")
    divided = offers.drop(columns=["lot"]).assign(phase=phase)
    return divided, tuple(_phase(name, divided[phase == name]) for name in ("test", "burst", "tail"))


def _first(order: np.ndarray, cost: np.ndarray, money: float) -> np.ndarray:
    """Tell which offers come first, in this order, as far as the money goes."""
    first = np.zeros(len(cost), dtype=bool)
    first[order] = np.cumsum(cost[order]) <= money * (1 + 1e-12)
    return first


def _phase(name: str, offers: pd.DataFrame) -> Phase:
    return Phase(
        phase=name,
        members=len(offers),
        expected_cost=float(offers["expected_cost"].sum()),
        expected_recalls=float(offers["expected_recall"].sum()),
        expected_net=float(offers["expected_net"].sum()),
    )
