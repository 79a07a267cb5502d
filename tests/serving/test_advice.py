from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.programme import Programme, parse_programme
from serving.advice import decide
from serving.policy_table import Advantage, Choice, Effect, Estimate, Paused, PolicyTable, Pooled

AS_OF = datetime(2026, 1, 5)


def estimate(value: float, se: float) -> Estimate:
    ends = {"low": value - 2 * se, "high": value + 2 * se}
    return Estimate(value=value, se=se, **ends, simultaneous_low=value - 3 * se, simultaneous_high=value + 3 * se)


def effect(
    incentive_id: str, *, cost: float = 1.0, recall: tuple[float, float] = (0.05, 0.01), verdict: str = "effective"
) -> Effect:
    return Effect(
        policy_segment="low__mid", incentive_id=incentive_id, n_treated=1000, n_control=1000, recall=estimate(*recall),
        net=estimate(2.0, 0.5), margin=estimate(2.0 + cost, 0.5), cost_per_member=cost, redemption_rate=0.1,
        verdict=verdict, why="",
    )  # fmt: skip


def advantage(incentive_id: str, over: str, *net: float) -> Advantage:
    return Advantage(policy_segment="low__mid", incentive_id=incentive_id, over=over, net=estimate(*net))


def programme(**guardrails: object) -> Programme:
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m", "eligible": {"min_orders": 3}},
        {"id": "text", "name_en": "t", "name_zh": "t", "channel": "sms"},
        {"id": "gift", "name_en": "g", "name_zh": "g"},
    ]
    return parse_programme(
        {
            "name": "t", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}, "incentives": catalogue,
            "guardrails": {"holdout_share": 0.0, "exploration_share": 0.0, **guardrails},
        }
    )  # fmt: skip


EFFECTS = (effect("mail", cost=1.0), effect("text", cost=2.0, recall=(0.09, 0.01)), effect("gift", cost=3.0))


def policy(effects: Sequence[Effect] = EFFECTS, *, reason: str | None = None) -> PolicyTable:
    choice = Choice(incentive_id=None if reason else effects[0].incentive_id, reason=reason)
    return PolicyTable(
        created_at=AS_OF, programme_name="shop", as_of=AS_OF, evidence="randomised", response_days=28,
        confidence=0.95, effects=tuple(effects), choices={"low__mid": choice},
    )  # fmt: skip


def member(member_id: str = "a", **changed: object) -> dict[str, object]:
    usual = {
        "tier": "low", "state": "lapsed_mid", "persona": None, "policy_segment": "low__mid", "order_count": 5.0,
        "value_per_year": 100.0, "value_if_active": 100.0, "last_assignment_days": np.nan, "messages_per_week_28d": 1.0,
    }  # fmt: skip
    return {"member_id": member_id, **usual, **changed}


CONTACTS = pd.DataFrame(
    [(id_, channel, True, None) for id_ in "abcdefgh" for channel in ("email", "sms")],
    columns=["member_id", "channel", "consent", "updated_at"],
).astype({"updated_at": "datetime64[us]"})


def decided(
    *members: dict[str, object],
    table: PolicyTable | None = None,
    contacts: pd.DataFrame | None = CONTACTS,
    **guardrails: object,
) -> pd.DataFrame:
    frame = pd.DataFrame(members).astype({"persona": "str", "policy_segment": "str"})
    return decide(frame, table or policy(), programme(**guardrails), as_of=AS_OF, contacts=contacts)


def first(*members: dict[str, object], **settings: object) -> pd.Series:
    return decided(*members, **settings).iloc[0]  # type: ignore[arg-type]


def test_a_member_gets_the_segments_cheapest_effective_incentive_with_its_cost_and_deciding_bounds() -> None:
    row = first(member())
    assert row["recommended_incentive"] == row["assigned_incentive"] == "mail"
    assert row["assigned_by"] == "policy"
    assert row["expected_cost"] == 1.0
    assert row["expected_recall"] == 0.05
    assert row["expected_recall_low"] == pytest.approx(0.02)
    assert row["expected_recall_high"] == pytest.approx(0.08)
    assert row["evidence"] == "randomised"
    assert pd.isna(row["no_offer_reason"])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"policy_segment": None}, "not_lapsed"),
        ({"last_assignment_days": 27.0}, "cooldown"),
        ({"messages_per_week_28d": 5.0}, "message_cap"),
        ({"value_per_year": 2.0, "value_if_active": 1.0}, "cost_cap"),
        ({"value_per_year": -5000.0}, "cost_cap"),
        ({"last_assignment_days": 1.0, "messages_per_week_28d": 9.0, "value_if_active": 0.0}, "cooldown"),
    ],
)
def test_the_first_guardrail_that_bites_is_named_and_nothing_is_recommended(changed: dict, reason: str) -> None:
    row = first(member(**changed))
    assert row["no_offer_reason"] == reason
    blank = ["recommended_incentive", "assigned_incentive", "assigned_by", "expected_cost", "expected_recall"]
    assert row[blank].isna().all()


@pytest.mark.parametrize(
    "changed",
    [
        {"last_assignment_days": 28.0},
        {"messages_per_week_28d": 4.9},
        {"value_per_year": np.nan},
        {"persona": "sleeping"},
    ],
)
def test_at_its_limit_no_guardrail_bites(changed: dict) -> None:
    assert first(member(**changed))["recommended_incentive"] == "mail"


def test_the_cost_cap_is_a_share_of_annual_value_and_twelve_months_of_value_if_active() -> None:
    enough = (1.0 / 0.1 - 2.0) * 91 / 365
    at_limit, below = (
        first(member(value_per_year=2.0, value_if_active=enough + 1e-9), cost_share=0.1),
        first(member(value_per_year=2.0, value_if_active=enough - 1e-9), cost_share=0.1),
    )
    assert at_limit["recommended_incentive"] == "mail"
    assert below["no_offer_reason"] == "cost_cap"


def test_where_an_upgrade_is_over_a_members_cost_cap_the_cheaper_effective_incentive_is_sent() -> None:
    table = policy().model_copy(update={"advantages": (advantage("gift", "mail", 2.0, 0.5),)})
    poorer = member("b", value_per_year=0.0, value_if_active=7.0)
    rows = decided(member("a"), poorer, member("c", value_if_active=-90.0), table=table)
    assert rows["recommended_incentive"].tolist()[:2] == ["gift", "mail"]
    assert rows["no_offer_reason"].iloc[2] == "cost_cap"


def test_a_member_who_may_not_get_the_cheapest_gets_the_next_cheapest_effective_one() -> None:
    row = first(member(order_count=1.0))
    assert (row["recommended_incentive"], row["expected_cost"], row["expected_recall"]) == ("text", 2.0, 0.09)


def test_a_channel_without_consent_is_passed_over_for_the_next_cheapest_effective_incentive() -> None:
    without_mail = CONTACTS[CONTACTS["channel"] == "sms"]
    assert first(member(), contacts=without_mail)["recommended_incentive"] == "text"


def test_a_member_eligible_for_nothing_effective_is_ineligible_and_one_without_any_consent_is_not_contacted() -> None:
    only_mail = policy([effect("mail")])
    assert first(member(order_count=1.0), table=only_mail)["no_offer_reason"] == "ineligible"
    assert first(member(), contacts=CONTACTS[:0])["no_offer_reason"] == "consent"


def test_what_is_paused_is_passed_over_and_where_all_that_works_is_paused_that_is_the_reason() -> None:
    stopped = [Paused(policy_segment="low__mid", incentive_id="mail"), Paused(policy_segment=None, incentive_id="gift")]
    table = policy().model_copy(update={"paused": tuple(stopped)})
    row = first(member(), table=table, exploration_share=1.0)
    assert row["recommended_incentive"] == "text"
    assert set(row["probabilities"]) == {"control", "text"}
    only_mail = policy([effect("mail")]).model_copy(update={"paused": tuple(stopped)})
    assert first(member(), table=only_mail)["no_offer_reason"] == "paused"
    elsewhere = Paused(policy_segment="high__mid", incentive_id="mail")
    assert (
        first(member(), table=policy().model_copy(update={"paused": (elsewhere,)}))["recommended_incentive"] == "mail"
    )


def test_of_an_incentives_channels_the_cheapest_that_works_and_is_consented_to_is_taken() -> None:
    channels = [{"channel": "sms", "contact_cost": 0.5}, {"channel": "email", "contact_cost": 0.1}]
    given = programme().model_dump(exclude={"incentives", "folder"}, exclude_none=True)
    settings = parse_programme(
        {**given, "incentives": [{"id": "gift", "name_en": "g", "name_zh": "g", "channels": channels}]}
    )
    table = policy([effect("gift@sms", cost=2.0), effect("gift@email", cost=1.0)])
    frame = pd.DataFrame([member()]).astype({"persona": "str", "policy_segment": "str"})
    for contacts, channel, cost in ((CONTACTS, "email", 1.0), (CONTACTS[CONTACTS["channel"] == "sms"], "sms", 2.0)):
        row = decide(frame, table, settings, as_of=AS_OF, contacts=contacts).iloc[0]
        assert (row["recommended_incentive"], row["channel"]) == ("gift", channel)
        assert (row["assigned_incentive"], row["assigned_channel"]) == ("gift", channel)
        assert row["expected_cost"] == row["assigned_cost"] == cost


def test_a_segment_without_an_effective_incentive_gives_the_policys_reason() -> None:
    for reason in ("no_effect", "not_worth_it", "insufficient_evidence", "observational_only"):
        row = first(member(), table=policy([effect("mail", verdict=reason)], reason=reason))
        assert row["no_offer_reason"] == reason
        assert row["evidence"] == "randomised"


def test_a_bet_is_recommended_where_nothing_is_proven_and_says_that_it_is_one() -> None:
    pooled = {"pooled_net": Pooled(value=1.0, se=1.0), "pooled_recall": Pooled(value=0.03, se=0.01)}
    bet = EFFECTS[2].model_copy(update={"verdict": "bet", **pooled})
    alone = first(member(), table=policy([bet]))
    assert (alone["recommended_incentive"], alone["evidence"]) == ("gift", "bet")
    assert alone["expected_recall"] == 0.03
    assert alone[["expected_recall_low", "expected_recall_high"]].tolist() == pytest.approx([0.0104, 0.0496], abs=1e-4)
    beside = first(member(), table=policy([EFFECTS[1], bet]))
    assert (beside["recommended_incentive"], beside["evidence"]) == ("text", "randomised")


def test_a_segment_the_policy_says_nothing_of_is_unknown() -> None:
    row = first(member(policy_segment="high__long"))
    assert (row["no_offer_reason"], row["evidence"]) == ("insufficient_evidence", "none")


def test_without_a_policy_nothing_is_known_of_any_incentive() -> None:
    frame = pd.DataFrame([member(), member("b", policy_segment=None)])
    rows = decide(frame, None, programme(), as_of=AS_OF, contacts=CONTACTS)
    assert rows["no_offer_reason"].tolist() == ["insufficient_evidence", "not_lapsed"]
    assert (rows["evidence"] == "none").all()


def test_everybody_has_either_a_recommendation_or_a_reason() -> None:
    rows = decided(
        member("a"),
        member("b", policy_segment=None),
        member("c", last_assignment_days=3.0),
        member("d", order_count=0.0),
    )
    assert (rows["recommended_incentive"].isna() != rows["no_offer_reason"].isna()).all()
    assert rows["member_id"].tolist() == ["a", "b", "c", "d"]


def test_a_member_in_the_holdout_keeps_the_recommendation_and_is_assigned_nothing() -> None:
    row = first(member(), holdout_share=1.0)
    assert row["recommended_incentive"] == "mail"
    assert pd.isna(row["assigned_incentive"])
    assert row["assigned_by"] == "holdout"


def test_without_contacts_consent_must_be_stated() -> None:
    with pytest.raises(InputError, match="consent_default"):
        decided(member(), contacts=None)
    assert first(member(), contacts=None, consent_default=True)["recommended_incentive"] == "mail"
    assert first(member(), contacts=None, consent_default=False)["no_offer_reason"] == "consent"


def test_a_decision_does_not_depend_on_the_other_members_or_their_order() -> None:
    people = [member("a"), member("b", order_count=1.0), member("c", policy_segment=None), member("d")]
    together = decided(*people).set_index("member_id")
    for one in people:
        alone = decided(one).set_index("member_id")
        pd.testing.assert_frame_equal(alone, together.loc[alone.index])
    pd.testing.assert_frame_equal(decided(*people[::-1]).set_index("member_id").loc[together.index], together)


def test_nobody_to_decide_about_is_an_empty_frame_with_all_columns() -> None:
    nobody = pd.DataFrame([member()]).astype({"persona": "str", "policy_segment": "str"})[:0]
    rows = decide(nobody, policy(), programme(), as_of=AS_OF, contacts=CONTACTS)
    assert rows.empty
    assert {"recommended_incentive", "no_offer_reason", "assigned_by", "assigned_probability"} <= set(rows)
