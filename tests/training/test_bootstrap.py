"""Differences between models, and how sure they are."""

import numpy as np
import pytest
from predictions import scored_members, spending_members
from scipy import stats
from sklearn import metrics as peer

from training.bootstrap import paired_bootstrap
from training.metrics import auc, log_loss, squared_error
from training.reliability import ece_band


def test_a_model_does_not_differ_from_itself():
    churned, probability = scored_members(members=500)
    difference = paired_bootstrap(auc, churned, probability, probability)
    assert difference.value == 0
    assert (difference.interval.low, difference.interval.high) == (0, 0)


def test_a_worse_model_is_seen_to_be_worse():
    churned, probability = scored_members()
    noisy = np.clip(probability + np.random.default_rng(1).normal(0, 0.2, len(probability)), 0.01, 0.99)
    loss = paired_bootstrap(log_loss, churned, probability, noisy)
    ranking = paired_bootstrap(auc, churned, probability, noisy)
    assert loss.interval.low > 0
    assert ranking.interval.high < 0
    assert ranking.value == pytest.approx(peer.roc_auc_score(churned, noisy) - peer.roc_auc_score(churned, probability))


def test_the_bootstrap_interval_has_the_width_theory_gives():
    value, expected = spending_members()
    other = 0.9 * expected + 2
    difference = paired_bootstrap(squared_error, value, expected, other, draws=2000)
    per_member = (other - value) ** 2 - (expected - value) ** 2
    width = 2 * stats.norm.ppf(0.95) * per_member.std() / np.sqrt(len(value))
    assert difference.interval.high - difference.interval.low == pytest.approx(width, rel=0.1)


def test_intervals_are_the_same_in_every_run():
    churned, probability = scored_members(members=300)
    assert ece_band(probability, seed=5) == ece_band(probability, seed=5)
    once, again = (paired_bootstrap(squared_error, churned, probability, probability**2) for _ in range(2))
    assert once == again
