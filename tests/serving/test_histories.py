"""Each history is decided about as if it had come alone, whatever it came with."""

from dataclasses import replace

import pytest
from builders import AS_OF, history_of

from features.errors import InputError, RefusedError
from features.programme import Eligible
from features.sources import load_tables
from serving.answers import Answers
from serving.contracts import ItemError, ScoreRequest
from serving.decisions import decide_members
from serving.histories import frames_of, from_histories
from serving.known import decide_known
from serving.rows import History

JOINED = {"member_id": "joined", "member": {"joined_at": "2025-03-01T00:00:00"}}
STRANGER = {"member_id": "stranger", "events": [{"occurred_at": "2025-12-01T10:00:00", "event": "visit"}]}


def decide(shop, *histories, programme=None) -> dict:
    parsed = [History.model_validate(history) for history in histories]
    settings = programme or shop.programme
    known = from_histories(parsed, shop.programme.instant(AS_OF), settings)
    return decide_known(known, shop.bundle, shop.policy_table, settings, None)


@pytest.fixture(scope="module")
def members(shop) -> list[str]:
    """Members who are recommended an incentive."""
    as_of, tables = shop.programme.instant(AS_OF), load_tables(shop.programme, threads=1).tables
    decided = decide_members(tables, as_of, shop.bundle, shop.policy_table, shop.programme)
    return list(decided.loc[decided["recommended_incentive"].notna(), "member_id"])


def test_effects_estimated_after_as_of_do_not_decide(shop):
    later = shop.policy_table.model_copy(update={"as_of": shop.programme.instant("2026-02-01")})
    with pytest.raises(RefusedError, match=f"winback effects --as-of {AS_OF}"):
        decide(replace(shop, policy_table=later), JOINED)


def test_the_future_is_not_decided_about(shop):
    unused = dict.fromkeys(("store", "ledger", "alerts", "switch", "board", "approvals"))
    answers = Answers(shop.programme, shop.bundle, shop.policy_table, **unused)
    asked = ScoreRequest.model_validate({"histories": [JOINED], "as_of": "2199-01-01"})
    with pytest.raises(InputError, match="2199-01-01 lies in the future"):
        answers.score(asked, request_id="call")


def test_an_unsubscribe_event_withdraws_consent(shop, members):
    history = history_of(members[0], shop.frames)
    assert decide(shop, history)[members[0]].no_offer_reason is None
    history["events"].append({"occurred_at": "2025-12-01T10:00:00", "event": "unsubscribe"})
    assert decide(shop, history)[members[0]].no_offer_reason == "consent"


def test_histories_together_are_answered_as_one_by_one(shop, members):
    histories = [history_of(member, shop.frames) for member in members[:3]] + [JOINED, STRANGER]
    everybody = shop.programme.model_copy(update={"eligible": Eligible()})
    together = decide(shop, *histories, programme=everybody)
    alone = [decide(shop, history, programme=everybody) for history in histories]
    assert together == {member: outcome for outcomes in alone for member, outcome in outcomes.items()}
    assert together["joined"].state == "unknown"
    assert together["stranger"].code == "no_history"


def test_a_member_is_known_by_a_row_of_their_own_or_an_order_and_by_nothing_else(shop, members):
    told = {"member_id": "told", "member": {"language": "zh"}}
    ordered = {**history_of(members[0], shop.frames), "member": None}
    nothing = {"member_id": "nothing"}
    everybody = shop.programme.model_copy(update={"eligible": Eligible()})
    outcomes = decide(shop, told, STRANGER, ordered, nothing, programme=everybody)
    assert outcomes["told"].state == "unknown"
    assert not isinstance(outcomes[members[0]], ItemError)
    assert [outcomes[member].code for member in ("stranger", "nothing")] == ["no_history"] * 2


def test_one_bad_history_does_not_spoil_the_others(shop, members):
    good, bad = (history_of(member, shop.frames) for member in members[:2])
    bad["orders"].append({"order_id": "odd", "ordered_at": "2025-12-01T10:00:00", "net_amount": -5.0})
    outcomes = decide(shop, good, bad)
    assert outcomes[good["member_id"]] == decide(shop, good)[good["member_id"]]
    assert isinstance(outcomes[bad["member_id"]], ItemError)
    assert "net_amount" in outcomes[bad["member_id"]].message


def test_what_is_wrong_is_told_of_so_many_histories_of_a_call_and_no_more(shop, monkeypatch):
    monkeypatch.setattr("serving.histories.MOST_BAD", 2)
    orders = [{"order_id": "odd", "ordered_at": "2025-12-01T10:00:00", "net_amount": -5.0}]
    bad = [{"member_id": f"bad{number}", "orders": orders} for number in range(5)]
    outcomes = decide(shop, JOINED, *bad)
    assert "joined" in outcomes
    told = [outcome.message for name, outcome in outcomes.items() if name.startswith("bad")]
    assert sum("no rows left" in message for message in told) == 2
    assert sum("not looked at" in message for message in told) == 3


def test_two_members_may_have_orders_of_the_same_id(shop, members):
    first, second = (history_of(member, shop.frames) for member in members[:2])
    for number, order in enumerate(zip(first["orders"], second["orders"], strict=False)):
        order[0]["order_id"] = order[1]["order_id"] = f"same-{number}"
    first["order_lines"] = second["order_lines"] = []
    outcomes = decide(shop, first, second)
    assert outcomes == decide(shop, first) | decide(shop, second)
    assert not any(isinstance(outcome, ItemError) for outcome in outcomes.values())


def test_consent_comes_from_the_history(shop, members):
    history = history_of(members[0], shop.frames)
    refused = {**history, "contacts": [{"channel": "email", "consent": False}]}
    outcome = decide(shop, refused)[members[0]]
    assert (outcome.recommended_incentive, outcome.no_offer_reason) == (None, "consent")


def test_contacts_a_programme_does_not_use_are_not_ignored(shop, members):
    data = shop.programme.data.model_copy(update={"contacts": None})
    programme = shop.programme.model_copy(update={"data": data})
    outcome = decide(shop, history_of(members[0], shop.frames), programme=programme)[members[0]]
    assert outcome.code == "invalid_history"
    assert "consent_default" in outcome.message


def test_columns_nobody_gave_are_left_out_of_the_tables(shop, members):
    frames = frames_of([History.model_validate(STRANGER)])
    assert list(frames) == ["events"]
    assert list(frames["events"]) == ["member_id", "occurred_at", "event"]
