"""What an offer reserves: what it is said to cost, else what the programme file or the member's decision says."""

from types import SimpleNamespace
from typing import Any

import pytest

from features.programme import Programme, parse_programme
from serving.ledger_contracts import NewOffer
from serving.reservations import reserved


def programme() -> Programme:
    catalogue: list[dict[str, Any]] = [
        {"id": "mail", "contact_cost": 1.0, "face_value": 5.0},
        {"id": "call", "face_value": 5.0,
         "channels": [{"channel": "sms", "contact_cost": 0.1}, {"channel": "phone", "contact_cost": 4.0}]},
        {"id": "tenth_off", "contact_cost": 1.0, "face_share": 0.1},
    ]  # fmt: skip
    named = [{"name_en": one["id"], "name_zh": one["id"], **one} for one in catalogue]
    return parse_programme({"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "incentives": named})


def offer(incentive_id: str, **said: Any) -> NewOffer:
    row = {"offer_id": "1", "member_id": "a", "incentive_id": incentive_id, "assigned_at": "2026-01-05"}
    return NewOffer.model_validate(row | said)


def decision(**said: Any) -> Any:
    nothing = dict.fromkeys(("assigned_incentive", "assigned_cost", "recommended_incentive", "expected_cost"))
    return SimpleNamespace(**nothing | said)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (offer("mail"), 6.0),
        (offer("mail", cost_amount=0.5), 0.5),
        (offer("call", channel="sms"), 5.1),
        (offer("call", channel="phone"), 9.0),
        (offer("call"), 9.0),
        (offer("control"), 0.0),
        (offer("tenth_off", cost_amount=3.0), 3.0),
    ],
)
def test_what_a_redemption_costs_is_in_the_programme_file_unless_the_offer_tells(given: NewOffer, expected: float):
    assert reserved(given, programme(), None) == pytest.approx(expected)


def test_a_share_of_the_order_reserves_what_the_members_decision_expects():
    assigned = decision(assigned_incentive="tenth_off", assigned_cost=7.5)
    kept_back = decision(recommended_incentive="tenth_off", expected_cost=6.5)
    assert reserved(offer("tenth_off"), programme(), assigned) == 7.5
    assert reserved(offer("tenth_off"), programme(), kept_back) == 6.5


@pytest.mark.parametrize("told", [None, decision(assigned_incentive="mail", assigned_cost=6.0)])
def test_a_share_of_an_order_nobody_expects_is_not_known(told: Any):
    assert reserved(offer("tenth_off"), programme(), told) is None
