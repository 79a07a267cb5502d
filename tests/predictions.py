"""Predictions and what followed, drawn from known distributions."""

import numpy as np


def scored_members(members=4000, seed=0):
    """Calibrated probabilities, rounded so that some tie, and the outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1.2, 2.0, members).round(2).clip(0.01, 0.99)
    return (rng.random(members) < probability).astype(float), probability


def spending_members(members=3000, seed=0):
    """Skewed values with many zeros, and predictions that know something about them."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(1.0, 30.0, members)
    value = np.where(rng.random(members) < 0.4, rng.gamma(2.0, level / 2), 0.0)
    return value, (0.4 * level).round(0)
