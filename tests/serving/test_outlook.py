from datetime import datetime

import pandas as pd
import pytest
from bundles import make_estimate

from features.programme import Programme, parse_programme
from serving.outlook import outlook, typical_values, weights
from serving.policy_table import Choice, Effect, PolicyTable

BY = [{"channel": "sms", "contact_cost": 1.0}, {"channel": "email", "contact_cost": 0.5}]


def programme() -> Programme:
    catalogue = [{"id": "gift", "name_en": "g", "name_zh": "g", "setup_cost": 100.0, "channels": BY}]
    return parse_programme(
        {"name": "t", "currency": "EUR", "data": {"orders": {"path": "o.csv"}}, "incentives": catalogue}
    )


def policy() -> PolicyTable:
    effects = tuple(
        Effect(
            policy_segment=segment, incentive_id=arm, n_treated=1000, n_control=1000, recall=make_estimate(0.05),
            margin=make_estimate(3.0, 0.4), net=make_estimate(2.0, 0.4), cost_per_member=1.0, redemption_rate=0.1,
            verdict="effective", why="",
        )
        for segment in ("high__mid", "low__mid")
        for arm in ("gift@sms", "gift@email")
    )  # fmt: skip
    when = datetime(2026, 1, 5)
    return PolicyTable(
        created_at=when, programme_name="t", as_of=when, evidence="randomised", response_days=28, confidence=0.95,
        effects=effects, choices={"high__mid": Choice(incentive_id="gift@sms", reason=None)},
    )  # fmt: skip


def sent(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["policy_segment", "arm", "members", "weight"])
    return frame.assign(cost=1.0 * frame["members"])


def test_margin_goes_by_weight_and_cost_and_recalls_by_heads() -> None:
    found = outlook(sent(("high__mid", "gift@sms", 100, 150.0)), policy(), programme())
    assert (found.members, found.recalls, found.margin) == pytest.approx((100, 5.0, 450.0))
    assert (found.cost, found.setup_cost, found.net_value) == pytest.approx((200.0, 100.0, 250.0))


def test_set_up_is_charged_once_whatever_the_channels_and_segments() -> None:
    rows = [
        ("high__mid", "gift@sms", 10, 10.0),
        ("high__mid", "gift@email", 10, 10.0),
        ("low__mid", "gift@sms", 1, 1.0),
    ]
    assert outlook(sent(*rows), policy(), programme()).setup_cost == 100.0


def test_errors_of_a_segment_add_up_and_those_of_several_are_independent() -> None:
    def reach(*rows: tuple[str, str, int, float]) -> float:
        found = outlook(sent(*rows), policy(), programme())
        return found.net_value_high - found.net_value

    one = reach(("high__mid", "gift@sms", 100, 100.0))
    assert one == pytest.approx(1.959964 * 0.4 * 100)
    assert reach(("high__mid", "gift@sms", 100, 100.0), ("high__mid", "gift@email", 100, 100.0)) == pytest.approx(
        2 * one
    )
    both = reach(("high__mid", "gift@sms", 100, 100.0), ("low__mid", "gift@sms", 100, 100.0))
    assert both == pytest.approx(2**0.5 * one)


def test_nobody_costs_and_brings_nothing() -> None:
    found = outlook(sent(), policy(), programme())
    assert (found.members, found.cost, found.net_value_low, found.net_value_high) == (0, 0, 0, 0)


def test_weights_go_by_value_and_are_one_per_member_of_a_segment() -> None:
    segments = pd.Series(["a", "a", "b"])
    values, members = pd.Series([30.0, 10.0, 0.0]), pd.Series([1.0, 3.0, 2.0])
    typical = typical_values(values, members, segments)
    assert typical == {"a": 10.0, "b": 0.0}
    assert weights(values, members, segments, typical).tolist() == [3.0, 1.0, 2.0]
    assert weights(values, members, segments, {}).tolist() == members.tolist()
