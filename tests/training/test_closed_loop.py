"""What is decided, logged and responded to teaches the true effects, whoever could not have got what."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from features.sources import tables_from_frames
from serving.advice import decide
from serving.offers import offer_of
from serving.policy_table import Choice, Effect, Estimate, PolicyTable
from training.effects import estimate_effects
from training.offer_log import OfferLog, read_offer_log

DATES = [datetime(2025, 11, 3) + timedelta(days=28 * number) for number in range(4)]
"""The first three in one quarter, so that the holdout is news at the first and at the last."""
LATER = datetime(2026, 3, 2)
MEMBERS = 3000
GIFT_EFFECT = 0.12


def programme() -> Programme:
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m"},
        {"id": "gift", "name_en": "g", "name_zh": "g", "eligible": {"min_orders": 3},
         "channels": [{"channel": "email", "contact_cost": 0.5}, {"channel": "sms", "contact_cost": 1.0}]},
    ]  # fmt: skip
    rules = {"holdout_share": 0.3, "exploration_share": 0.6, "consent_default": True, "seed": "loop"}
    given = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "training": {"threads": 1}}
    return parse_programme({**given, "incentives": catalogue, "guardrails": rules})


def mail_works() -> PolicyTable:
    sure = Estimate(value=0.1, se=0.01, low=0.08, high=0.12, simultaneous_low=0.07, simultaneous_high=0.13)
    mail = Effect(
        policy_segment="low__mid", incentive_id="mail", n_treated=900, n_control=900, recall=sure, margin=sure,
        net=sure, cost_per_member=0.1, redemption_rate=0.0, verdict="effective", why="",
    )  # fmt: skip
    return PolicyTable(
        created_at=DATES[0], programme_name="t", as_of=DATES[0], evidence="randomised", response_days=28,
        confidence=0.95, effects=(mail,), choices={"low__mid": Choice(incentive_id="mail", reason=None)},
    )  # fmt: skip


def offers_of(decisions: pd.DataFrame, date: datetime) -> pd.DataFrame:
    """Log what was assigned, as a release does."""
    assigned = decisions[decisions["assigned_by"].notna()].astype(object)
    rows = assigned.where(assigned.notna(), None).to_dict("records")
    campaign = f"{date:%m%d}"
    return pd.DataFrame(
        offer_of(
            row,
            offer_id=f"{campaign}/{row['member_id']}",
            campaign_id=campaign,
            assigned_at=date,
            control_id="control",
        )
        for row in rows
    )


def played() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decide four times about the same members, and let them respond.

    Loyal members, whom alone a gift may be sent, order far more often whatever they get, and whoever ordered lately
    does so again: so those treated before differ from those held out.
    """
    rng = np.random.default_rng(5)
    settings, policy = programme(), mail_works()
    ids = [f"m{number:04}" for number in range(MEMBERS)]
    loyal = rng.random(MEMBERS) < 0.5
    lately, assigned_before = np.zeros(MEMBERS, dtype=bool), np.zeros(MEMBERS, dtype=bool)
    logs, orders = [], []
    for date in DATES:
        members = pd.DataFrame(
            {
                "member_id": ids, "policy_segment": "low__mid", "tier": "low", "state": "lapsed_mid", "persona": None,
                "order_count": np.where(loyal, 9.0, 1.0), "value_per_year": 100.0, "value_if_active": 100.0,
                "last_assignment_days": np.where(assigned_before, 28.0, np.nan), "messages_per_week_28d": 0.0,
            }
        )  # fmt: skip
        decisions = decide(members, policy, settings, as_of=date, contacts=None)
        decisions["policy_segment"] = members["policy_segment"]
        logs.append(offers_of(decisions, date))
        gets_gift = (decisions["assigned_incentive"] == "gift").to_numpy()
        chance = 0.05 + 0.25 * loyal + 0.3 * lately + GIFT_EFFECT * gets_gift
        lately, assigned_before = rng.random(MEMBERS) < chance, decisions["assigned_by"].notna().to_numpy()
        who = np.flatnonzero(lately)
        orders.append(pd.DataFrame({"member_id": np.array(ids)[who], "ordered_at": date + timedelta(days=5)}))
    booked = pd.concat(orders, ignore_index=True)
    booked = booked.assign(order_id=[f"o{number}" for number in range(len(booked))], net_amount=20.0)
    return pd.concat(logs, ignore_index=True), booked.astype({"ordered_at": "datetime64[us]"})


@pytest.fixture(scope="module")
def loop() -> tuple[pd.DataFrame, pd.DataFrame]:
    return played()


def effects(offers: pd.DataFrame, orders: pd.DataFrame) -> dict[str, Effect]:
    settings = programme()
    tables = tables_from_frames(settings, orders=orders, offers=offers).tables
    return {
        one.incentive_id: one
        for one in estimate_effects(tables, settings, LATER).effects
        if one.policy_segment == "low__mid"
    }


def log(offers: pd.DataFrame, orders: pd.DataFrame) -> OfferLog:
    return read_offer_log(tables_from_frames(programme(), orders=orders, offers=offers).tables, programme(), LATER)


def test_the_log_of_decisions_gives_the_true_effects_back(loop) -> None:
    found = effects(*loop)
    for arm, truth in {"mail": 0.0, "gift@email": GIFT_EFFECT, "gift@sms": GIFT_EFFECT}.items():
        assert found[arm].recall.value == pytest.approx(truth, abs=3.5 * found[arm].recall.se)
        assert found[arm].recall.se < 0.025


def test_without_the_other_arms_probabilities_who_could_not_have_got_it_would_pass_for_an_effect(loop) -> None:
    offers, orders = loop
    found = effects(offers.drop(columns="probabilities"), orders)
    assert found["gift@email"].recall.low > GIFT_EFFECT + 0.02


def test_a_log_of_our_own_raises_no_warning_and_counts_as_drawn_with_known_odds(loop) -> None:
    read = log(*loop)
    assert read.warnings == ()
    assert read.evidence == "propensity"


def test_members_known_to_be_held_out_are_logged_and_left_out_of_effects(loop) -> None:
    offers, orders = loop
    certain = offers["propensity"] == 1
    assert 0.1 < certain.mean() < 0.3
    assert (offers.loc[certain, "incentive_id"] == "control").all()
    assert len(log(offers, orders).offers) == (~certain).sum()
