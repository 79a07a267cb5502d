"""Requests are taken as they are meant or refused with the field named."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from serving.contracts import MAX_ITEMS, ScoreRequest

ORDER = {"order_id": "o1", "ordered_at": "2026-01-02T10:00:00", "net_amount": 12.5}


def history(**changed):
    return {"member_id": "m1", "orders": [ORDER], **changed}


def order(**changed):
    return {"histories": [history(orders=[{**ORDER, **changed}])]}


def event(what):
    return {"histories": [history(events=[{"occurred_at": "2026-01-02", "event": what}])]}


def test_times_may_be_naive_or_aware():
    aware = ScoreRequest.model_validate(order(ordered_at="2026-01-02T10:00:00Z")).histories[0].orders[0]
    naive = ScoreRequest.model_validate(order()).histories[0].orders[0]
    assert aware.ordered_at == datetime(2026, 1, 2, 10, tzinfo=UTC)
    assert ScoreRequest.model_validate(order(ordered_at=aware.ordered_at)).histories[0].orders[0] == aware
    assert naive.ordered_at == datetime(2026, 1, 2, 10)


def test_an_amount_may_be_a_whole_number():
    assert ScoreRequest.model_validate(order(net_amount=12)).histories[0].orders[0].net_amount == 12.0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"member_ids": ["a"], "histories": [history()]}, ""),
        ({"member_ids": []}, "member_ids"),
        ({"member_ids": ["a"] * (MAX_ITEMS + 1)}, "member_ids"),
        ({"member_ids": [1]}, "member_ids.0"),
        ({"member_ids": [""]}, "member_ids.0"),
        ({"member_ids": ["x" * 129]}, "member_ids.0"),
        ({"member_ids": ["a\x00b"]}, "member_ids.0"),
        ({"member_ids": ["\ud800"]}, "member_ids.0"),
        ({"histories": [history(), history(member_id="m1 ")]}, "histories.1.member_id"),
        (order(order_id=" o1"), "histories.0.orders.0.order_id"),
        ({"member_ids": ["a"], "as_of": "2026-01-05"}, ""),
        ({"members": ["a"]}, "members"),
        ({"histories": [history()], "as_of": "soon"}, "as_of"),
        ({"histories": [history()], "as_of": "9999-12-31"}, "as_of"),
        ({"histories": [history(mood="good")]}, "histories.0.mood"),
        ({"histories": [history(orders=None)]}, "histories.0.orders"),
        ({"histories": [history(order_lines=[{"order_id": "o9", "product_id": "p"}])]}, "histories.0"),
        (event("danced"), "histories.0.events.0.event"),
        (order(net_amount="12.5"), "histories.0.orders.0.net_amount"),
        (order(net_amount=float("nan")), "histories.0.orders.0.net_amount"),
        (order(net_amount=float("inf")), "histories.0.orders.0.net_amount"),
        (order(net_amount=True), "histories.0.orders.0.net_amount"),
        (order(ordered_at=1767348000), "histories.0.orders.0.ordered_at"),
        (order(ordered_at="1767348000"), "histories.0.orders.0.ordered_at"),
        (order(ordered_at="9999-12-31T23:00:00-10:00"), "histories.0.orders.0.ordered_at"),
        (order(is_return="yes"), "histories.0.orders.0.is_return"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused_and_names_its_field(body, field):
    with pytest.raises(ValidationError) as refused:
        ScoreRequest.model_validate(body)
    assert ".".join(str(part) for part in refused.value.errors()[0]["loc"]) == field


def test_the_json_schema_lists_the_event_vocabulary():
    assert '"add_to_cart"' in json.dumps(ScoreRequest.model_json_schema())
