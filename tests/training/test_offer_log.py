from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.programme import Programme, parse_programme
from features.sources import tables_from_frames
from training.offer_log import OfferLog, propensity_mismatch, read_offer_log

AS_OF = datetime(2026, 3, 2)
ASSIGNED = "2026-01-05T10:00:00"


def programme(**settings: Any) -> Programme:
    catalogue = [
        {"id": "mail", "name_en": "m", "name_zh": "m", "contact_cost": 0.5},
        {"id": "coupon", "name_en": "c", "name_zh": "c", "contact_cost": 0.5, "face_value": 10},
    ]
    given = {"name": "t", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}, "incentives": catalogue}
    return parse_programme({**given, **settings})


def offer(offer_id: str, member_id: str, incentive_id: str = "mail", **changed: Any) -> dict[str, Any]:
    usual = {"assigned_at": ASSIGNED, "propensity": 0.5, "policy_segment": "low__mid", "redeemed_at": None}
    return {"offer_id": offer_id, "member_id": member_id, "incentive_id": incentive_id, **usual, **changed}


def order(order_id: str, member_id: str, ordered_at: str, net_amount: float = 20.0, **more: Any) -> dict[str, Any]:
    return {"order_id": order_id, "member_id": member_id, "ordered_at": ordered_at, "net_amount": net_amount, **more}


EARLIER = order("before", "a", "2025-06-01T12:00:00")


def read(offers: list[dict[str, Any]], orders: list[dict[str, Any]], settings: Programme | None = None) -> OfferLog:
    settings = settings or programme()
    frame = pd.DataFrame(offers)
    for column in ("assigned_at", "redeemed_at", "recorded_at"):
        if column in frame:
            frame[column] = pd.to_datetime(frame[column], format="ISO8601").astype("datetime64[us]")
    booked = pd.DataFrame([EARLIER, *orders])
    for column in ("ordered_at", "recorded_at"):
        if column in booked:
            booked[column] = pd.to_datetime(booked[column], format="ISO8601").astype("datetime64[us]")
    tables = tables_from_frames(settings, orders=booked, offers=frame).tables
    return read_offer_log(tables, settings, AS_OF)


def outcome(orders: list[dict[str, Any]], settings: Programme | None = None, **changed: Any) -> pd.Series:
    """What came of one offer to member a."""
    return read([offer("o1", "a", **changed), offer("o2", "b", "control")], orders, settings).offers.iloc[0]


def test_an_order_in_the_response_window_is_a_recall() -> None:
    for ordered_at, recalled in [
        ("2026-01-05T09:59:59", 0), ("2026-01-05T10:00:00", 1), ("2026-02-02T09:59:59", 1), ("2026-02-02T10:00:00", 0),
    ]:  # fmt: skip
        row = outcome([order("x", "a", ordered_at)])
        assert (row["recall"], row["margin"]) == (recalled, 20.0 * recalled), ordered_at


def test_orders_of_others_are_not_a_members_response() -> None:
    assert outcome([order("x", "b", "2026-01-06T10:00:00")])["recall"] == 0


def test_margin_is_the_value_booked_in_the_window_and_several_orders_are_one_recall() -> None:
    row = outcome(
        [order("x", "a", "2026-01-06T10:00:00", 30.0), order("y", "a", "2026-01-20T10:00:00", 12.5)],
        programme(value={"margin_rate": 0.4}),
    )
    assert (row["recall"], row["margin"]) == (1.0, pytest.approx(17.0))


def test_a_return_lowers_the_margin_of_the_order_it_names_and_is_no_recall() -> None:
    bought = order("x", "a", "2026-01-06T10:00:00", 30.0)
    back = order("y", "a", "2026-02-20T10:00:00", -30.0, is_return=True, return_of="x")
    row = outcome([bought, back])
    assert (row["recall"], row["margin"]) == (1.0, 0.0)
    lone = outcome([order("z", "a", "2026-01-06T10:00:00", -5.0, is_return=True)])
    assert (lone["recall"], lone["margin"]) == (0.0, -5.0)


def test_orders_that_became_known_only_later_are_not_seen() -> None:
    late = order("x", "a", "2026-01-06T10:00:00", recorded_at="2026-03-02")
    assert outcome([late])["recall"] == 0


def test_cost_is_the_contact_and_the_face_value_if_redeemed_in_the_window() -> None:
    assert outcome([], incentive_id="coupon")["cost"] == 0.5
    assert outcome([], incentive_id="coupon", redeemed_at="2026-01-10")["cost"] == 10.5
    assert outcome([], incentive_id="coupon", redeemed_at="2026-02-10")["cost"] == 0.5
    control = read([offer("o1", "a"), offer("o2", "b", "control")], []).offers.iloc[1]
    assert (control["cost"], control["net"]) == (0.0, 0.0)


def test_a_share_of_the_order_is_taken_of_its_amount_and_not_of_its_margin() -> None:
    by_share = {"id": "tenth", "name_en": "t", "name_zh": "t", "contact_cost": 0.5, "face_share": 0.1}
    settings = programme(incentives=[by_share])
    bought = order("x", "a", "2026-01-06T10:00:00", 200.0, margin_amount=50.0)
    back = order("y", "a", "2026-01-20T10:00:00", -40.0, margin_amount=-10.0, is_return=True, return_of="x")
    row = outcome([bought, back], settings, incentive_id="tenth", redeemed_at="2026-01-06")
    assert (row["margin"], row["cost"]) == (pytest.approx(40.0), pytest.approx(0.5 + 0.1 * 160.0))


def test_a_logged_cost_goes_before_the_cost_model() -> None:
    row = outcome([order("x", "a", "2026-01-06T10:00:00")], incentive_id="coupon", cost_amount=3.25)
    assert (row["cost"], row["net"]) == (3.25, 16.75)


def test_redemptions_are_added_back_only_where_orders_are_already_reduced_by_them() -> None:
    bought = [order("x", "a", "2026-01-10T10:00:00", 20.0)]
    coupon = {"incentive_id": "coupon", "redeemed_at": "2026-01-10T10:00:00"}
    assert outcome(bought, **coupon)["margin"] == 20.0
    reduced = programme(value={"redemptions_in_orders": True})
    assert outcome(bought, reduced, **coupon)["margin"] == 30.0
    assert outcome(bought, reduced, **coupon)["net"] == 19.5
    assert outcome(bought, reduced, incentive_id="coupon")["margin"] == 20.0
    at_margin = programme(value={"redemptions_in_orders": True, "margin_rate": 0.5})
    assert outcome(bought, at_margin, **coupon)["margin"] == pytest.approx(15.0)


def test_offers_whose_window_is_open_are_maturing_and_later_ones_are_not_seen() -> None:
    log = read(
        [
            offer("closed", "a", assigned_at="2026-02-02"),
            offer("open", "b", assigned_at="2026-02-02T00:00:01"),
            offer("future", "c", assigned_at="2026-03-02"),
            offer("late", "d", recorded_at="2026-03-02"),
        ],
        [],
    )
    assert log.offers["offer_id"].tolist() == ["closed"]
    assert log.maturing == 1


def test_offers_in_an_earlier_offers_window_are_counted() -> None:
    log = read(
        [
            offer("o1", "a", assigned_at="2025-12-01"),
            offer("o2", "a", assigned_at="2025-12-28T23:00:00"),
            offer("o3", "a", assigned_at="2026-01-30"),
            offer("o4", "b", "control", assigned_at="2025-12-20"),
        ],
        [],
    )
    assert [warning for warning in log.warnings if "still being measured" in warning] == [
        "1 of 4 offers were made while the member's offer before was still being measured"
    ]


def test_what_cannot_be_compared_is_left_out_and_counted() -> None:
    log = read(
        [
            offer("o1", "a"),
            offer("o2", "b", "control"),
            offer("o3", "c", "unheard_of"),
            offer("o4", "d", policy_segment="elsewhere"),
            offer("o5", "e", propensity=None),
            offer("o6", "f", "control", propensity=1.0),
        ],
        [],
    )
    assert log.offers["offer_id"].tolist() == ["o1", "o2"]
    assert set(log.warnings) == {
        "1 of 6 offers were of an incentive, or by a channel, that is not in the programme file: unheard_of (1); "
        "left out",
        "1 of 6 offers went to members in no policy segment; left out",
        "2 of 6 offers have no propensity between 0 and 1 (what was certain tells nothing); left out",
    }


@pytest.mark.parametrize(
    ("offers", "evidence"),
    [
        ([offer("o1", "a"), offer("o2", "b", "control")], "randomised"),
        ([offer("o1", "a"), offer("o2", "b", "control"), offer("o3", "c", propensity=0.2)], "propensity"),
        ([offer("o1", "a", propensity=0.2), offer("o2", "b", "control", policy_segment="low__long")], "randomised"),
        ([offer("o1", "a", propensity=None), offer("o2", "b", "control", propensity=None)], "observational"),
        ([offer("o1", "a"), offer("o2", "b", "control", propensity=None)], "observational"),
        ([offer("o1", "a", propensity=1.0), offer("o2", "b", "control", propensity=1.0)], "observational"),
        ([offer("o1", "a"), offer("o2", "b", "coupon")], "observational"),
        ([offer("o1", "a", assigned_at="2026-03-01")], "none"),
    ],
)
def test_evidence_is_what_logged_propensities_and_control_allow(offers: list[dict[str, Any]], evidence: str) -> None:
    assert read(offers, []).evidence == evidence


def test_a_programme_without_offers_has_no_evidence() -> None:
    settings = programme()
    tables = tables_from_frames(settings, orders=pd.DataFrame([EARLIER])).tables
    log = read_offer_log(tables, settings, AS_OF)
    assert (log.evidence, log.maturing, log.warnings) == ("none", 0, ())
    assert log.offers.empty


def test_the_week_of_an_offer_is_the_local_one() -> None:
    log = read([offer("o1", "a", assigned_at="2026-01-05T00:30:00")], [], programme(timezone="Asia/Shanghai"))
    assert log.offers["week"].tolist() == [pd.Timestamp("2026-01-05")]


def test_a_segment_that_was_not_logged_is_the_one_known_at_the_start_of_the_offers_week() -> None:
    often = [order(f"x{day}", "a", f"2025-{month:02}-{day:02}T12:00:00") for month, day in
             [(7, 1), (7, 21), (8, 10), (8, 30), (9, 19), (10, 9)]]  # fmt: skip
    after = [order("y", "a", "2026-01-06T12:00:00"), order("z", "b", "2026-01-02T12:00:00")]
    log = read(
        [offer("o1", "a", policy_segment=None), offer("o2", "b", "control", policy_segment=None), offer("o3", "c")],
        often + after,
    )
    segments = log.offers.set_index("offer_id")["policy_segment"]
    assert segments["o1"].endswith("__mid")
    assert "o2" not in segments, "member b had just ordered"
    assert segments["o3"] == "low__mid", "a logged segment stands"


def test_an_offer_to_a_member_nobody_knew_yet_is_in_no_segment() -> None:
    too_early = offer("o3", "a", policy_segment=None, assigned_at="2025-05-01")
    log = read([offer("o1", "stranger", policy_segment=None), offer("o2", "a"), too_early], [])
    assert log.offers["offer_id"].tolist() == ["o2"]
    assert "2 of 3 offers went to members in no policy segment; left out" in log.warnings


def frequencies(share: float, logged: float) -> list[str]:
    """Warnings about 400 offers, a share of them treated, with propensities that say otherwise."""
    treated = int(400 * share)
    names = np.r_[["mail"] * treated, ["control"] * (400 - treated)]
    offers = pd.DataFrame({"week": pd.Timestamp("2026-01-05"), "policy_segment": "low__mid", "incentive_id": names})
    return propensity_mismatch(offers.assign(propensity=np.where(names == "mail", logged, 1 - logged)))


def test_propensities_that_fit_the_frequencies_pass() -> None:
    assert frequencies(0.5, 0.5) == []
    assert frequencies(0.5, 0.55) == []


def test_propensities_grossly_at_odds_with_the_frequencies_are_told() -> None:
    (warning,) = frequencies(0.8, 0.5)
    assert "in 2 of 2 weeks x segments x incentives" in warning
    assert "week of 2026-01-05, low__mid" in warning
    assert "assigned in 80.0% of offers, where the propensities say 50.0%" in warning
