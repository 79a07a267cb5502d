"""Metrics by hand, over weighted members."""

import numpy as np
import pytest
from predictions import scored_members

from training import evaluate
from training.metrics import auc, average_precision, normalised_gini


def test_normalised_gini_by_hand():
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [1.0, 2.0, 3.0])["normalised_gini"] == pytest.approx(1.0)
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [3.0, 2.0, 1.0])["normalised_gini"] == pytest.approx(-1.0)
    assert evaluate.value_metrics([0.0, 10.0, 30.0], [1.0, 3.0, 2.0])["normalised_gini"] == pytest.approx(1 / 3)


def test_columns_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        evaluate.churn_metrics([1.0, 0.0], [0.5])
    with pytest.raises(ValueError, match="finite"):
        evaluate.value_metrics([1.0, 0.0], [0.5, np.nan])


@pytest.mark.parametrize("metric", [auc, average_precision, normalised_gini])
def test_counting_a_member_twice_equals_listing_it_twice(metric):
    churned, probability = scored_members(members=200)
    counts = np.random.default_rng(0).integers(0, 4, 200)
    listed = metric(churned.repeat(counts), probability.repeat(counts), np.ones((1, counts.sum())))
    assert metric(churned, probability, counts[None].astype(float)) == pytest.approx(listed)
