"""What a week's decisions add up to."""

from typing import Any

import pandas as pd
import pytest
from builders import small_policy, small_programme

from features.programme import Programme
from features.settings_incentives import Incentive
from serving.report.sections import (
    Exploration,
    at_risk,
    explored,
    movements,
    no_offers,
    risk_grid,
    sendings,
    totals,
    verdicts,
    withheld,
)

INCENTIVES = (
    Incentive(id="coupon_20", name_en="20 off", name_zh="立减20", setup_cost=100.0),
    Incentive(id="points_x3", name_en="Triple points", name_zh="三倍积分"),
)


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    made = small_programme(tmp_path_factory.mktemp("sections"))
    return made.model_copy(update={"incentives": INCENTIVES})


def decision(member_id: str, state: str, stake: float = 10.0, **changed: Any) -> dict[str, Any]:
    segment = {"at_risk": "high__recent", "lapsed_short": "high__recent", "lapsed_mid": "high__mid"}.get(state)
    return {
        "member_id": member_id, "state": state, "value_at_stake": stake, "tier": "high", "policy_segment": segment,
        "expected_value": 5.0, "recommended_incentive": None, "assigned_incentive": None, "assigned_by": None,
        "assigned_cost": None, "expected_recall": None, "expected_recall_low": None, "expected_recall_high": None,
        "no_offer_reason": None, **changed,
    }  # fmt: skip


def sent(member_id: str, state: str, incentive_id: str) -> dict[str, Any]:
    return decision(
        member_id, state, recommended_incentive=incentive_id, assigned_incentive=incentive_id, assigned_by="policy",
        assigned_cost=2.0, expected_recall=0.1, expected_recall_low=0.04, expected_recall_high=0.16,
    )  # fmt: skip


def held_out(member_id: str, state: str, incentive_id: str) -> dict[str, Any]:
    return decision(member_id, state, recommended_incentive=incentive_id, assigned_by="holdout", expected_recall=0.1)


def week(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def test_totals_add_up_what_is_at_risk_and_what_is_sent(programme: Programme) -> None:
    now = week(
        sent("a", "at_risk", "coupon_20"), held_out("b", "at_risk", "coupon_20"), decision("c", "active"),
        decision("d", "lapsed_mid", 7.0),
    )  # fmt: skip
    found = totals(now, programme)
    assert (found.members, found.at_risk, found.value_at_stake, found.expected_value) == (4, 3, 27.0, 20.0)
    assert (found.sent, found.cost) == (1, 102.0)
    assert (found.recalls, found.recalls_low, found.recalls_high) == (0.1, 0.04, 0.16)


def test_the_grid_holds_every_tier_and_state_and_misses_nobody_at_risk() -> None:
    now = week(
        decision("a", "at_risk"), decision("b", "at_risk", 2.5), decision("c", "lapsed_mid"), decision("d", "new")
    )
    grid = risk_grid(at_risk(now))
    assert list(grid) == ["high", "potential", "mid", "low"]
    assert (grid["high"]["at_risk"].members, grid["high"]["at_risk"].value_at_stake) == (2, 12.5)
    assert sum(group.members for states in grid.values() for group in states.values()) == 3


def test_movements_tell_who_fell_sank_returned_and_joined() -> None:
    before = week(
        decision("falls", "active"), decision("sinks", "at_risk"), decision("returns", "lapsed_mid", 8.0),
        decision("stays", "at_risk"), decision("recovers a little", "lapsed_mid"),
    )  # fmt: skip
    now = week(
        decision("falls", "at_risk", 3.0), decision("sinks", "lapsed_short", 4.0), decision("returns", "active", 1.0),
        decision("stays", "at_risk"), decision("recovers a little", "at_risk"), decision("joins", "new", 2.0),
    )  # fmt: skip
    found = {name: (group.members, group.value_at_stake) for name, group in movements(before, now).items()}
    assert found == {"fell": (1, 3.0), "sank": (1, 4.0), "returned": (1, 8.0), "joined": (1, 2.0)}


def test_what_is_sent_shares_its_set_up_by_members_and_names_who_is_held_out(programme: Programme) -> None:
    now = week(
        *(sent(f"recent {n}", "at_risk", "coupon_20") for n in range(3)),
        sent("mid", "lapsed_mid", "coupon_20"),
        held_out("held", "at_risk", "coupon_20"),
    )
    recent, mid = sendings(now, None, programme.incentives)
    assert (recent.policy_segment, recent.members, recent.held_out, recent.cost) == ("high__recent", 3, 1, 81.0)
    assert (mid.policy_segment, mid.members, mid.held_out, mid.cost) == ("high__mid", 1, 0, 27.0)
    assert recent.recalls == pytest.approx(0.3)


def test_a_sending_carries_the_effect_it_rests_on(programme: Programme) -> None:
    policy = small_policy(programme.instant("2026-01-05"))
    effect = policy.effects[0]
    row = sent("a", "at_risk", effect.incentive_id) | {"policy_segment": effect.policy_segment}
    (found,) = sendings(week(row), policy, programme.incentives)
    assert found.effect == effect


def test_verdicts_cover_every_segment_and_incentive_and_mark_the_chosen(programme: Programme) -> None:
    policy = small_policy(programme.instant("2026-01-05"))
    found = verdicts(policy, programme.incentives)
    assert list(found) == list(policy.choices)
    for segment, choice in policy.choices.items():
        assert list(found[segment]) == ["coupon_20", "points_x3"]
        chosen = [incentive for incentive, verdict in found[segment].items() if verdict == "chosen"]
        assert chosen == ([choice.incentive_id] if choice.incentive_id else [])


def test_segments_without_an_incentive_are_named_with_the_reason_if_they_have_members(programme: Programme) -> None:
    policy = small_policy(programme.instant("2026-01-05"))
    choice = next(iter(policy.choices.values()))
    nothing = choice.model_copy(update={"incentive_id": None, "reason": "insufficient_evidence", "needed_sample": 900})
    changed = policy.model_copy(update={"choices": {"high__recent": nothing, "high__mid": nothing}})
    (found,) = withheld(week(decision("a", "at_risk", 6.0), decision("b", "active")), changed)
    assert (found.policy_segment, found.members, found.value_at_stake) == ("high__recent", 1, 6.0)
    assert (found.reason, found.needed_sample) == ("insufficient_evidence", 900)


def test_reasons_to_send_nothing_come_with_most_at_stake_first() -> None:
    now = week(
        decision("a", "at_risk", 1.0, no_offer_reason="consent"),
        decision("b", "at_risk", 1.0, no_offer_reason="consent"),
        decision("c", "at_risk", 9.0, no_offer_reason="cooldown"),
        sent("d", "at_risk", "coupon_20"),
    )
    found = no_offers(now)
    assert [(reason, group.members) for reason, group in found.items()] == [("cooldown", 1), ("consent", 2)]


def test_what_is_sent_by_lot_claims_no_recalls(programme: Programme) -> None:
    by_lot = {"assigned_by": "exploration", "assigned_incentive": "points_x3", "assigned_cost": 3.0}
    control = {"assigned_by": "exploration", "recommended_incentive": "coupon_20", "expected_recall": 0.1}
    now = week(
        sent("advised", "at_risk", "coupon_20"),
        sent("by lot", "at_risk", "coupon_20") | by_lot,
        decision("control by lot", "at_risk", **control),
    )
    found = totals(now, programme)
    assert (found.sent, found.recalls) == (2, 0.1)
    assert [sending.members for sending in sendings(now, None, programme.incentives)] == [1]
    assert explored(now, programme.incentives) == Exploration(members=1, cost=3.0)


def test_what_is_sent_as_advised_and_by_lot_costs_what_all_does_set_up_included(programme: Programme) -> None:
    by_lot = {"assigned_by": "exploration", "assigned_incentive": "coupon_20", "assigned_cost": 3.0}
    now = week(
        sent("advised", "at_risk", "coupon_20"),
        sent("another", "at_risk", "points_x3"),
        sent("by lot", "at_risk", "coupon_20") | by_lot,
    )
    tried = explored(now, programme.incentives)
    assert tried == Exploration(members=1, cost=53.0)
    told = sum(sending.cost for sending in sendings(now, None, programme.incentives)) + tried.cost
    assert told == pytest.approx(totals(now, programme).cost)


def test_what_is_chosen_without_proof_stays_a_bet(programme: Programme) -> None:
    policy = small_policy(programme.instant("2026-01-05"))
    segment, choice = next((s, c) for s, c in policy.choices.items() if c.incentive_id)
    bets = tuple(effect.model_copy(update={"verdict": "bet"}) for effect in policy.effects)
    found = verdicts(policy.model_copy(update={"effects": bets}), programme.incentives)
    assert found[segment][choice.incentive_id] == "bet"
