"""Why members leave: reasons gathered into causes."""

from typing import get_args

import pandas as pd
import pytest

from features.catalogue import catalogue
from features.settings_members import Windows
from serving.reasons import SIGNALS, signal
from serving.report.causes import Cause, cause, tally_causes

FAMILIES = {feature.name: feature.family for feature in catalogue(Windows())}


def reason(code: str, feature: str, shap_value: float, en: str = "e", zh: str = "z") -> dict[str, object]:
    return {"code": code, "feature": feature, "shap_value": shap_value, "en": en, "zh": zh}


def members(*of_members: list[dict[str, object]], stakes: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"reasons": list(of_members), "value_at_stake": stakes})


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("discount_share", "price"),
        ("complaint_open_hours", "service"),
        ("ended_category_share", "mismatch"),
        ("open_rate_28d", "fatigue"),
        ("recency_days", "cadence"),
        ("prior_p_orders", "cadence"),
    ],
)
def test_a_reason_has_the_cause_of_what_its_feature_tells_of(feature: str, expected: str) -> None:
    assert cause(signal(feature), feature, FAMILIES) == expected


def test_every_feature_has_a_cause_and_every_cause_a_feature() -> None:
    found = {cause(signal(name), name, FAMILIES) for name in FAMILIES}
    assert found == set(get_args(Cause))
    assert {signal(name) for name in FAMILIES} >= set(SIGNALS)


def test_a_member_counts_for_the_cause_that_raises_the_risk_most_and_is_touched_by_the_others() -> None:
    both = [reason("complaints", "complaints_91d", 0.3), reason("own_rhythm", "recency_days", 0.5)]
    summed = [
        reason("own_rhythm", "recency_days", 0.3),
        reason("discounts", "discount_share", 0.2),
        reason("coupons", "coupons_received_91d", 0.2),
    ]
    found = tally_causes(members(both, summed, stakes=[10.0, 4.0]), Windows()).set_index("cause")
    assert found["members"].to_dict() == {"cadence": 1, "price": 1, "service": 0}
    assert found["touched"].to_dict() == {"cadence": 2, "price": 1, "service": 1}
    assert found["value_at_stake"].to_dict() == {"cadence": 10.0, "price": 4.0, "service": 0.0}


def test_what_lowers_the_risk_is_no_cause() -> None:
    kept = [reason("visits", "visits_28d", -0.4)]
    found = tally_causes(members(kept, [], stakes=[3.0, 2.0]), Windows())
    assert found[["cause", "members", "value_at_stake"]].to_dict("records") == [
        {"cause": "none", "members": 2, "value_at_stake": 5.0}
    ]


def test_the_member_with_most_at_stake_speaks_for_a_cause() -> None:
    small, large = (
        [reason("own_rhythm", "recency_days", 0.5, en="small")],
        [reason("own_rhythm", "recency_days", 0.1, en="large")],
    )
    (found,) = tally_causes(members(small, large, stakes=[1.0, 9.0]), Windows()).to_dict("records")
    assert (found["en"], found["members"]) == ("large", 2)
