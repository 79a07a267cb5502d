"""Maximum profit agrees with numerical integration of the paper's definition, and with sums by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from features.settings_incentives import Incentive
from training.profit import break_even_probability, expected_maximum_profit, profit, profit_table

MONEY = {"clv": 200.0, "incentive_cost": 10.0, "contact_cost": 1.0}
BELIEF = {"accept_alpha": 6.0, "accept_beta": 14.0}


def told(members=400, seed=0, spread=1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, members)
    churned = (rng.random(members) < 1 / (1 + np.exp(-odds))).astype(float)
    return churned, 1 / (1 + np.exp(-(odds + rng.normal(0, spread, members)))).round(2)


def integrated(churned, probability, *, clv, incentive_cost, contact_cost, accept_alpha, accept_beta) -> float:
    """The paper's equation: the profit at the best threshold for each share that accepts, averaged numerically."""
    thresholds = np.append(np.unique(probability), np.inf)
    costs = {"clv": clv, "incentive_cost": incentive_cost, "contact_cost": contact_cost}

    rates = np.linspace(0, 1, 5001)
    earned = [
        [profit(churned, probability, threshold=t, **costs, accept_rate=rate) for rate in (0.0, 1.0)]
        for t in thresholds
    ]
    best = np.max([nothing + rates * (everybody - nothing) for nothing, everybody in earned], axis=0)
    return float(np.trapezoid(best * beta.pdf(rates, accept_alpha, accept_beta), rates))


@pytest.mark.parametrize(
    "money",
    [
        MONEY,
        {"clv": 50.0, "incentive_cost": 20.0, "contact_cost": 0.0},
        {"clv": 30.0, "incentive_cost": 0.0, "contact_cost": 5.0},
    ],
)
def test_the_closed_form_is_the_integral(money):
    churned, probability = told(150)
    best = expected_maximum_profit(churned, probability, **money, **BELIEF)
    assert best.per_member == pytest.approx(integrated(churned, probability, **money, **BELIEF), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.3, 0.5, 0.9])), min_size=1, max_size=12),
    st.floats(1, 500),
    st.floats(0, 50),
    st.floats(0, 5),
)
def test_expected_profit_is_never_below_any_fixed_threshold_nor_below_nothing(rows, clv, incentive_cost, contact_cost):
    churned, probability = (np.array(column, float) for column in zip(*rows, strict=True))
    money = {"clv": clv, "incentive_cost": incentive_cost, "contact_cost": contact_cost}
    best = expected_maximum_profit(churned, probability, **money, **BELIEF)
    assert 0 <= best.targeted_share <= 1 + 1e-9
    for threshold in (0, 0.2, 0.4, 0.6, 2):
        fixed = profit(churned, probability, threshold=threshold, **money, accept_rate=0.3)
        assert best.per_member >= fixed - 1e-6


def test_profit_by_hand():
    churned, probability = [1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1]
    at_half = profit(churned, probability, threshold=0.5, **MONEY, accept_rate=0.3)
    assert at_half == pytest.approx((0.3 * 190 - 1 - 11) / 4)
    assert profit(churned, probability, threshold=2, **MONEY, accept_rate=0.3) == 0


def test_a_perfect_model_earns_from_every_churner_at_the_mean_share():
    churned = np.array([1.0] * 30 + [0.0] * 70)
    best = expected_maximum_profit(churned, churned, **MONEY, **BELIEF)
    assert best.per_member == pytest.approx(0.3 * (0.3 * 190 - 1), rel=1e-4)
    assert best.targeted_share == pytest.approx(0.3, abs=1e-4)


def test_better_ranking_earns_more_and_nothing_is_offered_at_a_loss():
    sharp, blurred = (expected_maximum_profit(*told(4000, spread=s), **MONEY, **BELIEF) for s in (0.1, 3.0))
    assert sharp.per_member > blurred.per_member > 0
    dear = expected_maximum_profit(*told(), clv=5.0, incentive_cost=10.0, contact_cost=1.0, **BELIEF)
    assert (dear.per_member, dear.targeted_share) == (0.0, 0.0)


def test_an_offer_pays_from_the_break_even_probability_on():
    at = break_even_probability(**MONEY, accept_rate=0.3)
    earned = at * (0.3 * 190 - 1) - (1 - at) * 11
    assert earned == pytest.approx(0)
    assert break_even_probability(clv=12.0, incentive_cost=10.0, contact_cost=1.0, accept_rate=0.3) > 1


def test_the_table_has_a_row_per_incentive_and_model():
    incentives = [
        Incentive(id="coupon", name_en="c", name_zh="券", contact_cost=1.0, face_value=10.0),
        Incentive(id="gift", name_en="g", name_zh="礼", contact_cost=1.0, face_value=500.0),
    ]
    churned, probability = told(1000, spread=0)
    models = {"winback": probability, "base rate": np.full(1000, churned.mean())}
    table = profit_table(churned, models, clv=200.0, incentives=incentives).set_index(["incentive", "model"])
    assert len(table) == 4
    ours, base = table.loc[("coupon", "winback")], table.loc[("coupon", "base rate")]
    assert ours["expected_maximum_profit"] > ours["profit_at_threshold"] > base["profit_at_threshold"]
    assert base["profit_at_threshold"] == base["profit_of_all"]
    assert table.loc["gift"][["expected_maximum_profit", "profit_at_threshold"]].eq(0).all(axis=None)


def test_without_incentives_the_table_is_empty():
    assert profit_table([1.0, 0.0], {"winback": [0.6, 0.2]}, clv=200.0, incentives=()).empty
