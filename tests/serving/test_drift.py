"""Features that moved since training are named, by how much, and chance alone names none."""

import numpy as np
import pandas as pd
import pytest

from serving import drift
from serving.bundle import ColumnProfile
from serving.drift import THRESHOLD, counted, distribution, united

RNG = np.random.default_rng(1)
TRAINED_ON = pd.Series(RNG.normal(100, 20, 5_000))


def stability_index(values: pd.Series, of: ColumnProfile) -> float:
    return drift.stability_index(counted(values, of), of)


def drifted(features: pd.DataFrame, bundle) -> dict[str, float]:
    return drift.drifted(distribution(features, bundle), bundle)


def profile(values: pd.Series) -> ColumnProfile:
    known = values.dropna()
    quantiles = tuple(known.quantile(np.linspace(0, 1, 11)).tolist()) if len(known) else ()
    return ColumnProfile(quantiles=quantiles, missing_share=float(values.isna().mean()))


@pytest.mark.parametrize("members", [50, 500, 5_000])
def test_members_of_the_same_kind_have_not_moved(members):
    assert stability_index(pd.Series(RNG.normal(100, 20, members)), profile(TRAINED_ON)) < THRESHOLD / 2


def test_the_index_is_the_textbooks():
    halves = ColumnProfile(quantiles=(0.0, 1.0, 2.0), missing_share=0.0)
    values = pd.Series([0.5] * 8_000 + [1.5] * 2_000)
    by_chance = 2 / 10_000
    expected = 0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5) - by_chance
    assert stability_index(values, halves) == pytest.approx(expected)


def test_a_shift_and_missing_values_count():
    assert stability_index(TRAINED_ON + 20, profile(TRAINED_ON)) > THRESHOLD
    assert stability_index(TRAINED_ON.where(RNG.random(5_000) < 0.6), profile(TRAINED_ON)) > THRESHOLD
    assert stability_index(TRAINED_ON * np.nan, profile(TRAINED_ON)) > THRESHOLD
    assert stability_index(TRAINED_ON, profile(TRAINED_ON * np.nan)) > THRESHOLD


@pytest.mark.parametrize("share", [0.001, 0.05, 0.35, 0.95])
def test_a_count_that_is_mostly_one_value_has_not_moved_when_it_stays(share):
    counts = [pd.Series((RNG.random(5_000) < share).astype(float)) for _ in range(2)]
    assert stability_index(counts[0], profile(counts[1])) < 0.02


def test_a_count_that_was_always_zero_and_is_no_more_has_moved():
    assert stability_index(pd.Series([0.0, 3.0] * 500), profile(pd.Series([0.0] * 1_000))) > THRESHOLD


def test_the_worst_few_are_named_in_order(shop):
    features = pd.DataFrame({f"f{shift}": TRAINED_ON + 10 * shift for shift in range(8)})
    moved = shop.bundle.model_copy(update={"reference_profile": {name: profile(TRAINED_ON) for name in features}})
    found = drifted(features, moved)
    assert list(found) == ["f7", "f6", "f5", "f4", "f3"]
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert drifted(features[["f0"]], moved.model_copy(update={"reference_profile": {"f0": profile(TRAINED_ON)}})) == {}


def test_counts_of_parts_add_up_to_those_of_the_whole(shop):
    features = pd.DataFrame({"f": TRAINED_ON.where(TRAINED_ON < 120)})
    bundle = shop.bundle.model_copy(update={"reference_profile": {"f": profile(TRAINED_ON)}})
    parts = [distribution(features[start : start + 700], bundle) for start in range(0, 5_000, 700)]
    assert united(parts) == distribution(features, bundle)
    assert sum(united(parts)["f"]) == 5_000
