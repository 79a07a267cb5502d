"""Orders within other horizons than the models' own."""

from __future__ import annotations

import numpy as np
import pytest
from bundles import make_bundle, make_features

from serving.horizons import order_probabilities
from serving.scoring import score

DAYS = (1, 7, 28, 56, 91, 182, 364, 3650)


@pytest.fixture(scope="module", params=[(91, 91), (56, 182), (182, 28)])
def bundle(request):
    churn_days, value_days = request.param
    models = make_bundle().models
    orders = models["churn"].model_copy(update={"offset": "prior_orders_logit"})
    return make_bundle(churn_days=churn_days, value_days=value_days, models={**models, "orders": orders})


def test_an_order_is_likelier_the_longer_one_waits(bundle):
    features = make_features(300)
    within = order_probabilities(features, score(features, bundle), bundle, DAYS)
    assert within.shape == (300, len(DAYS))
    assert ((within >= 0) & (within <= 1)).all()
    assert (np.diff(within, axis=1) >= 0).all()
    assert (within[:, -1] > within[:, 0]).mean() > 0.9


def test_at_the_models_own_horizons_it_is_what_the_models_say(bundle):
    features = make_features(300)
    scores = score(features, bundle)
    within = order_probabilities(features, scores, bundle, (bundle.churn_days, bundle.value_days))
    expected = np.column_stack([1 - scores["churn_probability"], scores["order_probability"]])
    np.testing.assert_allclose(within, expected, atol=2e-9)


def test_members_are_told_of_alone_as_among_others(bundle):
    features = make_features(40)
    scores = score(features, bundle)
    together = order_probabilities(features, scores, bundle, DAYS)
    alone = [
        order_probabilities(features.iloc[[row]], scores.iloc[[row]], bundle, DAYS)[0] for row in range(len(features))
    ]
    np.testing.assert_array_equal(together, alone)


def test_no_horizon_gives_no_column(bundle):
    features = make_features(3)
    assert order_probabilities(features, score(features, bundle), bundle, ()).shape == (3, 0)
