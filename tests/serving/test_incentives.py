import numpy as np
import pandas as pd
import pytest

from features.settings_incentives import Incentive
from serving.incentives import campaign_costs, eligible_incentives, expected_cost, offered_in


def incentive(id_: str = "coupon", **settings: object) -> Incentive:
    return Incentive.model_validate({"id": id_, "name_en": id_, "name_zh": id_, **settings})


def test_an_incentive_costs_its_contact_and_its_face_value_as_often_as_it_is_redeemed() -> None:
    coupon = incentive(contact_cost=0.2, face_value=10, setup_cost=500)
    assert expected_cost(coupon, redemption_rate=0.15, basket=80.0) == pytest.approx(1.7)
    assert expected_cost(coupon, redemption_rate=0.0, basket=80.0) == 0.2


def test_a_share_of_the_order_costs_more_on_a_larger_one() -> None:
    tenth = incentive(contact_cost=0.2, face_share=0.1)
    costs = expected_cost(tenth, redemption_rate=np.array([0.5, 0.5]), basket=np.array([20.0, 100.0]))
    assert costs == pytest.approx([1.2, 5.2])


MEMBERS = pd.DataFrame(
    {
        "tier": ["high", "mid", "low", "potential"],
        "state": ["at_risk", "lapsed_short", "lapsed_long", "lapsed_mid"],
        "persona": ["natural_end", None, "sleeping", None],
        "order_count": [5.0, 1.0, 3.0, np.nan],
    },
    index=[4, 2, 9, 7],
)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, [True, True, True, False]),
        ({"min_orders": 3}, [True, False, True, False]),
        ({"tiers": ["high", "low"]}, [True, False, True, False]),
        ({"states": ["lapsed_short"]}, [False, True, False, False]),
        ({"exclude_personas": ["natural_end"]}, [False, True, True, False]),
        ({"tiers": ["high", "mid"], "states": ["at_risk"], "min_orders": 5}, [True, False, False, False]),
    ],
)
def test_all_rules_of_an_incentive_must_hold(rules: dict[str, object], expected: list[bool]) -> None:
    eligible = eligible_incentives(MEMBERS, [incentive(eligible=rules)])
    assert eligible.tolist() == [[may] for may in expected]


def test_every_incentive_has_its_own_column() -> None:
    eligible = eligible_incentives(MEMBERS, [incentive("one"), incentive("two", eligible={"tiers": ["low"]})])
    assert eligible.sum(axis=0).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("rules", "segment", "offered"),
    [
        ({}, "low__long", True),
        ({"tiers": ["high"]}, "high__mid", True),
        ({"tiers": ["high"]}, "low__mid", False),
        ({"states": ["at_risk"]}, "low__recent", True),
        ({"states": ["at_risk"]}, "low__mid", False),
        ({"min_orders": 99, "exclude_personas": ["sleeping"]}, "low__mid", True),
    ],
)
def test_an_incentive_is_offered_in_the_segments_its_tiers_and_states_allow(
    rules: dict[str, object], segment: str, offered: bool
) -> None:
    assert offered_in(incentive(eligible=rules), segment) == offered


def test_set_up_is_charged_once_per_incentive_that_is_sent() -> None:
    decisions = pd.DataFrame(
        {
            "assigned_incentive": pd.Series(["mail", "mail", "coupon", None], dtype="str"),
            "assigned_cost": [0.5, 0.7, 2.0, np.nan],
        }
    )
    incentives = [incentive("mail", setup_cost=100), incentive("coupon"), incentive("gift", setup_cost=900)]
    costs = campaign_costs(decisions, incentives).set_index("incentive_id")
    assert costs.loc["mail"].to_dict() == {"members": 2, "member_cost": 1.2, "setup_cost": 100, "cost": 101.2}
    assert costs.loc["coupon", "cost"] == 2.0
    assert "gift" not in costs.index
