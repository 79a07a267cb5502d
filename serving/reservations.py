"""What an offer reserves of the service's monthly budget. Pure."""

from __future__ import annotations

from features.programme import Programme
from features.settings_incentives import Incentive
from serving.ledger_contracts import NewOffer
from serving.records import DecisionRecord


def takes_a_share(offer: NewOffer, programme: Programme) -> bool:
    """Tell whether what an offer will cost depends on the member's order, and is not told."""
    arms = _arms(offer, programme)
    return offer.cost_amount is None and any(arm.face_share > 0 for arm in arms)


def reserved(offer: NewOffer, programme: Programme, decision: DecisionRecord | None) -> float | None:
    """Return what an offer of one of the programme's incentives, or of control, reserves.

    It is the cost told; else contact cost and face value, by the dearest channel where none is named; and where a
    redemption costs a share of the order, what the member's published decision expects of this incentive. None where it
    does not tell.
    """
    if offer.cost_amount is not None:
        return offer.cost_amount
    if takes_a_share(offer, programme):
        return _expected(offer, decision)
    return max((arm.contact_cost + arm.face_value for arm in _arms(offer, programme)), default=0.0)


def _arms(offer: NewOffer, programme: Programme) -> list[Incentive]:
    arms = [arm for one in programme.incentives if one.id == offer.incentive_id for arm in one.arms]
    return [arm for arm in arms if arm.channel == offer.channel] or arms


def _expected(offer: NewOffer, decision: DecisionRecord | None) -> float | None:
    if decision is not None and decision.assigned_incentive == offer.incentive_id:
        return decision.assigned_cost
    if decision is not None and decision.recommended_incentive == offer.incentive_id:
        return decision.expected_cost
    return None
