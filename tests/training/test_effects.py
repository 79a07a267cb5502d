from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from features.programme import Programme, parse_programme
from features.settings_incentives import IncentiveEligibility
from features.sources import tables_from_frames
from serving.bundle_files import load_policy_table, save_policy_table
from serving.policy_table import Evidence, PolicyTable
from serving.segments import POLICY_SEGMENTS
from training.contrast import Arm, Contrast
from training.effects import effects_frame, effects_of_log, estimate_effects
from training.multiplicity import interval_z
from training.offer_log import OfferLog

AS_OF = datetime(2026, 3, 2)
MONDAY = pd.Timestamp("2026-01-05")


def programme(*ids: str, **guardrails: Any) -> Programme:
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in ids or ("mail", "coupon")]
    given = {"incentives": catalogue, "guardrails": guardrails, "data": {"orders": {"path": "orders.csv"}}}
    return parse_programme({"name": "t", "currency": "EUR", **given})


def arm(
    incentive_id: str, recalls: int, size: int, *, segment: str = "low__mid", margin: float = 30.0, cost: float = 1.0,
    redeemed: int = 0, propensity: float = 0.5, week: pd.Timestamp = MONDAY,
) -> pd.DataFrame:  # fmt: skip
    """Offers of one arm, the first so many of which were followed by an order worth ``margin``."""
    ordered = (np.arange(size) < recalls).astype(float)
    spent = 0.0 if incentive_id == "control" else cost
    return pd.DataFrame(
        {
            "member_id": [f"{segment}/{week:%m%d}/{incentive_id}/{number}" for number in range(size)],
            "incentive_id": incentive_id, "policy_segment": segment, "week": week, "propensity": propensity,
            "recall": ordered, "margin": margin * ordered, "redeemed": (np.arange(size) < redeemed).astype(float),
            "cost": spent, "net": margin * ordered - spent,
        }
    )  # fmt: skip


def estimated(*arms: pd.DataFrame, evidence: Evidence = "randomised", settings: Programme | None = None) -> PolicyTable:
    offers = pd.concat(arms, ignore_index=True)
    return effects_of_log(OfferLog(offers, evidence, 0, ()), settings or programme(), AS_OF)


def sold(events: int, size: int, *, first: int) -> Arm:
    """Margin of an arm as :func:`arm` makes it."""
    return Arm(30.0 * (np.arange(size) < events)[:, None], np.ones(size), np.arange(first, first + size))


MAIL_MARGIN = Contrast(sold(60, 400, first=0), sold(30, 300, first=400))


def of(policy: PolicyTable, incentive_id: str, segment: str = "low__mid") -> Any:
    return next(one for one in policy.effects if (one.policy_segment, one.incentive_id) == (segment, incentive_id))


def test_a_small_log_gives_what_one_computes_by_hand() -> None:
    policy = estimated(arm("mail", 60, 400, redeemed=20, cost=1.5), arm("control", 30, 300))
    mail = of(policy, "mail")
    assert (mail.n_treated, mail.n_control) == (400, 300)
    assert mail.recall.value == pytest.approx(0.15 - 0.10)
    assert mail.recall.se == pytest.approx(np.sqrt(0.15 * 0.85 / 399 + 0.1 * 0.9 / 299))
    assert mail.margin.value == pytest.approx(30 * 0.05)
    assert mail.net.value == pytest.approx(30 * 0.05 - 1.5)
    assert (mail.cost_per_member, mail.cost_se, mail.redemption_rate) == pytest.approx((1.5, 0.0, 0.05))
    assert (mail.margin.low, mail.margin.high) == pytest.approx(MAIL_MARGIN.mean_interval(0, 1.959964))


def test_the_cost_has_the_standard_error_of_its_mean() -> None:
    mail = arm("mail", 60, 400)
    spent = mail.assign(cost=np.arange(400) % 7 * 1.0)
    assert of(estimated(spent, arm("control", 30, 300)), "mail").cost_se == pytest.approx(stats.sem(spent["cost"]))


def test_every_segment_and_incentive_has_an_effect_estimable_or_not() -> None:
    policy = estimated(arm("mail", 60, 400), arm("control", 30, 300))
    assert len(policy.effects) == 2 * len(POLICY_SEGMENTS)
    assert set(policy.choices) == set(POLICY_SEGMENTS)
    never = of(policy, "coupon")
    assert never.verdict == "insufficient_evidence"
    assert np.isnan(never.recall.value)
    assert never.why.startswith("0 treated and 0 control offers")


def test_an_incentive_is_no_question_where_it_may_not_be_offered() -> None:
    settings = programme("mail", "coupon")
    mail, coupon = settings.incentives
    gift = coupon.model_copy(update={"eligible": IncentiveEligibility(tiers=("high",), states=("lapsed_long",))})
    policy = estimated(
        arm("mail", 200, 2000), arm("control", 200, 2000),
        settings=settings.model_copy(update={"incentives": (mail, gift)}),
    )  # fmt: skip
    assert [one.policy_segment for one in policy.effects if one.incentive_id == "coupon"] == ["high__long"]


def test_simultaneous_intervals_reach_further_the_more_comparisons_have_enough_offers() -> None:
    for coupons, comparisons in ((199, 1), (200, 2)):
        policy = estimated(arm("mail", 60, 400), arm("control", 30, 300), arm("coupon", 9, coupons))
        margin = of(policy, "mail").margin
        assert margin.simultaneous_high == pytest.approx(MAIL_MARGIN.mean_interval(0, interval_z(comparisons, 0.95))[1])


def test_where_odds_may_have_followed_results_all_that_was_tried_counts() -> None:
    arms = arm("mail", 60, 400), arm("control", 30, 300), arm("coupon", 9, 150), arm("call", 0, 10)
    policy = estimated(*arms, evidence="propensity", settings=programme("mail", "coupon", "call", "gift"))
    margin = of(policy, "mail").margin
    assert margin.simultaneous_high == pytest.approx(MAIL_MARGIN.mean_interval(0, interval_z(3, 0.95))[1])


def test_offers_made_because_of_luck_put_no_more_error_on_an_incentive() -> None:
    # all 12 segments' first offers are few; only the luckiest incentive was sent on and has enough of them
    firsts = [arm("mail", 12, 150, segment=segment) for segment in POLICY_SEGMENTS[1:]]
    controls = [arm("control", 30, 300, segment=segment) for segment in POLICY_SEGMENTS[1:]]
    lucky, control = (
        arm(id_, recalls, 300, segment=POLICY_SEGMENTS[0]) for id_, recalls in (("mail", 43), ("control", 24))
    )
    by_lot, adaptive = (
        estimated(*firsts, *controls, lucky, control, evidence=evidence, settings=programme("mail"))
        for evidence in ("randomised", "propensity")
    )
    assert of(by_lot, "mail", POLICY_SEGMENTS[0]).recall.simultaneous_low > 0
    assert of(adaptive, "mail", POLICY_SEGMENTS[0]).recall.simultaneous_low < 0


def test_an_incentive_that_works_and_pays_is_chosen_and_of_equal_ones_the_cheapest() -> None:
    policy = estimated(arm("mail", 300, 2000, cost=0.1), arm("coupon", 300, 2000, cost=1.0), arm("control", 200, 2000))
    assert of(policy, "mail").verdict == of(policy, "coupon").verdict == "effective"
    assert policy.choices["low__mid"].incentive_id == "mail"


def test_an_incentive_that_works_but_costs_more_than_it_brings_is_not_worth_it() -> None:
    policy = estimated(arm("mail", 300, 2000, cost=9.0), arm("control", 200, 2000))
    assert of(policy, "mail").verdict == "not_worth_it"


def test_a_dearer_incentive_is_chosen_where_its_net_value_surely_beats_the_cheapest() -> None:
    arms = arm("mail", 400, 4000, cost=0.1), arm("coupon", 800, 4000, cost=1.0), arm("control", 200, 4000)
    policy = estimated(*arms)
    assert policy.choices["low__mid"].incentive_id == "coupon"
    assert "compared directly with mail" in policy.choices["low__mid"].why
    (advantage,) = policy.advantages
    assert (advantage.incentive_id, advantage.over) == ("coupon", "mail")
    assert advantage.net.value == pytest.approx(30 * 0.1 - 0.9)
    cautious = estimated(*arms, settings=programme(upgrade_margin=3.0))
    assert cautious.choices["low__mid"].incentive_id == "mail"


def test_a_choice_says_why_nothing_cheaper_and_nothing_why_nothing() -> None:
    policy = estimated(arm("mail", 200, 4000, cost=0.1), arm("coupon", 500, 4000, cost=1.0), arm("control", 200, 4000))
    assert policy.choices["low__mid"].why.startswith(
        "coupon is the cheapest that works; not mail: the effect on recall"
    )
    assert policy.choices["high__mid"].why.startswith("coupon: 0 treated and 0 control offers")


def test_what_the_step_down_test_finds_has_its_lower_bound_above_the_floor() -> None:
    policy = estimated(*(arm(id_, 253, 2000, cost=0.01) for id_ in ("mail", "coupon")), arm("control", 203, 2000))
    found = of(policy, "mail")
    assert found.verdict == "effective"
    assert 0 < found.recall.simultaneous_low < 1e-9
    assert found.recall.low > 0


def test_an_estimate_that_moves_when_adjusted_is_told() -> None:
    # treated were livelier than the logged propensities say
    rng = np.random.default_rng(8)
    lively = rng.normal(size=6000)
    treated = rng.random(6000) < 1 / (1 + np.exp(-lively))
    recall = (rng.random(6000) < np.clip(0.3 + 0.15 * lively, 0, 1)).astype(float)
    offers = arm("mail", 0, 6000).assign(
        incentive_id=np.where(treated, "mail", "control"), recall=recall, margin=recall, net=recall, lively=lively
    )
    policy = effects_of_log(OfferLog(offers, "randomised", 0, (), ("lively",)), programme(), AS_OF)
    assert any("adjusted and plain estimates differ" in warning for warning in policy.warnings)
    assert abs(of(policy, "mail").recall.value) < 0.05


def test_a_harmful_incentive_is_never_chosen() -> None:
    policy = estimated(arm("mail", 100, 2000), arm("control", 200, 2000))
    assert of(policy, "mail").verdict == "no_effect"
    assert policy.choices["low__mid"].incentive_id is None


def test_too_few_offers_are_insufficient_evidence_with_the_sample_a_test_needs() -> None:
    policy = estimated(arm("mail", 60, 150), arm("control", 10, 1000), settings=programme("mail"))
    choice = policy.choices["low__mid"]
    assert choice.reason == "insufficient_evidence"
    assert choice.needed_sample > 1000
    assert f"{choice.needed_sample:,} members per arm" in of(policy, "mail").why


def test_an_observational_log_decides_nothing_unless_the_programme_accepts_it() -> None:
    arms = arm("mail", 300, 2000, propensity=np.nan), arm("control", 200, 2000, propensity=np.nan)
    policy = estimated(*arms, evidence="observational")
    assert of(policy, "mail").verdict == "observational_only"
    assert of(policy, "mail").recall.value == pytest.approx(0.05)
    assert policy.choices["low__mid"].reason == "observational_only"
    accepted = estimated(*arms, evidence="observational", settings=programme(accept_observational=True))
    assert accepted.choices["low__mid"].incentive_id == "mail"


def test_logged_propensities_undo_confounding() -> None:
    # without them, 340 of 2000 against 160 of 2000 would look like 9 points
    lively, dull = {"propensity": 0.8}, {"propensity": 0.2}
    policy = estimated(
        arm("mail", 320, 1600, **lively), arm("control", 80, 400, **dull),
        arm("mail", 20, 400, **dull), arm("control", 80, 1600, **lively), evidence="propensity",
    )  # fmt: skip
    assert of(policy, "mail").recall.value == pytest.approx(0.0)


def test_weeks_in_which_only_one_arm_was_assigned_do_not_pass_for_an_effect() -> None:
    season = pd.Timestamp("2025-12-15")
    policy = estimated(arm("mail", 100, 1000), arm("control", 100, 1000), arm("control", 900, 1000, week=season))
    assert of(policy, "mail").recall.value == pytest.approx(0.0)
    assert of(policy, "mail").n_control == 1000


def test_other_segments_do_not_move_an_effect() -> None:
    own = arm("mail", 300, 2000), arm("control", 200, 2000)
    others = arm("mail", 10, 500, segment="high__long"), arm("control", 90, 500, segment="high__long")
    alone, among = of(estimated(*own), "mail"), of(estimated(*own, *others), "mail")
    assert alone.recall.value == among.recall.value
    assert alone.recall.low == among.recall.low
    assert alone.recall.simultaneous_low > among.recall.simultaneous_low


def test_an_empty_log_leaves_everything_unknown() -> None:
    policy = estimated(arm("mail", 0, 0), evidence="none")
    assert {effect.verdict for effect in policy.effects} == {"insufficient_evidence"}
    assert all(choice.needed_sample for choice in policy.choices.values())


def test_the_table_can_be_laid_out_and_survives_a_file(tmp_path: Any) -> None:
    policy = estimated(arm("mail", 300, 2000), arm("control", 200, 2000))
    frame = effects_frame(policy).set_index(["policy_segment", "incentive_id"])
    assert frame.loc[("low__mid", "mail"), "recall_value"] == pytest.approx(0.05)
    assert frame["chosen"].sum() == 1
    save_policy_table(policy, tmp_path / "policy.json")
    assert load_policy_table(tmp_path / "policy.json").version == policy.version


def test_without_incentives_there_are_no_effects() -> None:
    settings = programme().model_copy(update={"incentives": ()})
    policy = estimated(arm("control", 20, 200), settings=settings)
    assert policy.effects == ()
    assert effects_frame(policy).empty


def draw(rng: np.random.Generator, gains: dict[str, float], *, size: int = 600) -> pd.DataFrame:
    """A randomised log of all segments whose members order with 4 to 15 %, plus what an incentive adds."""
    cells = [
        (segment, incentive_id, 0.04 + 0.01 * number + gain)
        for number, segment in enumerate(POLICY_SEGMENTS)
        for incentive_id, gain in {"control": 0.0, **gains}.items()
    ]
    share = np.repeat([share for *_, share in cells], size)
    recall = (rng.random(len(share)) < share).astype(float)
    margin = recall * rng.gamma(2, 15, len(share))
    return pd.DataFrame(
        {
            "member_id": np.arange(len(share)), "incentive_id": np.repeat([cell[1] for cell in cells], size),
            "policy_segment": np.repeat([cell[0] for cell in cells], size), "week": MONDAY, "propensity": 0.5,
            "recall": recall, "margin": margin, "redeemed": 0.0, "cost": 0.0, "net": margin,
        }
    )  # fmt: skip


def test_where_nothing_works_nearly_every_programme_is_told_to_send_nothing() -> None:
    settings, rng = programme("mail", "coupon"), np.random.default_rng(3)
    programmes = 30
    fooled = 0
    for _ in range(programmes):
        log = OfferLog(draw(rng, {"mail": 0.0, "coupon": 0.0}), "randomised", 0, ())
        policy = effects_of_log(log, settings, AS_OF)
        fooled += any(choice.incentive_id for choice in policy.choices.values())
    assert fooled <= stats.binom.ppf(0.999, programmes, 0.05)


def test_pointwise_intervals_of_recall_and_margin_cover_the_truth_about_95_times_in_100() -> None:
    settings, rng = programme("mail"), np.random.default_rng(5)
    covered, total = np.zeros(2), 0
    for _ in range(25):
        policy = effects_of_log(OfferLog(draw(rng, {"mail": 0.03}), "randomised", 0, ()), settings, AS_OF)
        for effect in policy.effects:
            covered += [effect.recall.low <= 0.03 <= effect.recall.high, effect.margin.low <= 0.9 <= effect.margin.high]
            total += 1
    low, high = stats.binom.ppf([0.0005, 0.9995], total, 0.95) / total
    assert ((low <= covered / total) & (covered / total <= high)).all()


def test_effects_are_estimated_from_raw_tables_as_they_were_known() -> None:
    settings, rng = programme("mail"), np.random.default_rng(11)
    size = 3000
    treated = rng.random(size) < 0.5
    recalled = rng.random(size) < np.where(treated, 0.25, 0.1)
    ids = np.array([f"m{number}" for number in range(size)])
    offers = pd.DataFrame(
        {
            "offer_id": ids, "member_id": ids, "incentive_id": np.where(treated, "mail", "control"),
            "assigned_at": MONDAY, "propensity": 0.5, "policy_segment": "mid__long",
        }
    )  # fmt: skip
    orders = pd.DataFrame(
        {
            "order_id": ids[recalled], "member_id": ids[recalled], "net_amount": 40.0,
            "ordered_at": MONDAY + pd.Timedelta(days=3),
        }
    )  # fmt: skip
    tables = tables_from_frames(settings, orders=orders, offers=offers).tables
    policy = estimate_effects(tables, settings, AS_OF)
    mail = of(policy, "mail", "mid__long")
    assert mail.recall.value == pytest.approx(recalled[treated].mean() - recalled[~treated].mean(), abs=1e-3)
    assert policy.choices["mid__long"].incentive_id == "mail"
    assert (policy.evidence, policy.offers, policy.maturing, policy.as_of) == ("randomised", size, 0, AS_OF)
    early = estimate_effects(tables, settings, datetime(2026, 2, 1))
    assert (early.evidence, early.offers, early.maturing) == ("none", 0, size)


def chosen_by_people(rng: np.random.Generator, *, overlap: bool) -> OfferLog:
    """Livelier members were treated more often and would have ordered more often anyway; the effect is 5 points."""
    size = 8000
    lively = rng.normal(size=size)
    treated = rng.random(size) < (1 / (1 + np.exp(-1.2 * lively)) if overlap else (lively > 0))
    recall = (rng.random(size) < np.clip(0.2 + 0.08 * lively + 0.05 * treated, 0, 1)).astype(float)
    offers = arm("mail", 0, size).assign(
        incentive_id=np.where(treated, "mail", "control"), recall=recall, margin=30 * recall, net=30 * recall, cost=0.0,
        lively=lively, propensity=np.nan,
    )  # fmt: skip
    return OfferLog(offers, "observational", 0, (), ("lively",))


def test_estimated_propensities_take_away_most_of_what_the_covariates_tell() -> None:
    settings, rng = programme(accept_observational=True), np.random.default_rng(3)
    log = chosen_by_people(rng, overlap=True)
    by_arm = log.offers.groupby("incentive_id")["recall"].mean()
    naive = by_arm["mail"] - by_arm["control"]
    mail = of(effects_of_log(log, settings, AS_OF), "mail")
    assert naive > 0.1
    assert abs(mail.recall.value - 0.05) < 0.5 * (naive - 0.05)
    assert of(effects_of_log(log, programme(), AS_OF), "mail").verdict == "observational_only"


def test_without_overlap_there_is_nothing_to_compare_even_where_observation_is_accepted() -> None:
    log = chosen_by_people(np.random.default_rng(4), overlap=False)
    policy = effects_of_log(log, programme(accept_observational=True), AS_OF)
    mail = of(policy, "mail")
    assert mail.n_treated < 800
    assert mail.verdict == "insufficient_evidence"
