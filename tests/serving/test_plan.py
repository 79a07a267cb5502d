from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from serving.bundle import Choice, Effect, Estimate, PolicyTable
from serving.plan import Plan, plan_budget

AS_OF = datetime(2026, 1, 5)
SEGMENTS = ("high__mid", "low__mid")


def programme(**guardrails: object) -> Programme:
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m", "eligible": {"min_orders": 3}},
        {"id": "gift", "name_en": "g", "name_zh": "g"},
    ]
    rules = {"holdout_share": 0.0, "consent_default": True, **guardrails}
    given = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "incentives": catalogue}
    return parse_programme({**given, "guardrails": rules})


def estimate(value: float, se: float) -> Estimate:
    bounds = {"low": value - 2 * se, "high": value + 2 * se}
    return Estimate(value=value, se=se, **bounds, simultaneous_low=value - 3 * se, simultaneous_high=value + 3 * se)


def effect(segment: str, incentive_id: str, *, cost: float, margin: float, verdict: str = "effective") -> Effect:
    return Effect(
        policy_segment=segment, incentive_id=incentive_id, n_treated=1000, n_control=1000, recall=estimate(0.05, 0.01),
        margin=estimate(margin, 0.5), net=estimate(margin - cost, 0.5), cost_per_member=cost, redemption_rate=0.1,
        verdict=verdict, why="",
    )  # fmt: skip


def policy(*effects: Effect) -> PolicyTable:
    return PolicyTable(
        created_at=AS_OF, programme_name="shop", as_of=AS_OF, evidence="randomised", response_days=28,
        confidence=0.95, effects=effects,
        choices={segment: Choice(incentive_id=None, reason=None) for segment in SEGMENTS},
    )  # fmt: skip


EFFECTS = (
    effect("high__mid", "mail", cost=1.0, margin=4.0),
    effect("high__mid", "gift", cost=3.0, margin=7.0),
    effect("low__mid", "mail", cost=1.0, margin=2.0),
    effect("low__mid", "gift", cost=3.0, margin=9.0, verdict="no_effect"),
)


def members(**changed: object) -> pd.DataFrame:
    """Ten members, the first five in the high tier."""
    usual = {
        "member_id": [f"m{number}" for number in range(10)], "policy_segment": np.repeat(SEGMENTS, 5),
        "tier": np.repeat(["high", "low"], 5), "state": "lapsed_mid", "persona": None, "order_count": 5.0,
        "value_per_year": 1000.0, "value_if_active": 100.0, "last_assignment_days": np.nan,
        "messages_per_week_28d": 0.0,
    }  # fmt: skip
    return pd.DataFrame({**usual, **changed})


def planned(budget: float, frame: pd.DataFrame | None = None, settings: Programme | None = None) -> Plan:
    given = members() if frame is None else frame
    return plan_budget(given, policy(*EFFECTS), settings or programme(), as_of=AS_OF, contacts=None, budget=budget)


def bought(plan: Plan) -> dict[tuple[str, str], int]:
    return plan.offers.groupby(["policy_segment", "incentive_id"]).size().to_dict()


def test_money_goes_first_where_it_brings_most() -> None:
    assert bought(planned(3.0)) == {("high__mid", "mail"): 3}
    assert bought(planned(10.0)) == {("high__mid", "mail"): 5, ("low__mid", "mail"): 5}
    assert bought(planned(14.0)) == {("high__mid", "mail"): 3, ("high__mid", "gift"): 2, ("low__mid", "mail"): 5}
    assert bought(planned(1000.0)) == {("high__mid", "gift"): 5, ("low__mid", "mail"): 5}


def test_only_what_was_shown_to_work_is_bought() -> None:
    assert ("low__mid", "gift") not in bought(planned(1000.0))


def test_the_outlook_adds_up_cost_recalls_and_net_value_with_its_uncertainty() -> None:
    outlook = planned(10.0).outlook
    assert (outlook.members, outlook.cost, outlook.recalls) == pytest.approx((10, 10.0, 0.5))
    assert outlook.net_value == pytest.approx(5 * 3.0 + 5 * 1.0)
    assert outlook.net_value_high - outlook.net_value == pytest.approx(1.959964 * np.hypot(5 * 0.5, 5 * 0.5))


def test_the_multiplier_is_what_one_more_unit_would_bring() -> None:
    assert planned(2.0).multiplier == pytest.approx(3.0)
    assert planned(10.0).multiplier == pytest.approx(0.5)
    assert planned(1000.0).multiplier == 0


def test_the_curve_rises_with_ever_smaller_steps_up_to_the_full_cost() -> None:
    plan = planned(5.0)
    budgets, values = np.array([(budget, outlook.net_value) for budget, outlook in plan.curve]).T
    assert budgets[-1] == pytest.approx(plan.full_cost) == pytest.approx(20.0)
    assert (np.diff(values) >= 0).all()
    assert values[-1] == pytest.approx(planned(1000.0).outlook.net_value)


def test_those_recalled_spend_like_themselves() -> None:
    frame = members(value_if_active=[100, 100, 100, 100, 600, *[100] * 5])
    (first,) = planned(1.0, frame).offers["member_id"]
    assert first == "m4"


@pytest.mark.parametrize(
    "changed",
    [
        {"last_assignment_days": 3.0},
        {"messages_per_week_28d": 9.0},
        {"value_per_year": 0.0, "value_if_active": 0.01},
        {"policy_segment": None},
    ],
)
def test_guardrails_hold_as_in_decisions(changed: dict) -> None:
    assert planned(1000.0, members(**changed)).outlook.members == 0


def test_the_holdout_gets_nothing_and_who_may_not_get_an_incentive_gets_another() -> None:
    assert planned(1000.0, settings=programme(holdout_share=1.0)).outlook.members == 0
    assert bought(planned(1000.0, members(order_count=1.0))) == {("high__mid", "gift"): 5}
