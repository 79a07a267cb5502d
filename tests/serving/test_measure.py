import json
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import RefusedError
from features.programme import Programme, parse_programme
from features.schemas import Tables
from features.sources import tables_from_frames
from serving.measure import Measured, left_out, losers, measure
from serving.policy_table import Paused
from training.effects import estimate_effects

AS_OF = datetime(2026, 3, 2)
LONG_AGO, TEN_DAYS_AGO = "2026-01-05", "2026-02-20"


def programme(setup_cost: float = 0.0, **guardrails: Any) -> Programme:
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m"},
        {"id": "gift", "name_en": "g", "name_zh": "g", "setup_cost": setup_cost,
         "channels": [{"channel": "email", "contact_cost": 1.0}, {"channel": "sms", "contact_cost": 9.0}]},
    ]  # fmt: skip
    given = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "training": {"threads": 1}}
    return parse_programme({**given, "incentives": catalogue, "guardrails": guardrails})


def arm(
    incentive_id: str, recalls: int, size: int, *, channel: str | None = None, segment: str = "low__mid",
    cost: float | None = None, assigned_at: str = LONG_AGO, days: int = 2, campaign: str = "c1",
    chances: dict[str, float] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Offers, the first so many of which were followed by an order after so many days."""
    when = pd.Timestamp(assigned_at)
    ids = [f"{campaign}/{segment}/{incentive_id}/{channel}/{number}" for number in range(size)]
    ordered = when + pd.Timedelta(days=days)
    return pd.DataFrame(
        {
            "offer_id": ids, "member_id": ids, "incentive_id": incentive_id, "channel": channel, "cost_amount": cost,
            "assigned_at": when, "campaign_id": campaign, "policy_segment": segment,
            "propensity": None if chances is None else 0.5,
            "probabilities": None if chances is None else json.dumps(chances),
            "ordered_at": [ordered if number < recalls else pd.NaT for number in range(size)],
        }
    )  # fmt: skip


def tables(*arms: pd.DataFrame, settings: Programme | None = None) -> Tables:
    offers = pd.concat(arms, ignore_index=True)
    orders = offers[offers["ordered_at"].notna()].assign(order_id=lambda rows: rows["offer_id"], net_amount=30.0)
    return tables_from_frames(
        settings or programme(), orders=orders[["order_id", "member_id", "ordered_at", "net_amount"]],
        offers=offers.drop(columns="ordered_at"),
    ).tables  # fmt: skip


def measured(*arms: pd.DataFrame, **asked: Any) -> list[Measured]:
    return measure(tables(*arms), programme(), AS_OF, **asked)


def the(rows: list[Measured], *, days: int = 30, **names: str) -> Measured:
    wanted = {"policy_segment": None, "channel": None, "incentive": None, **names}
    (row,) = (row for row in rows if row.days == days and {name: getattr(row, name) for name in wanted} == wanted)
    return row


def test_what_the_treated_brought_is_told_beyond_what_as_many_controls_brought() -> None:
    row = the(measured(arm("mail", 60, 400, cost=1.0), arm("control", 20, 400)))
    assert (row.treated, row.control, row.maturing) == (400, 400, 0)
    assert row.recall_rate == pytest.approx(0.15)
    assert row.incremental_recall == pytest.approx(0.10)
    assert row.cost == 400
    assert row.net_value == pytest.approx(40 * 30 - 400)
    assert row.roi == pytest.approx(800 / 400)
    assert (row.roi_low, row.roi_high) == pytest.approx((row.net_value_low / 400, row.net_value_high / 400))
    assert row.cost_share == pytest.approx(400 / (60 * 30))
    assert row.incremental_recall_low < 0.10 < row.incremental_recall_high


def test_controls_count_by_how_likely_they_were_to_be_treated() -> None:
    rare, often = {"control": 0.8, "mail": 0.2}, {"control": 0.2, "mail": 0.8}
    row = the(
        measured(
            arm("mail", 20, 200, chances=rare, segment="low__mid"), arm("control", 40, 800, chances=rare),
            arm("mail", 320, 800, chances=often, campaign="c2"), arm("control", 60, 200, chances=often, campaign="c2"),
        )
    )  # fmt: skip
    assert row.incremental_recall == pytest.approx((20 - 0.25 * 40 + 320 - 4 * 60) / 1000)


def test_a_control_that_could_not_have_been_treated_is_no_comparison() -> None:
    open_, held_out = {"control": 0.5, "mail": 0.5}, {"control": 1.0, "mail": 0.0}
    with_holdout = measured(
        arm("mail", 60, 400, chances=open_), arm("control", 20, 400, chances=open_),
        arm("control", 90, 100, chances=held_out, campaign="c2"),
    )  # fmt: skip
    assert the(with_holdout).control == 400
    assert the(with_holdout).incremental_recall == pytest.approx(0.10)


def test_each_window_is_an_outcome_of_its_own_and_units_enter_when_theirs_has_closed() -> None:
    late = measured(arm("mail", 60, 400, days=20), arm("control", 0, 400))
    assert the(late, days=7).recall_rate == 0
    assert the(late, days=30).recall_rate == pytest.approx(0.15)
    fresh = measured(arm("mail", 60, 400, assigned_at=TEN_DAYS_AGO), arm("control", 0, 400, assigned_at=TEN_DAYS_AGO))
    assert (the(fresh, days=7).treated, the(fresh, days=7).maturing) == (400, 0)
    assert (the(fresh, days=30).treated, the(fresh, days=30).maturing) == (0, 400)
    assert the(fresh, days=30).verdict == "too_few"


def test_segments_channels_and_incentives_by_channel_add_up_to_the_whole() -> None:
    rows = measured(
        arm("mail", 30, 300, channel="email"), arm("gift", 60, 300, channel="email"),
        arm("gift", 45, 300, channel="sms"), arm("control", 20, 300), arm("mail", 40, 300, segment="high__mid"),
        arm("control", 10, 300, segment="high__mid"),
    )  # fmt: skip
    whole = the(rows).net_value
    for parts in (
        [the(rows, policy_segment=name) for name in ("low__mid", "high__mid")],
        [the(rows, channel=name) for name in ("email", "sms")],
        [
            the(rows, channel=channel, incentive=arm)
            for arm, channel in (("mail", "email"), ("gift@email", "email"), ("gift@sms", "sms"))
        ],
    ):
        assert sum(part.net_value for part in parts) == pytest.approx(whole)
        assert sum(part.treated for part in parts) == the(rows).treated
    assert the(rows, channel="sms").cost == pytest.approx(300 * 9.0)


def test_one_campaign_can_be_measured_and_an_unknown_one_is_refused() -> None:
    both = arm("mail", 60, 400), arm("control", 20, 400), arm("mail", 0, 400, campaign="c2")
    assert the(measured(*both, campaign="c1")).treated == 400
    with pytest.raises(RefusedError, match="no offers of campaign c9"):
        measured(*both, campaign="c9")


LOSING = arm("mail", 110, 1000, cost=20.0), arm("control", 100, 1000), arm("gift", 300, 1000, channel="email", cost=1.0)


def test_what_surely_loses_is_told_from_what_pays_and_from_what_is_open() -> None:
    rows = measured(*LOSING)
    assert the(rows, channel="email", incentive="mail").verdict == "loses"
    assert the(rows, channel="email", incentive="gift@email").verdict == "pays"
    unsure = measured(arm("mail", 40, 400, cost=1.0), arm("control", 30, 400))
    assert the(unsure).verdict == "open"
    few = the(measured(arm("mail", 199, 199, cost=1.0), arm("control", 30, 400)))
    assert few.verdict == "too_few"
    assert np.isnan(few.net_value_low)


def test_losers_are_paused_where_the_programme_says_so_and_until_the_quarter_after_next() -> None:
    paused = (Paused(policy_segment=None, incentive_id="mail"), Paused(policy_segment="low__mid", incentive_id="mail"))
    asked = tables(*LOSING)
    assert losers(asked, programme(), AS_OF) == paused
    assert losers(asked, programme(), datetime(2026, 6, 30)) == paused
    assert losers(asked, programme(), datetime(2026, 7, 1)) == ()
    assert estimate_effects(asked, programme(), AS_OF).paused == ()
    assert estimate_effects(asked, programme(pause_losers=True), AS_OF).paused == paused


def test_set_up_counts_once_per_run_of_offers_and_each_part_bears_its_share() -> None:
    sent = [
        arm("control", 20, 600, campaign=campaign, segment=segment)
        for campaign in ("c1", "c2")
        for segment in ("low__mid", "high__mid")
    ]
    sent += [
        arm("gift", 60, 300, channel="email", cost=1.0, campaign="c1", segment="low__mid"),
        arm("gift", 60, 100, channel="sms", cost=1.0, campaign="c1", segment="high__mid"),
        arm("gift", 60, 200, channel="sms", cost=1.0, campaign="c2", segment="low__mid", assigned_at="2026-01-12"),
        arm("gift", 60, 300, channel="sms", cost=1.0, campaign="c0", segment="low__mid", assigned_at="2025-06-02"),
    ]

    def extra(campaign: str | None = None, **names: str) -> float:
        with_it, without = (
            the(measure(tables(*sent, settings=settings), settings, AS_OF, campaign=campaign), **names)
            for settings in (programme(900.0), programme())
        )
        assert without.net_value - with_it.net_value == pytest.approx(with_it.cost - without.cost)
        return with_it.cost - without.cost

    assert extra(policy_segment="high__mid") == pytest.approx(150)
    assert extra(channel="email", incentive="gift@email") == pytest.approx(450)
    assert extra("c1") == pytest.approx(600)
    assert extra("c2") == pytest.approx(300)


def test_offers_still_open_bear_their_share_of_the_set_up_when_they_close() -> None:
    settings = programme(900.0)
    some = [arm("control", 20, 400), arm("gift", 60, 300, channel="email", cost=0.0),
            arm("gift", 0, 100, channel="email", cost=0.0, assigned_at=TEN_DAYS_AGO, segment="high__mid")]  # fmt: skip
    rows = measure(tables(*some, settings=settings), settings, AS_OF)
    assert the(rows, channel="email").cost == pytest.approx(675)


def test_offers_of_incentives_since_removed_are_left_out_and_named() -> None:
    sent = tables(arm("mail", 60, 400), arm("control", 20, 400), arm("retired", 60, 300))
    assert the(measure(sent, programme(), AS_OF)).treated == 400
    (said,) = left_out(sent, programme(), AS_OF)
    assert said.startswith("300 of 1100 offers are of an incentive")
    assert "retired (300)" in said


def test_a_campaign_without_control_tells_nothing_and_says_so() -> None:
    sent = tables(arm("mail", 60, 400), arm("mail", 10, 100, segment="high__mid"), arm("control", 9, 90))
    (said,) = left_out(sent, programme(), AS_OF)
    assert said.startswith("100 of 590 offers could not have been control")
    assert the(measure(sent, programme(), AS_OF), policy_segment="high__mid").verdict == "too_few"


def test_nothing_is_left_out_of_a_campaign_with_control() -> None:
    sent = tables(arm("mail", 60, 400), arm("control", 20, 400))
    assert left_out(sent, programme(), AS_OF) == []


def test_a_programme_without_incentives_has_nothing_to_measure_but_control() -> None:
    settings = programme().model_copy(update={"incentives": ()})
    rows = measure(tables(arm("control", 20, 400), settings=settings), settings, AS_OF)
    assert {row.treated for row in rows} == {0}


def test_a_share_of_value_is_not_told_where_more_was_lost_than_booked() -> None:
    sent = arm("mail", 60, 400, cost=1.0)
    orders = sent[sent["ordered_at"].notna()].assign(
        order_id=lambda rows: rows["offer_id"], net_amount=30.0, margin_amount=-2.0
    )
    offers = pd.concat([sent, arm("control", 0, 400)], ignore_index=True).drop(columns="ordered_at")
    loss = tables_from_frames(
        programme(), offers=offers,
        orders=orders[["order_id", "member_id", "ordered_at", "net_amount", "margin_amount"]],
    ).tables  # fmt: skip
    row = the(measure(loss, programme(), AS_OF))
    assert row.net_value == pytest.approx(-2.0 * 60 - 400)
    assert np.isnan(row.cost_share)
