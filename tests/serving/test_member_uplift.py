"""Members for whom what works in their segment is expected to lose money are not sent it."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from builders import stump, subsidised
from hypothesis import given
from hypothesis import strategies as st

from features.programme import Programme, parse_programme
from serving.advice import decide
from serving.member_uplift import expected_net, uplift_features
from serving.plan import Plan, contend, plan_budget
from serving.policy_table import Advantage, Choice, Effect, Estimate, MemberUplift, PolicyTable

AS_OF = datetime(2026, 1, 5)
SEGMENT = "low__mid"


def estimate(value: float) -> Estimate:
    bounds = dict.fromkeys(("low", "simultaneous_low"), value / 2) | dict.fromkeys(("high", "simultaneous_high"), value)
    return Estimate(value=value, se=value / 10, **bounds)


def effect(incentive_id: str, cost: float) -> Effect:
    return Effect(
        policy_segment=SEGMENT, incentive_id=incentive_id, n_treated=1000, n_control=1000, recall=estimate(0.05),
        margin=estimate(2 * cost + 2), net=estimate(cost + 2), cost_per_member=cost, redemption_rate=0.1,
        verdict="effective", why="",
    )  # fmt: skip


def policy(*uplifts: MemberUplift, upgraded: bool = False) -> PolicyTable:
    gift = Advantage(policy_segment=SEGMENT, incentive_id="gift", over="mail", net=estimate(2.0))
    return PolicyTable(
        created_at=AS_OF, programme_name="shop", as_of=AS_OF, evidence="randomised", response_days=28, confidence=0.95,
        effects=(effect("mail", 1.0), effect("gift", 3.0)), advantages=(gift,) if upgraded else (),
        choices={SEGMENT: Choice(incentive_id="mail", reason=None)}, member_uplift=uplifts,
    )  # fmt: skip


def programme(**guardrails: object) -> Programme:
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in ("mail", "gift")]
    rules = {"holdout_share": 0.0, "exploration_share": 0.0, "consent_default": True, **guardrails}
    given_ = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "incentives": catalogue}
    return parse_programme({**given_, "guardrails": rules})


def members(count: int = 10) -> pd.DataFrame:
    """Members with no order, one, two and so on."""
    return pd.DataFrame(
        {
            "member_id": [f"m{number}" for number in range(count)], "policy_segment": SEGMENT, "tier": "low",
            "state": "lapsed_mid", "persona": None, "order_count": np.arange(count, dtype=float),
            "value_per_year": 1000.0, "value_if_active": 100.0, "last_assignment_days": np.nan,
            "messages_per_week_28d": 0.0,
        }
    )  # fmt: skip


def decided(table: PolicyTable, frame: pd.DataFrame | None = None, **guardrails: object) -> pd.DataFrame:
    return decide(members() if frame is None else frame, table, programme(**guardrails), as_of=AS_OF, contacts=None)


MAIL_LOSES = subsidised("mail", "order_count", 6.5, segments=[SEGMENT])
GIFT_LOSES = subsidised("gift", "order_count", 6.5, segments=[SEGMENT])


@given(
    st.lists(st.tuples(st.floats(0, 9), st.sampled_from(["low__mid", "high__mid", "mid__long"])), min_size=1),
    st.floats(-9, 9),
    st.floats(0, 99),
    st.floats(0, 2),
)
def test_expected_net_is_the_segments_level_and_what_the_added_orders_bring_less_cost(rows, level, value, weight):
    uplift = MAIL_LOSES.model_copy(
        update={
            "recall": stump(4.5, 0.1), "recall_weight": weight,
            "level": {"low__mid": level, "high__mid": 0.0}, "order_value": {"low__mid": value, "high__mid": 1.0},
        }
    )  # fmt: skip
    orders, segments = (np.array(column) for column in zip(*rows, strict=True))
    told = expected_net(uplift, orders[:, None], pd.Series(segments))
    terms = {"low__mid": (level, value), "high__mid": (0.0, 1.0), "mid__long": (np.nan, np.nan)}
    for net, count, segment in zip(told, orders, segments, strict=True):
        base, worth = terms[segment]
        moved, cost = (0.1 if count > 4.5 else 0.0), (2.0 if count > 6.5 else 0.0)
        assert net == pytest.approx(base + worth * weight * moved - cost, nan_ok=True)


def test_members_expected_to_lose_money_get_nothing_and_the_others_what_works() -> None:
    rows = decided(policy(MAIL_LOSES))
    assert rows["recommended_incentive"].fillna("nothing").tolist() == ["mail"] * 7 + ["nothing"] * 3
    assert rows["no_offer_reason"].fillna("").tolist() == [""] * 7 + ["not_moved"] * 3
    assert rows[["assigned_incentive", "expected_cost", "expected_recall"]].iloc[7:].isna().all(axis=None)


def test_without_the_setting_or_without_proof_the_segment_level_stands() -> None:
    for rows in (decided(policy(MAIL_LOSES), member_uplift=False), decided(policy())):
        assert set(rows["recommended_incentive"]) == {"mail"}


def test_members_of_segments_in_which_it_was_not_learnt_are_not_told_apart() -> None:
    elsewhere = subsidised("mail", "order_count", 6.5, segments=["high__mid"])
    assert set(decided(policy(elsewhere))["recommended_incentive"]) == {"mail"}


def test_who_is_not_sent_the_upgrade_is_not_sent_the_cheaper_one_instead() -> None:
    rows = decided(policy(GIFT_LOSES, upgraded=True))
    assert rows["recommended_incentive"].fillna("nothing").tolist() == ["gift"] * 7 + ["nothing"] * 3
    assert set(decided(policy(MAIL_LOSES, upgraded=True))["recommended_incentive"]) == {"gift"}


def test_a_guardrail_is_named_before_that_a_member_would_lose_money() -> None:
    rows = decided(policy(MAIL_LOSES), members().assign(messages_per_week_28d=9.0))
    assert set(rows["no_offer_reason"]) == {"message_cap"}


def test_who_is_left_out_may_still_be_explored_with_its_logged_chance() -> None:
    rows = decided(policy(MAIL_LOSES), members(4000), exploration_share=0.3).iloc[7:]
    assert set(rows["no_offer_reason"]) == {"not_moved"}
    assert all(
        chances == pytest.approx({"control": 0.8, "mail": 0.1, "gift": 0.1}) for chances in rows["probabilities"]
    )
    assert (rows["assigned_incentive"] == "mail").mean() == pytest.approx(0.1, abs=0.02)


def planned(budget: float, table: PolicyTable) -> Plan:
    settings = programme()
    contenders = contend(members(), table, settings, as_of=AS_OF, contacts=None)
    return plan_budget(contenders, table, settings, budget=budget)


def test_a_budget_leaves_the_same_members_out_whatever_it_is() -> None:
    assert set(planned(100.0, policy(MAIL_LOSES)).offers["member_id"]) == {f"m{number}" for number in range(7)}
    upgraded = planned(100.0, policy(MAIL_LOSES, upgraded=True)).offers
    assert set(upgraded["incentive_id"]) == {"gift"}
    little = planned(8.0, policy(MAIL_LOSES, upgraded=True)).offers
    mailed = little.loc[little["incentive_id"] == "mail", "member_id"]
    assert len(mailed) > 0
    assert set(mailed) <= {f"m{number}" for number in range(7)}


def test_the_table_travels_as_json_and_another_uplift_is_another_version() -> None:
    table = policy(MAIL_LOSES)
    assert PolicyTable.model_validate_json(table.model_dump_json()) == table
    assert len({table.version, policy().version, policy(GIFT_LOSES).version}) == 3
    assert uplift_features(policy(MAIL_LOSES, GIFT_LOSES)) == ("order_count",)
    assert uplift_features(None) == uplift_features(policy()) == ()
