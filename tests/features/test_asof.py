"""Nothing that happens or becomes known at or after as_of moves a feature."""

from typing import Any

import pandas as pd
from histories import AS_OF, Frames, everything, features
from hypothesis import given, settings
from hypothesis import strategies as st

from features.schemas import EVENTS

VISIBLE = everything()
EXPECTED = features(**VISIBLE)

MEMBERS = st.sampled_from(["a", "b", "c", "d"])
BEFORE = st.datetimes(pd.Timestamp("2024-01-01").to_pydatetime(), pd.Timestamp("2025-12-31 23:59:59").to_pydatetime())
LATER = st.datetimes(pd.Timestamp(AS_OF).to_pydatetime(), pd.Timestamp("2026-06-01").to_pydatetime())
UNSEEN_TIMES = st.one_of(st.tuples(LATER, LATER), st.tuples(BEFORE, LATER), st.just((pd.Timestamp(AS_OF),) * 2))
AMOUNTS = st.integers(1, 10_000).map(float)


def unseen(times: str, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.tuples(UNSEEN_TIMES, st.fixed_dictionaries({"member_id": MEMBERS, **columns}))
    return st.lists(row.map(lambda drawn: {times: drawn[0][0], "recorded_at": drawn[0][1], **drawn[1]}), max_size=5)


def added(frame: pd.DataFrame, rows: list[dict[str, Any]], **ids: str) -> pd.DataFrame:
    for name, prefix in ids.items():
        rows = [{name: f"{prefix}{number}", **row} for number, row in enumerate(rows)]
    return pd.concat([frame, pd.DataFrame(rows, columns=frame.columns)]) if rows else frame


def with_lines(frames: Frames, orders: list[dict[str, Any]]) -> pd.DataFrame:
    rows = [
        {"order_id": f"new{n}", "product_id": "new", "category": "new", "quantity": 1, "net_amount": row["net_amount"]}
        for n, row in enumerate(orders)
    ]
    return added(frames["order_lines"], rows)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    orders=unseen("ordered_at", net_amount=AMOUNTS, discount_amount=AMOUNTS, is_return=st.just(False)),
    returns=unseen(
        "ordered_at",
        net_amount=AMOUNTS.map(float.__neg__),
        is_return=st.just(True),
        return_of=MEMBERS.map("{}-1".format),
    ),
    events=unseen("occurred_at", event=st.sampled_from(sorted(EVENTS)), amount=AMOUNTS),
    offers=unseen("assigned_at", incentive_id=st.sampled_from(["coupon", "control"])),
    redeemed_at=LATER,
    joined=UNSEEN_TIMES,
)
def test_rows_at_or_after_as_of_or_recorded_then_move_no_feature(orders, returns, events, offers, redeemed_at, joined):
    frames = everything()
    late_member = [{"member_id": "late", "joined_at": joined[0], "recorded_at": joined[1]}]
    known_offers = frames["offers"].assign(
        redeemed_at=frames["offers"]["redeemed_at"].fillna(pd.Timestamp(redeemed_at))
    )
    mutated = {
        "orders": added(added(frames["orders"], orders, order_id="new"), returns, order_id="back"),
        "order_lines": with_lines(frames, orders),
        "events": added(frames["events"], events, event_id="new"),
        "offers": added(known_offers, offers, offer_id="new"),
        "members": added(frames["members"], late_member),
    }
    pd.testing.assert_frame_equal(features(**mutated), EXPECTED)


def test_the_same_rows_a_moment_earlier_do_move_features():
    frames = everything()
    order = {"member_id": "a", "ordered_at": pd.Timestamp("2025-12-31 23:59:59"), "net_amount": 5.0, "order_id": "new"}
    order |= {"is_return": False, "discount_amount": 0.0, "recorded_at": order["ordered_at"]}
    got = features(**{**frames, "orders": added(frames["orders"], [order])})
    assert got.loc["a", "order_count"] == EXPECTED.loc["a", "order_count"] + 1
    pd.testing.assert_frame_equal(got.drop(index="a"), EXPECTED.drop(index="a"))
