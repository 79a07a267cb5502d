import numpy as np
import pytest
from scipy.optimize import LinearConstraint, linprog, milp

from serving.budget import NOTHING, frontier_steps


def drawn(seed: int, members: int = 40, candidates: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.1, 5, (members, candidates))
    value = rng.normal(1, 3, (members, candidates)) + 0.5 * cost
    value[rng.random(value.shape) < 0.2] = np.nan
    return cost, value


def highs(cost: np.ndarray, value: np.ndarray, budget: float, *, whole: bool) -> float:
    """Best value by HiGHS, each member getting at most one candidate."""
    members, candidates = cost.shape
    gain = np.nan_to_num(value, nan=-1e6).ravel()
    at_most_one = np.kron(np.eye(members), np.ones(candidates))
    limits = np.vstack([at_most_one, cost.ravel()])
    bounds = np.r_[np.ones(members), budget]
    if whole:
        found = milp(
            -gain, constraints=LinearConstraint(limits, ub=bounds), integrality=np.ones(gain.size), bounds=(0, 1)
        )
        return float(-found.fun)
    return float(-linprog(-gain, A_ub=limits, b_ub=bounds, bounds=(0, 1)).fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [0.0, 3.0, 20.0, 1000.0])
def test_the_linear_optimum_is_the_one_highs_finds(seed: int, budget: float) -> None:
    cost, value = drawn(seed)
    steps = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost)))
    taken = steps.within(budget)
    left = budget - steps.cost[:taken].sum()
    linear = steps.value[:taken].sum() + left * steps.limit(taken)[0]
    assert linear == pytest.approx(highs(cost, value, budget, whole=False))


@pytest.mark.parametrize("seed", range(4))
def test_whole_offers_are_within_one_step_of_the_whole_number_optimum(seed: int) -> None:
    cost, value = drawn(seed)
    steps, budget = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost))), 15.0
    taken = steps.within(budget)
    best = highs(cost, value, budget, whole=True)
    assert best - steps.value[taken] <= steps.value[:taken].sum() <= best + 1e-6


@pytest.mark.parametrize("budget", [0.0, 4.0, 30.0, 1000.0])
def test_a_plan_keeps_to_its_budget_and_gives_nobody_what_they_may_not_get(budget: float) -> None:
    cost, value = drawn(9)
    steps = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost)))
    taken = steps.within(budget)
    chosen = steps.choices(taken, len(cost))
    some = np.flatnonzero(chosen != NOTHING)
    assert cost[some, chosen[some]].sum() <= budget + 1e-9
    assert value[some, chosen[some]].sum() == pytest.approx(steps.value[:taken].sum())
    assert (value[some, chosen[some]] > 0).all()


def test_with_budget_enough_everybody_gets_what_is_worth_most() -> None:
    cost, value = drawn(10)
    steps = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost)))
    best = np.nanmax(np.column_stack([value, np.zeros(len(value))]), axis=1)
    assert steps.value.sum() == pytest.approx(best.sum())
    assert steps.limit(len(steps.cost)) == (0, 0)


def test_each_step_brings_no_more_per_cost_than_the_one_before() -> None:
    cost, value = drawn(11)
    steps = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost)))
    assert (np.diff(steps.value / steps.cost) <= 1e-12).all()


@pytest.mark.parametrize("budget", [0.0, 3.0, 7.0, 19.0, 1000.0])
def test_limit_and_lots_alone_tell_who_is_within_the_budget_ties_too(budget: float) -> None:
    alike = frontier_steps(cost=np.ones((20, 1)), value=np.full((20, 1), 2.0), lot=np.linspace(0, 0.95, 20))
    taken = alike.within(budget)
    assert taken == min(budget, 20)
    assert alike.beyond(*alike.limit(taken)) == taken
    cost, value = drawn(12)
    unlike = frontier_steps(cost=cost, value=value, lot=np.zeros(len(cost)))
    assert unlike.beyond(*unlike.limit(unlike.within(budget))) == unlike.within(budget)


def test_nobody_to_offer_anything_to_is_an_empty_plan() -> None:
    for shape in ((0, 3), (4, 3)):
        steps = frontier_steps(cost=np.ones(shape), value=np.full(shape, np.nan), lot=np.ones(shape[0]))
        assert steps.within(100.0) == 0
        assert (steps.choices(0, shape[0]) == NOTHING).all()
