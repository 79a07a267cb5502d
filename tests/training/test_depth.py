from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.programme import Programme, parse_programme
from serving.policy_table import PolicyTable
from training.depth import chains, dose_responses
from training.effects import effects_of_log
from training.offer_log import OfferLog

AS_OF = datetime(2026, 3, 2)


def programme(*, ladder: str | None = "coupon", values: tuple[float, ...] = (10.0, 30.0, 20.0)) -> Programme:
    rungs = [
        {"id": f"coupon_{number}", "face_value": value, **({"ladder": ladder} if ladder else {})}
        for number, value in enumerate(values)
    ]
    catalogue = [{"name_en": "x", "name_zh": "x", **one} for one in (*rungs, {"id": "mail"})]
    given = {"incentives": catalogue, "data": {"orders": {"path": "orders.csv"}}, "guardrails": {"upgrade_margin": 10}}
    return parse_programme({"name": "t", "currency": "EUR", **given})


def estimated(settings: Programme, recalls: dict[str, float], *, size: int = 1500) -> PolicyTable:
    """Estimate from a log in which exactly these shares of every arm were recalled."""
    arms = []
    for arm, share in recalls.items():
        ordered = (np.arange(size) < round(share * size)).astype(float)
        spent = 0.02 * next((one.face_value for one in settings.arms if one.id == arm), 0.0)
        arms.append(
            pd.DataFrame(
                {
                    "member_id": [f"{arm}/{number}" for number in range(size)], "incentive_id": arm,
                    "policy_segment": "low__mid", "week": pd.Timestamp("2026-01-05"), "propensity": 0.2,
                    "recall": ordered, "margin": 60 * ordered, "redeemed": 0.0, "cost": spent,
                    "net": 60 * ordered - spent,
                }
            )
        )  # fmt: skip
    return effects_of_log(OfferLog(pd.concat(arms, ignore_index=True), "randomised", 0, ()), settings, AS_OF)


RECALLS = {"control": 0.08, "coupon_0": 0.1, "coupon_1": 0.15, "coupon_2": 0.1}


def test_a_ladder_is_tested_from_the_deepest_and_everything_else_alone() -> None:
    rungs = [(segment, arm) for segment in ("low__mid", "mid__mid") for arm in ("coupon_0", "coupon_1", "mail")]
    assert chains(rungs, programme()) == [[1, 0], [2], [4, 3], [5]]
    assert chains(rungs, programme(ladder=None)) == [[number] for number in range(6)]


def test_the_cheapest_depth_that_still_works_is_chosen_where_apart_it_would_not_be_found() -> None:
    together, apart = (estimated(programme(ladder=ladder), RECALLS) for ladder in ("coupon", None))
    assert together.choices["low__mid"].incentive_id == "coupon_0"
    assert apart.choices["low__mid"].incentive_id == "coupon_1"


def test_depths_are_told_with_the_dose_response_that_never_falls() -> None:
    table = estimated(programme(), {**RECALLS, "coupon_0": 0.13})
    depths = dose_responses(table, programme())
    assert [(one.incentive_id, one.face_value) for one in depths] == [
        ("coupon_0", 10.0), ("coupon_2", 20.0), ("coupon_1", 30.0),
    ]  # fmt: skip
    monotone = [one.recall_monotone for one in depths]
    assert monotone == sorted(monotone)
    assert monotone[0] == monotone[1] == pytest.approx((depths[0].recall + depths[1].recall) / 2, abs=0.003)
    assert [one.chosen for one in depths] == [True, False, False]


def test_incentives_of_a_ladder_must_differ_in_face_value() -> None:
    with pytest.raises(InputError, match="ladder coupon must differ in face value"):
        programme(values=(10.0, 10.0, 20.0))
