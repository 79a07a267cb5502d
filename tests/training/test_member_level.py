from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from serving.member_uplift import not_moved
from serving.policy_table import Effect, Estimate, Evidence, PolicyTable
from training.covariates import AS_FEATURES
from training.member_level import OFFER_LOG, MemberLevel, with_member_uplift
from training.offer_log import OfferLog

MEMBERS = 12_000
SEGMENTS = ("high__mid", "low__mid")


def programme(**guardrails: object) -> Programme:
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in ("mail", "gift")]
    data = {"orders": {"path": "orders.csv"}}
    given = {"name": "t", "currency": "EUR", "incentives": catalogue, "data": data, "guardrails": guardrails}
    return parse_programme({**given, "training": {"threads": 1}})


def table(*works: str, incentive_id: str = "mail") -> PolicyTable:
    some = Estimate(value=1.0, se=0.1, low=0.8, high=1.2, simultaneous_low=0.7, simultaneous_high=1.3)
    effects = [
        Effect(
            policy_segment=segment, incentive_id=incentive_id, n_treated=1000, n_control=1000, recall=some, margin=some,
            net=some, cost_per_member=1.0, redemption_rate=0.5, verdict="effective", why="",
        )
        for segment in works
    ]  # fmt: skip
    at = datetime(2026, 1, 5)
    return PolicyTable(
        created_at=at, programme_name="t", as_of=at, evidence="randomised", response_days=28, confidence=0.95,
        effects=tuple(effects),
    )  # fmt: skip


def log(evidence: Evidence = "randomised", *, moved: float = 0.2, put_off: float = 0.0, seed: int = 2) -> OfferLog:
    """Draw offers of a mail that moves members with few orders by so much, and puts off those with many."""
    rng = np.random.default_rng(seed)
    known = pd.DataFrame({name: rng.integers(0, 10, MEMBERS).astype(float) for name in AS_FEATURES})
    often, segment = known["order_count"].to_numpy() > 6, rng.choice(SEGMENTS, MEMBERS)
    arm = np.where(rng.random(MEMBERS) < 0.5, "mail", "control")
    mailed = arm == "mail"
    recall = rng.random(MEMBERS) < 0.4 + mailed * np.where(often, -put_off, moved)
    margin, cost = recall * rng.gamma(2.0, 5.0, MEMBERS), 1.0 * (mailed & recall)
    offers = known.assign(
        member_id=np.arange(MEMBERS).astype(str), incentive_id=arm, policy_segment=segment, propensity=0.5,
        week=pd.Timestamp("2025-11-03"), recall=recall.astype(float), margin=margin, cost=cost, net=margin - cost,
    )  # fmt: skip
    return OfferLog(offers, evidence, 0, (), AS_FEATURES)


@pytest.fixture(scope="module")
def woken() -> tuple[PolicyTable, MemberLevel]:
    judged, (mail,) = with_member_uplift(table("low__mid"), {OFFER_LOG: log(put_off=0.3, seed=4)}, programme())
    return judged, mail


def test_where_some_members_are_put_off_leaving_them_out_is_shown_to_pay(woken) -> None:
    _, mail = woken
    assert (mail.source, mail.incentive_id, mail.treated + mail.control) == (OFFER_LOG, "mail", MEMBERS)
    assert 0 < mail.qini_low < mail.qini < mail.qini_high
    assert 0 < mail.gain_low < mail.gain < mail.gain_high
    assert mail.gain_low < 0.3 * (0.3 * 10 + 0.1) < mail.gain_high  # the truth: three in ten lose an order's value
    assert mail.withheld_share == pytest.approx(0.3, abs=0.05)
    assert mail.used
    assert "not sent to members" in mail.says


def test_the_policy_table_then_leaves_out_those_who_are_put_off_in_segments_where_it_works(woken) -> None:
    judged, _ = woken
    rng = np.random.default_rng(5)
    members = pd.DataFrame({name: rng.integers(0, 10, 2000).astype(float) for name in AS_FEATURES})
    members["policy_segment"] = np.repeat(SEGMENTS, 1000)
    left_out = not_moved(members, judged, programme())
    assert not left_out[:1000].any()
    assert not left_out[:, 1].any()
    assert (left_out[1000:, 0] == (members["order_count"].to_numpy()[1000:] > 6)).mean() > 0.95


def test_where_all_members_are_moved_alike_the_segment_level_stands() -> None:
    alike = log(moved=0.2, put_off=-0.2)
    judged, (mail,) = with_member_uplift(table(*SEGMENTS), {OFFER_LOG: alike}, programme())
    assert (judged.member_uplift, mail.used) == ((), False)
    assert "the segment level stands" in mail.says


def test_members_who_differ_and_all_bring_money_are_all_sent_it() -> None:
    judged, (mail,) = with_member_uplift(table(*SEGMENTS), {OFFER_LOG: log(moved=0.4, put_off=-0.15)}, programme())
    assert mail.qini_low > 0
    assert (judged.member_uplift, mail.used) == ((), False)
    assert "the segment level stands" in mail.says


@pytest.mark.parametrize(("source", "settings"), [("trial.parquet", {}), (OFFER_LOG, {"member_uplift": False})])
def test_a_trial_or_a_programme_that_does_not_want_it_decides_by_segment(source, settings) -> None:
    judged, (mail,) = with_member_uplift(table("low__mid"), {source: log(put_off=0.3)}, programme(**settings))
    assert mail.gain_low > 0
    assert (judged.member_uplift, mail.used) == ((), False)
    assert "the segment level stands" in mail.says


@pytest.mark.parametrize("unfit", [log("observational"), replace(log(), covariates=())])
def test_without_odds_or_anything_known_of_members_nothing_is_said(unfit: OfferLog) -> None:
    assert with_member_uplift(table(*SEGMENTS), {OFFER_LOG: unfit}, programme())[1] == []


def test_nothing_is_said_of_what_works_in_no_segment() -> None:
    assert with_member_uplift(table(), {OFFER_LOG: log()}, programme())[1] == []


def test_nothing_is_said_where_offers_are_few() -> None:
    few = log()
    few = replace(few, offers=few.offers.head(3000))
    assert with_member_uplift(table(*SEGMENTS), {OFFER_LOG: few}, programme())[1] == []
