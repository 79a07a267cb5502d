"""Whatever is sent to be written down is written down, or refused in the one shape; it never breaks the service."""

import json
from contextlib import closing
from datetime import UTC, datetime

import httpx
import pytest
from builders import small_programme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from web import application, request

from serving.alerts import Alerts
from serving.answers import Answers
from serving.approvals import Approvals
from serving.board import Board
from serving.contracts import ErrorAnswer
from serving.database import Database
from serving.ledger import Ledger
from serving.ledger_contracts import EventsAnswer, NewOffer, OffersAnswer, OutcomesAnswer
from serving.pause import Switch
from serving.store import Store

NOW = datetime.now(UTC).isoformat()
ORDER = {"order_id": "o1", "member_id": "m1", "ordered_at": NOW, "net_amount": 80.0}
EVENT = {"event_id": "e1", "member_id": "m1", "occurred_at": NOW, "event": "visit"}
OFFER = {"offer_id": "x1", "member_id": "m1", "incentive_id": "coupon_20", "assigned_at": NOW}
OUTCOME = {"outcome_id": "r1", "offer_id": "x1", "redeemed_at": NOW}
NESTED = "[" * 20_000


@pytest.fixture(scope="module")
def answers(shop, tmp_path_factory):
    """A service before anything is published."""
    folder = tmp_path_factory.mktemp("ledger")
    with closing(Database("sqlite:///winback.db", folder)) as database:
        parts = (kind(database, owner="a") for kind in (Store, Ledger, Alerts, Switch, Board, Approvals))
        yield Answers(small_programme(folder, shop.frames), shop.bundle, shop.policy_table, *parts)


def post(answers: Answers, path: str, body: object) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return request(application(answers), "POST", path, content=content, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/events", {}, None),
        ("/v1/events", {"orders": [], "events": []}, None),
        ("/v1/events", {"orders": [{**ORDER, "net_amount": "80"}]}, "orders.0.net_amount"),
        ("/v1/events", {"orders": [{**ORDER, "net_amount": float("nan")}]}, "orders.0.net_amount"),
        ("/v1/events", json.dumps({"orders": [ORDER]}).replace("80.0", "1e999"), "orders.0.net_amount"),
        ("/v1/events", {"orders": [{**ORDER, "net_amount": -1.0}]}, "orders.0"),
        ("/v1/events", {"orders": [{**ORDER, "return_of": "o0"}]}, "orders.0"),
        ("/v1/events", {"orders": [{**ORDER, "recorded_at": NOW}]}, "orders.0.recorded_at"),
        ("/v1/events", {"orders": [{**ORDER, "ordered_at": "9999-12-31T23:59:59"}]}, "orders.0.ordered_at"),
        ("/v1/events", {"orders": [{**ORDER, "order_id": ""}]}, "orders.0.order_id"),
        ("/v1/events", {"orders": [{**ORDER, "order_id": "a\nb"}]}, "orders.0.order_id"),
        ("/v1/events", {"events": [{**EVENT, "event": "sneezed"}]}, "events.0.event"),
        ("/v1/events", {"events": [{**EVENT, "event_id": None}]}, "events.0.event_id"),
        ("/v1/events", {"events": [EVENT] * 1_001}, "events"),
        ("/v1/events", {"orders": [ORDER] * 600, "events": [EVENT] * 600}, None),
        ("/v1/offers", {"offers": []}, "offers"),
        ("/v1/offers", {"offers": [{**OFFER, "propensity": 0.0}]}, "offers.0.propensity"),
        ("/v1/offers", {"offers": [{**OFFER, "cost_amount": -1.0}]}, "offers.0.cost_amount"),
        ("/v1/outcomes", {"outcomes": [{"outcome_id": "r1", "offer_id": "x1"}]}, "outcomes.0"),
        ("/v1/outcomes", {"outcomes": [{**OUTCOME, "sql": "drop"}]}, "outcomes.0.sql"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_whole_and_names_its_field(answers, path, body, field):
    response = post(answers, path, body)
    error = ErrorAnswer.model_validate(response.json()).error
    assert (response.status_code, error.code, error.field) == (422, "invalid", field), response.text


@pytest.mark.parametrize("path", ["/v1/events", "/v1/offers", "/v1/outcomes", "/v1/recommend", "/v1/explain"])
@pytest.mark.parametrize("body", ["", "{", NESTED, '{"a":' + NESTED])
def test_what_is_no_json_is_malformed(answers, path, body):
    response = post(answers, path, body)
    assert response.status_code == (422 if body == "" else 400)
    ErrorAnswer.model_validate(response.json())


def test_before_anything_is_published_it_is_written_down_and_its_alerts_wait(answers):
    answer = EventsAnswer.model_validate(post(answers, "/v1/events", {"orders": [ORDER], "events": [EVENT]}).json())
    assert [item.status for item in (*answer.orders, *answer.events)] == ["recorded", "recorded"]
    assert (answer.alerts, answer.alerts_complete) == ([], False)


@pytest.mark.parametrize("cursor", ["-1", "x", "9223372036854775808", "1e3"])
def test_a_cursor_is_a_number_the_service_gave(answers, cursor):
    assert request(application(answers), "GET", "/v1/alerts", params={"after": cursor}).status_code == 422


IDS = st.one_of(
    st.sampled_from(["'; drop table ledger; --", "会员一", "a" * 128, "a" * 129, "\x00", "‮evil", "o1", "%s", "{}"]),
    st.text(max_size=20),
)
NUMBERS = st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.none(), st.booleans())
TIMES = st.one_of(st.sampled_from([NOW, "2026-01-05", "9999-12-31", "1e3", ""]), st.datetimes().map(datetime.isoformat))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_item_of_any_call_is_answered_in_order_or_the_call_refused(answers, data):
    def rows(**fields):
        return data.draw(st.lists(st.fixed_dictionaries(fields), max_size=3))

    orders = rows(order_id=IDS, member_id=IDS, ordered_at=TIMES, net_amount=NUMBERS)
    offers = rows(offer_id=IDS, member_id=IDS, incentive_id=IDS | st.just("coupon_20"), assigned_at=TIMES)
    outcomes = rows(outcome_id=IDS, offer_id=IDS, redeemed_at=TIMES, cost_amount=NUMBERS)
    for path, name, identifier, sent, contract in (
        ("/v1/events", "orders", "order_id", orders, EventsAnswer),
        ("/v1/offers", "offers", "offer_id", offers, OffersAnswer),
        ("/v1/outcomes", "outcomes", "outcome_id", outcomes, OutcomesAnswer),
    ):
        response = post(answers, path, {name: sent})
        assert response.status_code in (200, 422), response.text
        if response.status_code == 200:
            told = getattr(contract.model_validate(response.json()), name)
            assert [item.id for item in told] == [row[identifier] for row in sent]
        else:
            ErrorAnswer.model_validate(response.json())


@pytest.mark.parametrize("text", ["xx", "[]", "{}", '{"control": "half"}', '{"control": 1.4}', '{"control": NaN}'])
def test_chances_that_nobody_could_read_later_are_refused(text):
    with pytest.raises(ValidationError, match="no JSON object of chances"):
        NewOffer(
            offer_id="1", member_id="m", incentive_id="control", assigned_at="2026-01-01T00:00:00", probabilities=text
        )
