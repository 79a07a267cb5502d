"""Ours is called better or worse than the best peer only where chance alone does not explain it."""

import numpy as np
import pandas as pd
import pytest

from training.compare import JUDGED, standing


def outcomes(members=3_000, seed=0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What happened, and the predictions that know its distribution."""
    rng = np.random.default_rng(seed)
    churn_probability = rng.beta(1.5, 1.5, members)
    value_if_active = rng.gamma(2.0, 40.0, members)
    churned = rng.random(members) < churn_probability
    happened = pd.DataFrame({"churned": churned, "value": np.where(churned, 0.0, value_if_active)}, dtype=float)
    known = pd.DataFrame(
        {"churn_probability": churn_probability, "expected_value": (1 - churn_probability) * value_if_active}
    )
    return happened, known


def shuffled(predicted: pd.DataFrame, seed=1) -> pd.DataFrame:
    return predicted.sample(frac=1, random_state=seed).reset_index(drop=True)


@pytest.mark.parametrize("metric", JUDGED)
def test_knowing_more_is_better_knowing_less_is_worse_and_the_same_is_neither(metric):
    happened, known = outcomes()
    blind = shuffled(known)
    assert standing(metric, happened, known, {"blind": blind}).verdict == "better"
    assert standing(metric, happened, blind, {"known": known}).verdict == "worse"
    assert standing(metric, happened, known, {"known": known}).verdict == "not worse"


@pytest.mark.parametrize("metric", JUDGED)
def test_the_best_peer_of_the_metric_is_the_one_to_beat(metric):
    happened, known = outcomes()
    peers = {"blind": shuffled(known), "known": known, "blinder": shuffled(known, seed=2)}
    found = standing(metric, happened, known, peers)
    assert found.best_peer == "known"
    assert found.ours == found.peer
    assert (found.difference.low, found.difference.high) == (0, 0)
