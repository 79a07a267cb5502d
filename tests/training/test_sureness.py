"""Intervals and distributions are held against what happened."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from serving.bundle import ValueSpread
from serving.intervals import value_interval
from training.sureness import LIKELY_TO_ORDER, sureness

EVEN = ValueSpread(probability_from=(0.0,), ratios=(tuple(np.linspace(0, 2, 41)),))
"""Values of those who order lie anywhere from 0 to twice what was expected."""


def happened(members: int = 20_000, *, times: float = 1.0) -> pd.DataFrame:
    """Return scored members whose values are drawn from their predictive distributions, times a factor."""
    rng = np.random.default_rng(7)
    chance, if_active = rng.random(members), rng.gamma(2.0, 50.0, members)
    ordered = rng.random(members) < chance
    low, high = value_interval(chance, if_active, EVEN)
    return pd.DataFrame(
        {
            "order_probability": chance,
            "value_if_active": if_active,
            "expected_value_low": low,
            "expected_value_high": high,
            "value": np.where(ordered, times * if_active * rng.uniform(0, 2, members), 0.0),
        }
    )


BUNDLE = SimpleNamespace(value_spread=EVEN, level_margin=0.1)


def test_right_distributions_cover_as_stated():
    members = happened()
    found = sureness(members, BUNDLE)
    assert found.coverage_80 == pytest.approx(0.8, abs=0.01)
    assert found.pit_distance < 0.02
    assert found.total_covered
    assert found.total_low < 0 < found.total_high
    assert found.members_covered == (members["order_probability"] > LIKELY_TO_ORDER).sum()


def test_values_half_again_as_high_are_seen():
    found = sureness(happened(times=1.5), BUNDLE)
    assert found.coverage_80 < 0.75
    assert found.pit_distance > 0.05
    assert not found.total_covered
    assert found.total_high < 0


def test_where_nobody_brought_anything_the_ends_are_undefined():
    found = sureness(happened(200).assign(value=0.0), BUNDLE)
    assert np.isnan([found.total_low, found.total_high]).all()
