from datetime import datetime
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from features.programme import Programme, parse_programme
from serving.advice import decide
from serving.jobs import plan_warnings
from serving.phases import PhaseName
from serving.plan import Plan, contend, plan_budget, ration_set_up, together
from serving.policy_table import Advantage, Choice, Effect, Estimate, Paused, PolicyTable, Pooled
from serving.ration import Ration
from serving.rationing import ration_phase

AS_OF = datetime(2026, 1, 5)
SEGMENTS = ("high__mid", "low__mid")


def programme(setup: dict[str, float] | None = None, **guardrails: object) -> Programme:
    setup_cost = {"mail": 0.0, "gift": 0.0, **(setup or {})}
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m", "setup_cost": setup_cost["mail"], "eligible": {"min_orders": 3}},
        {"id": "gift", "name_en": "g", "name_zh": "g", "setup_cost": setup_cost["gift"]},
    ]
    rules = {"holdout_share": 0.0, "exploration_share": 0.0, "consent_default": True, **guardrails}
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


GIFT_BEATS_MAIL = Advantage(policy_segment="high__mid", incentive_id="gift", over="mail", net=estimate(1.0, 0.1))


def policy(*effects: Effect, **changed: object) -> PolicyTable:
    return PolicyTable(
        created_at=AS_OF, programme_name="shop", as_of=AS_OF, evidence="randomised", response_days=28,
        confidence=0.95, effects=effects, advantages=(GIFT_BEATS_MAIL,),
        choices={segment: Choice(incentive_id=None, reason=None) for segment in SEGMENTS},
    ).model_copy(update=changed)  # fmt: skip


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


def planned(
    budget: float,
    frame: pd.DataFrame | None = None,
    settings: Programme | None = None,
    table: PolicyTable | None = None,
) -> Plan:
    given, by = members() if frame is None else frame, table or policy(*EFFECTS)
    rules = settings or programme()
    return plan_budget(contend(given, by, rules, as_of=AS_OF, contacts=None), by, rules, budget=budget)


def by_share(share: float, **guardrails: object) -> Programme:
    """The gift is a share of the order."""
    settings = programme(**guardrails)
    mail, gift = settings.incentives
    return settings.model_copy(update={"incentives": (mail, gift.model_copy(update={"face_share": share}))})


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


def test_what_each_budget_of_the_curve_sends_adds_up_to_its_outlook() -> None:
    plan = planned(5.0)
    for (_, outlook), sent in zip(plan.curve, plan.sent, strict=True):
        assert (sent["members"].sum(), sent["cost"].sum()) == pytest.approx((outlook.members, outlook.cost))


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


def recommended(
    frame: pd.DataFrame, table: PolicyTable, settings: Programme, ration: Ration | None = None
) -> dict[str, str]:
    decided = decide(frame, table, settings, as_of=AS_OF, contacts=None, ration=ration)
    sent = decided[decided["recommended_incentive"].notna() & (decided["assigned_by"] != "holdout")]
    return dict(zip(sent["member_id"], sent["recommended_incentive"], strict=True))


def mixed(count: int = 200) -> pd.DataFrame:
    """Members alike in value, and unlike in all that guardrails look at."""
    draw = np.random.default_rng(4)
    lapsed = draw.integers(0, 2, count)
    return pd.DataFrame(
        {
            "member_id": [f"m{number:03}" for number in range(count)],
            "policy_segment": pd.Series(np.array(SEGMENTS)[lapsed]).mask(draw.random(count) < 0.1),
            "tier": np.array(["high", "low"])[lapsed], "state": "lapsed_mid", "persona": None,
            "order_count": draw.integers(1, 6, count), "value_per_year": draw.choice([-350.0, 1000.0], count),
            "value_if_active": 100.0, "last_assignment_days": draw.choice([3.0, 90.0, np.nan], count),
            "messages_per_week_28d": draw.choice([0.0, 9.0], count, p=[0.8, 0.2]),
        }
    )  # fmt: skip


BET = effect("low__mid", "gift", cost=3.0, margin=9.0, verdict="bet").model_copy(
    update={"pooled_recall": Pooled(value=0.02, se=0.01), "pooled_net": Pooled(value=2.5, se=0.7)}
)


@pytest.mark.parametrize(
    "table",
    [
        policy(*EFFECTS),
        policy(*EFFECTS, advantages=()),
        policy(*EFFECTS, paused=(Paused(policy_segment="high__mid", incentive_id="gift"),)),
        policy(*EFFECTS[:2], BET),
    ],
    ids=["an upgrade", "none", "paused", "a bet"],
)
def test_money_enough_buys_exactly_what_the_policy_recommends(table: PolicyTable) -> None:
    settings, frame = programme(holdout_share=0.2, mode="best_bet"), mixed()
    offers = planned(np.inf, frame, settings, table).offers
    assert dict(zip(offers["member_id"], offers["incentive_id"], strict=True)) == recommended(frame, table, settings)
    assert len(offers) > 20


def test_where_the_plan_leaves_a_recommendation_out_it_would_bring_that_member_less_than_it_costs() -> None:
    frame = members(value_if_active=[30, 100, 100, 135, 135, 10, 60, 110, 120, 200])
    table = policy(*EFFECTS, advantages=())
    sent = set(planned(np.inf, frame, table=table).offers["member_id"])
    worth = [4.0 * 0.3 - 1, *[1] * 4, 2.0 * 0.1 - 1, *[1] * 4]
    assert set(recommended(frame, table, programme())) == set(frame["member_id"])
    assert sent == {member for member, value in zip(frame["member_id"], worth, strict=True) if value > 0}


def test_bets_are_planned_by_what_is_expected_of_them_and_named() -> None:
    plan = planned(np.inf, table=policy(*EFFECTS[:1], BET), settings=programme(mode="best_bet"))
    assert plan.offers.groupby("evidence").size().to_dict() == {"bet": 5, "randomised": 5}
    assert plan.outlook.net_value == pytest.approx(5 * 3.0 + 5 * 2.5)
    assert plan.outlook.recalls == pytest.approx(5 * 0.05 + 5 * 0.02)


def test_set_up_is_paid_once_and_from_the_budget() -> None:
    plan = planned(8.0, settings=programme({"mail": 4.0}), table=policy(*EFFECTS, advantages=()))
    assert bought(plan) == {("high__mid", "mail"): 4}
    assert (plan.outlook.cost, plan.outlook.setup_cost) == pytest.approx((8.0, 4.0))
    assert plan.outlook.net_value == pytest.approx(4 * 3.0 - 4.0)
    assert plan.full_cost == pytest.approx(14.0)


def test_an_upgrade_whose_set_up_is_not_earned_back_leaves_the_cheapest_that_works() -> None:
    plan = planned(np.inf, settings=programme({"gift": 5.1}))
    assert bought(plan) == {("high__mid", "mail"): 5, ("low__mid", "mail"): 5}
    assert plan.ration.closed == ("gift",)
    assert planned(np.inf, settings=programme({"gift": 4.9})).ration.closed == ()


@pytest.mark.parametrize("budget", [0.0, 6.0, 9.0, 14.0, np.inf])
@pytest.mark.parametrize(
    "setup", [{"mail": 3.0}, {"gift": 4.0}, {"mail": 6.0, "gift": 2.0}, {"mail": 9.0, "gift": 9.0}]
)
def test_dropping_one_by_one_finds_the_best_set_of_incentives_here(budget: float, setup: dict[str, float]) -> None:
    frame, settings = members(value_if_active=np.linspace(60, 140, 10)), programme(setup)
    only = {
        "none": policy(),
        "mail": policy(EFFECTS[0], EFFECTS[2], advantages=()),
        "gift": policy(EFFECTS[1], advantages=()),
        "both": policy(*EFFECTS),
    }
    found = {name: planned(budget, frame, settings, table).outlook for name, table in only.items()}
    assert found["both"].cost <= budget
    assert found["both"].net_value >= max(one.net_value for one in found.values()) - 1e-9


def test_nothing_is_sent_where_nothing_earns_its_set_up_back() -> None:
    plan = planned(np.inf, settings=programme({"mail": 100.0, "gift": 100.0}))
    assert (plan.outlook.members, plan.outlook.cost, plan.outlook.net_value) == (0, 0, 0)
    assert plan.ration.closed == ("gift", "mail")
    assert {outlook.members for _, outlook in plan.curve} == {0}


@pytest.mark.parametrize("budget", [0.0, 31.0, np.inf])
@pytest.mark.parametrize("setup", [{}, {"gift": 4.0}, {"mail": 20.0}])
@pytest.mark.parametrize("alike", [True, False])
def test_decisions_keep_to_the_plan_to_the_last_member(budget: float, setup: dict[str, float], alike: bool) -> None:
    settings, frame, table = programme(setup, holdout_share=0.2), mixed(), policy(*EFFECTS)
    if not alike:
        frame["value_if_active"] = np.random.default_rng(5).lognormal(4.6, 0.7, len(frame))
    plan = planned(budget, frame, settings, table)
    sent = dict(zip(plan.offers["member_id"], plan.offers["incentive_id"], strict=True))
    assert recommended(frame, table, settings, plan.ration) == sent
    assert plan.outlook.cost <= budget


def test_a_member_decided_about_alone_gets_what_they_get_among_all() -> None:
    settings, frame, table = programme(holdout_share=0.2), mixed(), policy(*EFFECTS)
    ration = planned(31.0, frame, settings, table).ration
    together_ = recommended(frame, table, settings, ration)
    for member in [*list(together_)[:3], *sorted(set(frame["member_id"]) - set(together_))[:3]]:
        alone = recommended(frame[frame["member_id"] == member], table, settings, ration)
        assert alone == {name: gets for name, gets in together_.items() if name == member}


def reasons(frame: pd.DataFrame, ration: Ration, settings: Programme) -> pd.Series:
    decided = decide(frame, policy(*EFFECTS, advantages=()), settings, as_of=AS_OF, contacts=None, ration=ration)
    return decided.set_index("member_id")["no_offer_reason"]


def test_who_is_left_out_by_the_budget_is_told_so_and_explores_nothing() -> None:
    frame, settings = members(), programme(exploration_share=1.0)
    plan = planned(5.4, frame, settings, policy(*EFFECTS, advantages=()))  # a lot costs (1 + 3) / 3
    decided = decide(
        frame, policy(*EFFECTS, advantages=()), settings, as_of=AS_OF, contacts=None, ration=plan.ration
    ).set_index("member_id")
    sent = set(plan.offers["member_id"])
    assert len(sent) == 4
    left = decided[~decided.index.isin(sent)]
    assert (left["no_offer_reason"] == "budget").all()
    assert left[["recommended_incentive", "expected_cost", "assigned_by", "assigned_incentive"]].isna().all(axis=None)
    assert (left["probabilities"] == {}).all()
    assert decided.loc[sorted(sent), "no_offer_reason"].isna().all()


def test_to_whom_an_offer_would_bring_less_than_it_costs_it_is_not_worth_it() -> None:
    frame = members(value_if_active=[10, *[110] * 9])
    settings = programme()
    plan = planned(np.inf, frame, settings, policy(*EFFECTS, advantages=()))
    assert reasons(frame, plan.ration, settings).to_dict()["m0"] == "not_worth_it"


def test_what_does_not_earn_back_its_set_up_is_not_recommended_with_no_budget_either() -> None:
    table, frame = policy(*EFFECTS, advantages=()), members()

    def ration(setup: dict[str, float]) -> Ration:
        settings = programme(setup)
        return ration_set_up(contend(frame, table, settings, as_of=AS_OF, contacts=None), table, settings)

    assert ration({"mail": 19.9}).closed == ()  # mail brings five members 3 each, and five 1 each
    dear = ration({"mail": 20.1})
    assert dear.closed == ("mail",)
    decided = decide(frame, table, programme({"mail": 20.1}), as_of=AS_OF, contacts=None, ration=dear)
    assert decided["recommended_incentive"].tolist()[:5] == ["gift"] * 5
    assert decided["no_offer_reason"].tolist()[5:] == ["setup_cost"] * 5
    assert ration({"mail": 20.1, "gift": 100.0}).closed == ("gift", "mail")


def test_contenders_found_in_parts_are_planned_as_together() -> None:
    frame, table, settings = mixed(), policy(*EFFECTS), programme(holdout_share=0.2)
    parts = [contend(part, table, settings, as_of=AS_OF, contacts=None) for part in (frame[:70], frame[70:])]
    apart = plan_budget(together(parts), table, settings, budget=40.0)
    pd.testing.assert_frame_equal(apart.offers, planned(40.0, frame, settings, table).offers)


def test_phases_spend_the_programmes_shares_and_the_test_draws_lots() -> None:
    frame = pd.concat([members(member_id=[f"{part}{number}" for number in range(10)]) for part in range(40)])
    frame = frame.assign(value_if_active=np.random.default_rng(6).lognormal(5, 0.3, len(frame))).reset_index(drop=True)
    plan = planned(np.inf, frame, table=policy(*EFFECTS, advantages=()))
    whole = plan.offers["expected_cost"].sum()
    spent = {phase.phase: phase.expected_cost / whole for phase in plan.phases}
    assert spent == pytest.approx({"test": 0.1, "burst": 0.7, "tail": 0.2}, abs=0.01)
    worth = plan.offers.groupby("phase")["expected_net"]
    assert worth.min()["burst"] >= worth.max()["tail"]
    assert worth.max()["test"] > worth.min()["burst"] > worth.min()["test"]
    assert sum(phase.members for phase in plan.phases) == len(plan.offers)


def phased(frame: pd.DataFrame, phase: PhaseName, budget: float = 60.0) -> set[str]:
    """Decide about a phase; those sent something."""
    settings, table = programme(), policy(*EFFECTS, advantages=())
    contenders = contend(frame, table, settings, as_of=AS_OF, contacts=None)
    ration = ration_phase(contenders, table, settings, budget=budget, phase=phase)
    assert ration.limit is not None
    sent = recommended(frame, table, settings, ration)
    assert len(sent) <= ration.limit.budget == budget * getattr(settings.phases, phase)  # an offer costs 1
    return set(sent)


def test_decisions_of_the_test_go_to_members_drawn_by_lot_and_those_of_the_burst_to_the_most_valuable_left() -> None:
    value = np.random.default_rng(7).lognormal(5, 0.3, 100)
    frame = pd.concat([members(member_id=[f"{part}{number}" for number in range(10)]) for part in range(10)])
    frame = frame.assign(value_if_active=value, policy_segment="high__mid", tier="high").reset_index(drop=True)
    worth = frame.set_index("member_id")["value_if_active"]
    test = phased(frame, "test")
    assert len(test) == 6
    assert worth[sorted(test)].min() < worth.nlargest(42).min()
    cooling = frame.assign(last_assignment_days=np.where(frame["member_id"].isin(test), 7.0, np.nan))
    assert phased(cooling, "burst") == set(worth.drop(sorted(test)).nlargest(42).index)


def test_who_waits_for_a_later_phase_is_told_that_it_is_the_budget_and_decided_about_alone_waits_too() -> None:
    settings, frame, table = programme(), members(), policy(*EFFECTS, advantages=())
    contenders = contend(frame, table, settings, as_of=AS_OF, contacts=None)
    ration = ration_phase(contenders, table, settings, budget=30.0, phase="test")
    sent = recommended(frame, table, settings, ration)
    assert 0 < len(sent) < len(frame)
    left_out = reasons(frame, ration, settings).dropna()
    assert set(left_out.index) == set(frame["member_id"]) - set(sent)
    assert (left_out == "budget").all()
    for member in frame["member_id"]:
        alone = recommended(frame[frame["member_id"] == member], table, settings, ration)
        assert alone.keys() == {member} & sent.keys()


def without_effect(effect: Effect) -> Effect:
    return effect.model_copy(update={"verdict": "no_effect"})


def exploring(share: float, **setup: float) -> Programme:
    return programme(setup, exploration_share=share)


def test_the_lots_of_exploration_are_paid_from_the_budget() -> None:
    frame, table, settings = mixed(), policy(*EFFECTS, advantages=()), exploring(0.2)
    plan = planned(60.0, frame, settings, table)
    decided = decide(frame, table, settings, as_of=AS_OF, contacts=None, ration=plan.ration)
    cost = {"control": 0.0, "mail": 1.0, "gift": 3.0}
    expected = sum(chance * cost[arm] for chances in decided["probabilities"] for arm, chance in chances.items())
    assert plan.assigned_cost == pytest.approx(expected)
    assert 55 < plan.assigned_cost <= 60
    assert plan.exploration_cost > 0.05 * plan.assigned_cost
    assert planned(60.0, frame, exploring(0.0), table).outlook.members > plan.outlook.members


def test_members_who_explore_whatever_the_budget_are_paid_first() -> None:
    only_high, settings = policy(EFFECTS[0], *(without_effect(one) for one in EFFECTS[1:])), exploring(0.3)
    lot = 0.3 * (1.0 + 3.0) / 3
    nothing = planned(5 * lot, settings=settings, table=only_high)
    assert (nothing.outlook.members, nothing.assigned_cost) == (0, pytest.approx(5 * lot))
    two = planned(7 * lot + 2 * 0.7 * 1.0, settings=settings, table=only_high)
    assert (two.outlook.members, two.exploration_cost) == (2, pytest.approx(7 * lot))


def test_the_set_up_of_what_only_comes_up_by_lot_is_paid_too() -> None:
    known = policy(EFFECTS[0], without_effect(EFFECTS[1]), *EFFECTS[2:])
    dear, free = (planned(np.inf, settings=exploring(0.1, gift=setup), table=known) for setup in (50.0, 0.0))
    assert dear.assigned_cost - free.assigned_cost == pytest.approx(50.0)
    assert planned(np.inf, settings=exploring(0.0, gift=50.0), table=known).assigned_cost == pytest.approx(10.0)


def test_what_only_comes_up_by_lot_is_not_tried_where_its_set_up_is_beyond_the_budget() -> None:
    known = policy(EFFECTS[0], without_effect(EFFECTS[1]), *EFFECTS[2:])
    tried, untried = (planned(money, settings=exploring(0.1, gift=50.0), table=known) for money in (60.0, 45.0))
    assert (tried.not_earned_back, untried.not_earned_back) == ((), ("gift",))
    assert untried.outlook.members > 0
    assert max(tried.assigned_cost / 60.0, untried.assigned_cost / 45.0) <= 1.0


def unlike_baskets(count: int = 200) -> pd.DataFrame:
    draw = np.random.default_rng(8)
    value = draw.lognormal(4.6, 0.5, count)
    return mixed(count).assign(average_order_value=draw.lognormal(3.4, 0.6, count), value_if_active=value)


def test_who_orders_for_more_costs_more_where_an_incentive_is_a_share_of_the_order() -> None:
    frame = members(average_order_value=np.arange(10.0, 110.0, 10.0))
    offers = planned(np.inf, frame, by_share(0.2), policy(EFFECTS[1], advantages=())).offers
    assert offers.set_index("member_id")["expected_cost"].to_dict() == pytest.approx(
        {f"m{number}": 0.1 * 0.2 * 10.0 * (number + 1) for number in range(5)}
    )


def test_what_a_share_of_a_large_order_would_cost_is_capped_for_that_member() -> None:
    frame = members(average_order_value=[50.0, 90_000.0, np.nan, -5.0, 50.0, *[50.0] * 5])
    sent = planned(np.inf, frame, by_share(0.2), policy(EFFECTS[1], advantages=())).offers["member_id"]
    assert sent.tolist() == ["m0", "m3", "m4"]


@pytest.mark.parametrize("budget", [4.0, 30.0, 90.0])
def test_members_own_costs_lead_to_the_optimum_that_highs_finds(budget: float) -> None:
    frame, settings = unlike_baskets(), by_share(0.9)
    contenders = contend(frame, policy(*EFFECTS), settings, as_of=AS_OF, contacts=None)
    plan = plan_budget(contenders, policy(*EFFECTS), settings, budget=budget)
    own, high = contenders.members, (contenders.members["policy_segment"] == "high__mid").to_numpy()
    weight = (own["value_if_active"] / own["policy_segment"].map(plan.ration.typical_values)).to_numpy()
    margin = np.column_stack([np.where(high, 4.0, 2.0), np.where(high, 7.0, np.nan)])
    net = np.where(contenders.may_get, margin * weight[:, None] - contenders.cost, np.nan)
    rows, cells = len(own), np.nan_to_num(net, nan=-1e6).ravel()
    limits = np.vstack([np.kron(np.eye(rows), np.ones(2)), contenders.cost.ravel()])
    best = -linprog(-cells, A_ub=limits, b_ub=np.r_[np.ones(rows), budget], bounds=(0, 1)).fun
    left = budget - plan.outlook.cost
    assert np.unique(plan.offers["expected_cost"]).size > 1
    assert plan.outlook.net_value + left * plan.multiplier == pytest.approx(best)


def test_decisions_with_members_own_costs_keep_to_the_plan_among_all_and_alone() -> None:
    settings, frame, table = by_share(0.9, holdout_share=0.2), unlike_baskets(), policy(*EFFECTS)
    plan = planned(50.0, frame, settings, table)
    sent = dict(zip(plan.offers["member_id"], plan.offers["incentive_id"], strict=True))
    assert recommended(frame, table, settings, plan.ration) == sent
    decided = decide(frame, table, settings, as_of=AS_OF, contacts=None, ration=plan.ration).set_index("member_id")
    cost = plan.offers.set_index("member_id")["expected_cost"]
    pd.testing.assert_series_equal(decided.loc[cost.index, "expected_cost"], cost)
    for row in (0, 50, 100, 150):
        alone = decide(frame.iloc[[row]], table, settings, as_of=AS_OF, contacts=None, ration=plan.ration)
        pd.testing.assert_frame_equal(alone.set_index("member_id"), decided.iloc[[row]])


def test_a_campaigns_set_up_is_paid_with_its_test_and_not_again() -> None:
    settings, table = programme({"mail": 20.0}), policy(*EFFECTS, advantages=())
    frame = pd.concat([members(member_id=[f"{part}{number}" for number in range(10)]) for part in range(10)])
    frame = frame.assign(value_if_active=np.random.default_rng(9).lognormal(5, 0.3, 100)).reset_index(drop=True)
    spent: dict[str, int] = {}
    for phase in get_args(PhaseName):
        contenders = contend(frame, table, settings, as_of=AS_OF, contacts=None)
        ration = ration_phase(contenders, table, settings, budget=70.0, phase=phase)
        sent = recommended(frame, table, settings, ration)
        spent[phase] = len(sent)  # an offer costs 1
        assert ration.limit is not None
        assert ration.paid == (() if phase == "test" else ("mail",))
        assert ration.limit.budget == pytest.approx({"test": 25.0, "burst": 35.0, "tail": 10.0}[phase])
        cooling = frame["last_assignment_days"].where(~frame["member_id"].isin(list(sent)), 1.0)
        frame = frame.assign(last_assignment_days=cooling)
    assert spent == {"test": 5, "burst": 35, "tail": 10}


def test_what_the_whole_budget_would_not_set_up_stays_closed_in_later_phases() -> None:
    settings, table = programme({"gift": 100.0}), policy(*EFFECTS)
    contenders = contend(members(), table, settings, as_of=AS_OF, contacts=None)
    ration = ration_phase(contenders, table, settings, budget=1000.0, phase="burst")
    assert (ration.closed, ration.paid) == (("gift",), ())
    assert set(recommended(members(), table, settings, ration).values()) == {"mail"}


def test_a_plan_warns_where_nothing_is_worth_sending_and_exploration_alone_costs_more_than_the_budget() -> None:
    idle = policy(*(without_effect(one) for one in EFFECTS))
    nothing, explores = plan_warnings(planned(1.0, settings=exploring(0.5), table=idle), 1.0)
    assert nothing.startswith("nothing was shown to be worth sending")
    assert "exploration may send" in explores
    assert list(plan_warnings(planned(10.0), 10.0)) == []
