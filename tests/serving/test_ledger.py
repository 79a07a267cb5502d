"""The ledger only grows: an id is written down once, whoever sends it how often, and budgets are never exceeded."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from serving.database import Database
from serving.ledger import Budget, Entry, Ledger

URL = "sqlite:///var/winback.db"
NOW = datetime(2026, 1, 5, 12)


@pytest.fixture
def database(tmp_path):
    with closing(Database(URL, tmp_path)) as opened:
        yield opened


@pytest.fixture
def ledger(database):
    return Ledger(database, owner="a")


def order(identifier: str = "o1", member_id: str = "m1", **content) -> Entry:
    return Entry("order", identifier, member_id, {"order_id": identifier, "member_id": member_id, **content})


def offer(identifier: str, cost: float) -> Entry:
    return Entry("offer", identifier, "m1", {"offer_id": identifier}, cost)


def contents(ledger: Ledger, *arguments) -> list:
    return [content for _, content in ledger.read("order", *arguments)]


def test_what_is_sent_again_is_known_and_other_content_a_conflict(ledger):
    first, other = order(net_amount=0.1 + 0.2), order(net_amount=0.3)
    assert ledger.append([first], received_at=NOW) == ["recorded"]
    assert ledger.append([other, first, order("o2")], received_at=NOW) == ["conflict", "known", "recorded"]
    assert contents(ledger) == [dict(first.content), dict(order("o2").content)]


def test_of_one_id_twice_in_a_call_the_first_counts(ledger):
    entries = [order(net_amount=1.0), order(net_amount=1.0), order(net_amount=2.0)]
    assert ledger.append(entries, received_at=NOW) == ["recorded", "known", "conflict"]


def test_an_id_may_be_that_of_an_order_and_of_an_event(ledger):
    event = Entry("event", "o1", "m1", {"event_id": "o1"})
    assert ledger.append([order(), event], received_at=NOW) == ["recorded", "recorded"]


def test_programmes_in_one_database_have_ledgers_of_their_own(database, ledger):
    theirs = Ledger(database, owner="b")
    ledger.append([order(net_amount=1.0)], received_at=NOW)
    assert theirs.append([order(net_amount=2.0)], received_at=NOW) == ["recorded"]
    assert contents(ledger) == [dict(order(net_amount=1.0).content)]
    assert theirs.changed(["m1"], NOW + timedelta(seconds=1)) == set()


def test_those_changed_are_those_of_whom_the_service_received_something_since(ledger):
    ledger.append([order("o1", "early")], received_at=NOW - timedelta(seconds=1))
    ledger.append([order("o2", "late")], received_at=NOW)
    ledger.append([order("o3", "released")], received_at=NOW, origin="release")
    assert ledger.changed(["early", "late", "released", "stranger"], NOW) == {"late"}
    assert ledger.received(NOW) == {"late": NOW}


def test_entries_are_read_by_member_in_order_of_coming(ledger):
    ledger.append([order("o2", "m2"), order("o1", "m1"), order("o0", "m2")], received_at=NOW)
    assert [content["order_id"] for content in contents(ledger, ["m2"])] == ["o2", "o0"]
    assert list(ledger.read("order", ["m1"])) == [(NOW, dict(order("o1", "m1").content))]


def test_many_entries_are_written_in_one_go(ledger):
    many = [order(f"o{number}") for number in range(2_500)]
    assert ledger.append(many, received_at=NOW) == ["recorded"] * len(many)
    assert ledger.append(many, received_at=NOW) == ["known"] * len(many)


def test_a_budget_is_spent_once_and_what_is_sent_again_costs_nothing(ledger):
    budget = Budget(10.0, since=NOW)
    first = [offer("a", 6.0), offer("b", 5.0), offer("c", 4.0)]
    assert ledger.append(first, received_at=NOW, budget=budget) == ["recorded", "budget", "recorded"]
    again = [offer("a", 6.0), offer("b", 5.0), offer("d", 0.0)]
    assert ledger.append(again, received_at=NOW, budget=budget) == ["known", "budget", "recorded"]


def test_what_was_spent_before_a_budget_began_does_not_count(ledger):
    ledger.append([offer("a", 6.0)], received_at=NOW - timedelta(seconds=1))
    assert ledger.append([offer("b", 6.0)], received_at=NOW, budget=Budget(10.0, since=NOW)) == ["recorded"]


def test_callers_at_once_never_exceed_a_budget(database, ledger):
    def spend(number: int) -> str:
        return ledger.append([offer(f"x{number}", 3.0)], received_at=NOW, budget=Budget(10.0, since=NOW))[0]

    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(spend, range(12)))
    assert sorted(verdicts) == ["budget"] * 9 + ["recorded"] * 3


def test_of_callers_who_send_one_id_at_once_all_are_told_the_same(ledger):
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: ledger.append([order()], received_at=NOW)[0], range(8)))
    assert sorted(verdicts) == ["known"] * 7 + ["recorded"]


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from serving.database import Database
from serving.ledger import Entry, Ledger
ledger = Ledger(Database("sqlite:///var/winback.db", Path(sys.argv[1])), owner="a")
print(ledger.append([Entry("order", "o1", "m1", {"order_id": "o1"})], received_at=datetime(2026, 1, 5)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_acknowledged_outlives_a_process_killed_right_after(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert killed.stdout == "['recorded']\n", killed.stderr
    with closing(Database(URL, tmp_path)) as database:
        assert contents(Ledger(database, owner="a")) == [{"order_id": "o1"}]
