import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from features.settings_incentives import Guardrails, Incentive
from serving.policy import best_bets, bets_on, cheapest_effective, effective_by_cost, judge, needed_sample, with_upgrade
from serving.policy_table import Advantage, Choice, Effect, Estimate, Evidence, Pooled

RULES = Guardrails()


def estimate(value: float, se: float, *, simultaneous: float = 3.0) -> Estimate:
    ends = {"low": value - 2 * se, "high": value + 2 * se}
    wide = {"simultaneous_low": value - simultaneous * se, "simultaneous_high": value + simultaneous * se}
    return Estimate(value=value, se=se, **ends, **wide)


def effect(
    incentive_id: str = "mail",
    *,
    recall: tuple[float, float] = (0.05, 0.01),
    net: tuple[float, float] = (2.0, 0.5),
    cost: float = 1.0,
    n: int = 1000,
    evidence: Evidence = "randomised",
    rules: Guardrails = RULES,
    segment: str = "low__mid",
) -> Effect:
    bounds = {"recall": estimate(*recall), "net": estimate(*net)}
    verdict, why = judge(n_treated=n, n_control=n, **bounds, evidence=evidence, guardrails=rules)
    return Effect(
        policy_segment=segment, incentive_id=incentive_id, n_treated=n, n_control=n, **bounds,
        margin=estimate(net[0] + cost, net[1]), cost_per_member=cost, redemption_rate=0.1, verdict=verdict, why=why,
    )  # fmt: skip


def incentives(*ids: str) -> list[Incentive]:
    return [Incentive(id=id_, name_en=id_, name_zh=id_) for id_ in ids]


def choose(*effects: Effect, rules: Guardrails = RULES) -> Choice:
    return cheapest_effective(effects, incentives(*(one.incentive_id for one in effects)), rules)


def advantage(incentive_id: str, over: str, *net: float, segment: str = "low__mid") -> Advantage:
    return Advantage(policy_segment=segment, incentive_id=incentive_id, over=over, net=estimate(*net))


# --- judging one incentive


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "effective"),
        ({"recall": (0.03, 0.01)}, "insufficient_evidence"),
        ({"recall": (0.0301, 0.01)}, "effective"),
        ({"recall": (0.0, 0.005)}, "no_effect"),
        ({"recall": (0.0, 0.007)}, "insufficient_evidence"),
        ({"recall": (-0.05, 0.01)}, "no_effect"),
        ({"net": (1.0, 0.78)}, "effective"),
        ({"net": (1.0, 0.79)}, "insufficient_evidence"),
        ({"net": (-0.1, 0.01)}, "not_worth_it"),
        ({"n": 199}, "insufficient_evidence"),
        ({"evidence": "observational"}, "observational_only"),
        ({"evidence": "observational", "n": 3}, "observational_only"),
        ({"evidence": "observational", "n": 0}, "insufficient_evidence"),
        ({"evidence": "propensity"}, "effective"),
    ],
)
def test_an_incentive_is_judged_by_its_simultaneous_bound_of_recall_and_its_90_percent_bound_of_net_value(
    changed: dict, verdict: str
) -> None:
    assert effect(**changed).verdict == verdict


def test_a_recall_floor_a_tolerated_loss_and_observational_evidence_can_be_accepted_in_the_programme() -> None:
    assert effect(rules=Guardrails(recall_floor=0.021)).verdict == "insufficient_evidence"
    assert effect(rules=Guardrails(recall_floor=0.07)).verdict == "no_effect"
    assert effect(net=(-0.1, 0.01), rules=Guardrails(loss_tolerance=0.2)).verdict == "effective"
    assert effect(evidence="observational", rules=Guardrails(accept_observational=True)).verdict == "effective"


def test_an_effect_that_was_never_measured_is_unknown_not_zero() -> None:
    unknown = Estimate(
        value=np.nan, se=np.nan, low=np.nan, high=np.nan, simultaneous_low=np.nan, simultaneous_high=np.nan
    )
    verdict, why = judge(n_treated=0, n_control=0, recall=unknown, net=unknown, evidence="none", guardrails=RULES)
    assert verdict == "insufficient_evidence"
    assert why == "0 treated and 0 control offers; needed are at least 200 and 200"


# --- how large a test must be


def test_the_needed_sample_is_the_textbook_one_for_80_percent_power() -> None:
    # 1000 per arm and se 0.02 mean a variance of 0.2 per member; the simultaneous interval reaches 3 se
    n = needed_sample(effect(recall=(0.01, 0.02)), RULES)
    assert n == int(np.ceil(2 * 0.2 * ((3 + norm.ppf(0.8)) / 0.02) ** 2))


def test_a_test_of_that_size_has_80_percent_power() -> None:
    n, variance = needed_sample(effect(recall=(0.01, 0.02)), RULES), 0.2
    se = np.sqrt(2 * variance / n)
    draws = np.random.default_rng(1).normal(RULES.detectable_recall, se, 20_000)
    assert (draws - 3 * se > 0).mean() == pytest.approx(0.8, abs=0.01)


def test_where_nothing_was_observed_the_largest_variance_is_taken() -> None:
    unmeasured = effect(recall=(np.nan, np.nan), n=0)
    assert needed_sample(unmeasured, RULES) == int(np.ceil(0.5 * ((norm.ppf(0.975) + norm.ppf(0.8)) / 0.02) ** 2))


def test_where_recall_is_shown_the_sample_is_the_one_that_settles_net_value() -> None:
    promising = effect(net=(1.0, 1.0))
    assert promising.verdict == "insufficient_evidence"
    assert needed_sample(promising, RULES) == int(np.ceil(2 * 500 * (norm.ppf(0.9) + norm.ppf(0.8)) ** 2))


def test_the_needed_sample_is_never_below_the_programmes_minimum() -> None:
    assert needed_sample(effect(recall=(0.0, 0.0001)), RULES) == 200


def test_a_net_value_of_nothing_needs_more_members_than_anybody_has() -> None:
    assert needed_sample(effect(net=(0.0, 1.0)), RULES) == 1_000_000_000


# --- choosing


def test_among_incentives_of_equal_effect_the_cheapest_wins() -> None:
    assert choose(effect("gift", cost=5), effect("mail", cost=0.1), effect("coupon", cost=2)).incentive_id == "mail"


def test_equal_costs_break_ties_by_id() -> None:
    assert choose(effect("b"), effect("a")).incentive_id == "a"


def test_a_cheaper_incentive_that_does_not_work_is_passed_over() -> None:
    assert choose(effect("mail", cost=0.1, recall=(0.0, 0.01)), effect("coupon", cost=2)).incentive_id == "coupon"


def test_a_dearer_incentive_must_surely_beat_the_cheapest_and_the_one_that_beats_it_most_is_chosen() -> None:
    mail, coupon, gift = effect("mail", cost=1), effect("coupon", cost=2), effect("gift", cost=3)
    sure, surer, unsure = (advantage("coupon", "mail", 1.0, 0.5), advantage("gift", "mail", 2.0, 1.0),
                           advantage("gift", "mail", 2.0, 1.3))  # fmt: skip
    assert with_upgrade([mail, coupon, gift], [sure, unsure], RULES) is coupon
    assert with_upgrade([mail, coupon, gift], [sure, surer], RULES) is gift
    assert with_upgrade([mail, coupon, gift], [sure, surer], Guardrails(upgrade_margin=0.5)) is mail
    assert with_upgrade([coupon, gift], [sure, surer], RULES) is coupon


def test_an_incentive_that_left_the_programme_is_not_chosen() -> None:
    assert effective_by_cost([effect("old", cost=0), effect("new")], incentives("new"))[0].incentive_id == "new"


@pytest.mark.parametrize(
    ("effects", "reason"),
    [
        ([effect(recall=(0, 0.001)), effect("b", recall=(-0.1, 0.01))], "no_effect"),
        ([effect(recall=(0, 0.001)), effect("b", net=(-1, 0.1))], "not_worth_it"),
        ([effect(net=(-1, 0.1)), effect("b", recall=(0.02, 0.02))], "insufficient_evidence"),
        ([effect(n=0), effect("b", evidence="observational")], "observational_only"),
        ([], "ineligible"),
    ],
)
def test_where_nothing_is_effective_the_reason_is_that_of_the_incentive_nearest_to_it(
    effects: list[Effect], reason: str
) -> None:
    choice = choose(*effects)
    assert choice.incentive_id is None
    assert choice.reason == reason


def test_insufficient_evidence_names_the_smallest_sample_that_would_settle_an_open_question() -> None:
    close, far = effect("close", recall=(0.02, 0.01)), effect("far", recall=(0.02, 0.03))
    assert choose(far, close).needed_sample == needed_sample(close, RULES) < needed_sample(far, RULES)
    assert choose(effect(recall=(0, 0.001))).needed_sample is None


ANY_EFFECT = st.builds(
    lambda id_, recall, recall_se, net, net_se, cost, n, evidence: effect(
        id_, recall=(recall, recall_se), net=(net, net_se), cost=cost, n=n, evidence=evidence
    ),
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.floats(-0.2, 0.2), st.floats(1e-5, 0.1), st.floats(-20, 20), st.floats(1e-3, 10), st.floats(0, 30),
    st.integers(0, 5000), st.sampled_from(["randomised", "propensity", "observational", "none"]),
)  # fmt: skip
ANY_EFFECTS = st.lists(ANY_EFFECT, max_size=5, unique_by=lambda one: one.incentive_id)


def bounds_hold(one: Effect) -> bool:
    net_low = one.net.value - norm.ppf(0.9) * one.net.se
    return one.recall.simultaneous_low > 0 and net_low >= 0 and min(one.n_treated, one.n_control) >= 200


@settings(deadline=None, max_examples=50)
@given(ANY_EFFECTS)
def test_nothing_is_chosen_whose_bounds_fail_and_nothing_dearer_than_needed(effects: list[Effect]) -> None:
    choice = choose(*effects)
    working = [one for one in effects if bounds_hold(one) and one.verdict != "observational_only"]
    if choice.incentive_id is None:
        assert not working
        tested = ("no_effect", "not_worth_it", "insufficient_evidence", "observational_only")
        assert choice.reason in (tested if effects else ("ineligible",))
    else:
        chosen = next(one for one in effects if one.incentive_id == choice.incentive_id)
        assert chosen in working
        assert chosen.cost_per_member == min(one.cost_per_member for one in working)


@settings(deadline=None, max_examples=50)
@given(ANY_EFFECTS, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_effects(effects: list[Effect], random: object) -> None:
    shuffled = list(effects)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(*shuffled) == choose(*effects)


@settings(deadline=None, max_examples=50)
@given(ANY_EFFECTS, st.floats(0, 30))
def test_making_the_chosen_incentive_cheaper_keeps_it_chosen(effects: list[Effect], cost: float) -> None:
    before = choose(*effects).incentive_id
    changed = [
        one.model_copy(update={"cost_per_member": min(cost, one.cost_per_member)})
        if one.incentive_id == before
        else one
        for one in effects
    ]
    after = choose(*changed).incentive_id
    assert after == before


@settings(deadline=None, max_examples=50)
@given(ANY_EFFECTS, st.floats(0.001, 0.2))
def test_a_higher_floor_never_makes_more_incentives_effective(effects: list[Effect], floor: float) -> None:
    rules = Guardrails(recall_floor=floor)
    for one in effects:
        stricter, _ = judge(
            n_treated=one.n_treated, n_control=one.n_control, recall=one.recall, net=one.net, evidence="randomised",
            guardrails=rules,
        )  # fmt: skip
        assert stricter != "effective" or bounds_hold(one)


BETTING = Guardrails(mode="best_bet")


def unsettled(incentive_id: str = "mail", *, net: float = 1.0, recall: float = 0.02, **changed: object) -> Effect:
    """An effect too unsure to be proven, with what is expected of it given other segments."""
    given = effect(incentive_id, recall=(0.02, 0.02), net=(1.0, 2.0), **changed)
    pooled = {"pooled_recall": Pooled(value=recall, se=0.01), "pooled_net": Pooled(value=net, se=1.0)}
    return given.model_copy(update=pooled)


def test_what_is_not_settled_but_expected_to_pay_is_a_bet_only_where_the_programme_bets() -> None:
    bet = bets_on(unsettled(), "randomised", BETTING)
    assert bet.verdict == "bet"
    assert "not proven; pooled over segments it is expected to bring 1.00 per member, above zero with 84%" in bet.why
    assert bets_on(unsettled(), "randomised", RULES) == unsettled()


@pytest.mark.parametrize("expected", [{"net": 0.0}, {"net": -1.0}, {"recall": 0.0}])
def test_nothing_is_bet_on_that_is_not_expected_to_recall_and_to_pay(expected: dict[str, float]) -> None:
    assert bets_on(unsettled(**expected), "randomised", BETTING).verdict == "insufficient_evidence"


def test_what_nobody_drew_lots_for_or_was_shown_to_fail_is_no_bet() -> None:
    assert bets_on(unsettled(), "observational", BETTING).verdict == "insufficient_evidence"
    failed = unsettled().model_copy(update={"verdict": "no_effect"})
    assert bets_on(failed, "randomised", BETTING).verdict == "no_effect"


def test_the_bet_expected_to_bring_most_is_chosen_where_nothing_is_proven() -> None:
    offered = incentives("mail", "coupon")
    bets = [bets_on(unsettled(id_, net=net), "randomised", BETTING) for id_, net in (("mail", 1.0), ("coupon", 2.0))]
    assert [bet.incentive_id for bet in best_bets(bets, offered)] == ["coupon", "mail"]
    choice = cheapest_effective(bets, offered, BETTING)
    assert choice.incentive_id == "coupon"
    assert choice.why.startswith("a bet on coupon: not proven")
    proven = effect("mail")
    assert cheapest_effective([proven, bets[1]], offered, BETTING).incentive_id == "mail"


def test_where_bets_are_made_the_holdout_is_larger_unless_said_otherwise() -> None:
    assert BETTING.holdout_share == 0.2
    assert Guardrails(mode="best_bet", holdout_share=0.1).holdout_share == 0.1
    assert RULES.holdout_share < 0.1


def test_where_nothing_may_be_offered_no_test_is_called_for():
    choice = cheapest_effective([], [], Guardrails())
    assert (choice.incentive_id, choice.reason, choice.needed_sample) == (None, "ineligible", None)
    assert choice.why == "nothing may be offered here"
