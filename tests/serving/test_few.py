"""What is known of few members without a database is what a database says, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import ibis
import pandas as pd
import pytest
from builders import AS_OF, history_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.arrays import compiled
from features.build import unbound_plan
from features.plain import plain_tables
from features.programme import Programme
from features.schemas import EVENTS
from features.sources import tables_from_frames
from serving.by_name import Members
from serving.decisions import Candidates, candidates
from serving.few import few_candidates
from serving.histories import frames_of, given_rows
from serving.rows import History

NOW = datetime(2026, 6, 1)
NAIVE, ZULU, EAST = "", "Z", "+08:00"
PROGRAMMES = {
    "Asia/Shanghai": {"margin_rate": 0.4},
    "Europe/Berlin": {"margin_rate": None},
    "UTC": {"margin_rate": 0.12345678},
}

MOMENTS = [
    datetime(2026, 1, 4, 16),
    datetime(2026, 1, 5),
    datetime(2025, 10, 5, 23, 59, 59, 999_999),
    datetime(2025, 3, 30),
]
AMOUNTS = [0.0, 0.00005, 19.99, 1e8]
TEXTS = [None, "app", " shop ", "邮件", "", "email", "sms"]


class Drawn:
    """Values of histories of a shop, by chance; it writes its times in one way, and has a table of members or none."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.zone, self.told = self.random.choice([NAIVE, ZULU, EAST]), self.random.random() < 0.5

    def time(self) -> str:
        moment = datetime(2023, 11, 1) + timedelta(seconds=self.random.randrange(810 * 86_400))
        return self.random.choice([moment, moment, *MOMENTS]).isoformat() + self.zone

    def money(self, *, less: float = 0) -> float:
        return self.random.choice([self.random.randrange(40_000_000) / 100_000, *AMOUNTS]) - less

    def maybe(self, value: Any) -> Any:
        return value if self.random.random() < 0.7 else None

    def text(self) -> str | None:
        return self.random.choice(TEXTS)

    def rows(self, most: int, row: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        return [row(number) for number in range(self.random.randint(0, most))]

    def history(self, member_id: str) -> History:
        orders = self.rows(8, lambda n: {
            "order_id": f"{member_id}-{n}", "ordered_at": self.time(), "net_amount": self.money(),
            "discount_amount": self.maybe(self.money()), "margin_amount": self.maybe(self.money(less=50)),
            "recorded_at": self.maybe(self.time()), "channel": self.text(),
        })  # fmt: skip
        returns = self.rows(2, lambda n: {
            "order_id": f"{member_id}-r{n}", "ordered_at": self.time(), "net_amount": -self.money(), "is_return": True,
            "return_of": self.maybe(self.random.choice([f"{member_id}-0", f"{member_id}-3", "another member's"])),
            "margin_amount": self.maybe(-self.money()),
        })  # fmt: skip
        lines = self.rows(9 if orders else 0, lambda n: {
            "order_id": self.random.choice(orders)["order_id"], "product_id": f"p{n % 4}", "category": self.text(),
            "quantity": self.maybe(self.money(less=5)), "net_amount": self.maybe(self.money()),
        })  # fmt: skip
        events = self.rows(40, lambda n: {
            "event_id": f"{member_id}-{n}", "occurred_at": self.time(), "event": self.random.choice(sorted(EVENTS)),
            "channel": self.text(), "amount": self.maybe(self.money(less=20)), "recorded_at": self.maybe(self.time()),
        })  # fmt: skip
        offers = self.rows(3, lambda n: {
            "offer_id": f"{member_id}-{n}", "assigned_at": self.time(), "redeemed_at": self.maybe(self.time()),
            "incentive_id": self.random.choice(["control", "points_x3", "other"]),
        })  # fmt: skip
        contacts = self.rows(3, lambda n: {
            "channel": f"c{n}", "consent": self.random.random() < 0.5, "updated_at": self.maybe(self.time()),
        })  # fmt: skip
        member = {"joined_at": self.maybe(self.time()), "recorded_at": self.maybe(self.time())} if self.told else None
        return History.model_validate({
            "member_id": member_id, "member": member, "orders": orders + returns, "order_lines": lines,
            "events": events, "offers": offers, "contacts": contacts,
        })  # fmt: skip


def plainly(history: History, programme: Programme) -> Any:
    return plain_tables(given_rows(history), programme, NOW)


def assert_same(ours: Candidates, theirs: Candidates) -> None:
    pd.testing.assert_frame_equal(ours.features, theirs.features, check_exact=True, check_column_type=False)
    assert ours.not_eligible == theirs.not_eligible
    for told, expected in ((ours.contacts, theirs.contacts), (ours.unsubscribed, theirs.unsubscribed)):
        pd.testing.assert_frame_equal(in_order(told), in_order(expected), check_dtype=False)


def in_order(rows: Members) -> pd.DataFrame:
    frame = pd.DataFrame(dict(rows))
    return frame.sort_values(list(frame.columns), ignore_index=True)


@pytest.mark.parametrize("timezone", PROGRAMMES)
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_what_is_known_without_a_database_is_what_the_database_says(shop, timezone, seed):
    drawn = Drawn(seed)
    value = shop.programme.value.model_copy(update=PROGRAMMES[timezone])
    programme = shop.programme.model_copy(update={"timezone": timezone, "value": value})
    histories = [drawn.history(f"m{number:02}") for number in range(60)]
    plain = [(history, tables) for history in histories if (tables := plainly(history, programme)) is not None]
    assert len(plain) > len(histories) / 2
    as_of = programme.instant(AS_OF)
    loaded = tables_from_frames(programme, **frames_of([history for history, _ in plain]))
    assert [finding for finding in loaded.findings if finding.set_aside] == []
    ours = few_candidates([tables for _, tables in plain], as_of, programme)
    assert_same(ours, candidates(loaded.tables, as_of, programme))


def changed(shop, **columns: Any) -> History:
    """A member's history with other values in the last order."""
    told = history_of("m001", shop.frames)
    told["orders"][-1] |= columns
    return History.model_validate(told)


@pytest.mark.parametrize(
    "columns",
    [
        {"net_amount": -5.0},
        {"net_amount": 5.0, "is_return": True},
        {"discount_amount": -1.0},
        {"net_amount": 1e12},
        {"return_of": "1", "net_amount": 5.0},
        {"ordered_at": "2199-01-01T00:00:00"},
        {"ordered_at": "2025-01-01T00:00:00+08:00"},
    ],
)
def test_rows_that_may_break_a_rule_are_left_to_the_rules(shop, columns):
    assert plainly(changed(shop), shop.programme) is not None
    assert plainly(changed(shop, **columns), shop.programme) is None


def test_rows_of_the_same_id_are_left_to_the_rules(shop):
    told = history_of("m001", shop.frames)
    told["orders"].append(told["orders"][0])
    assert plainly(History.model_validate(told), shop.programme) is None


def test_a_time_that_a_changing_clock_shows_twice_is_left_to_the_rules(shop):
    programme = shop.programme.model_copy(update={"timezone": "Europe/Berlin"})
    assert plainly(changed(shop, ordered_at="2025-10-26T03:30:00"), programme) is not None
    assert plainly(changed(shop, ordered_at="2025-10-26T02:30:00"), programme) is None


def test_an_operation_that_is_not_known_is_refused_as_the_plan_is_made():
    table = ibis.table({"member_id": "string", "amount": "float64"}, name="raw_orders")
    with pytest.raises(NotImplementedError, match="Log10"):
        compiled(table.select(logarithm=table.amount.log10()))


def test_a_plan_computes_nothing_twice(shop):
    steps = [(function, arguments) for _, function, arguments in compiled(unbound_plan(shop.programme)).steps]
    assert len(set(steps)) == len(steps)
