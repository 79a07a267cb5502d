"""New models, policies and keys are taken over while the service runs; what cannot serve is refused."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from builders import AS_OF, small_policy, subsidised
from web import application, open_to_all, request

from features.errors import RefusedError
from features.programme import Programme
from serving.answers import Answers, open_answers, open_answers_again
from serving.bundle import ModelBundle
from serving.bundle_files import save_bundle, save_policy_table
from serving.cache import AnswerCache, Kept
from serving.contracts import ScoreAnswer
from serving.database import StoreError
from serving.failures import STORE_AWAY
from serving.keys import KeyRing
from serving.metrics import Tally
from serving.policy_table import PolicyTable
from serving.reload import REFUSED_SECONDS, Reloader, Sources, try_out
from serving.resolve import policy_file


class FakeKeys:
    """A key store that answers, or fails as told."""

    def __init__(self) -> None:
        self.now: KeyRing | Exception = KeyRing({})

    def ring(self) -> KeyRing:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


class FakeLedger:
    def length(self):
        return 0


class FakeSwitch:
    def current(self):
        return None


class FakeStore:
    """A store with a publication, or away."""

    publication: Any = "first"

    def commits(self) -> None:
        return None

    def current(self) -> Any:
        if isinstance(self.publication, Exception):
            raise self.publication
        return self.publication


@dataclass
class Running:
    """A service whose reloader is asked to look when the test says so."""

    state: SimpleNamespace
    reloader: Reloader
    keys: FakeKeys
    folder: object

    @property
    def answers(self) -> Answers:
        return self.state.answers


def make_state(programme: Programme, bundle: ModelBundle, policy_table: PolicyTable | None) -> SimpleNamespace:
    """Return the state of an application that answers from these, and from nothing else that is real."""
    answers = Answers(
        programme,
        bundle,
        policy_table,
        store=FakeStore(),
        ledger=FakeLedger(),
        alerts=None,
        switch=FakeSwitch(),
        board=None,
        approvals=None,
    )
    return SimpleNamespace(answers=answers, surroundings=open_to_all(), answer_cache=AnswerCache())


@pytest.fixture
def running(shop, tmp_path) -> Running:
    programme = shop.programme.model_copy(update={"folder": tmp_path})
    folder = tmp_path / "bundle"
    save_bundle(shop.bundle, folder)
    save_policy_table(shop.policy_table, policy_file(programme))
    keys = FakeKeys()
    state = make_state(programme, shop.bundle, shop.policy_table)
    return Running(state, Reloader(state, Sources(programme, folder, keys)), keys, folder)


def metrics(running: Running) -> str:
    return running.state.surroundings.metrics.page().decode()


def test_where_nothing_changed_nothing_is_loaded(running, monkeypatch):
    before = running.answers
    monkeypatch.setattr("serving.reload.resolve_bundle", None)
    monkeypatch.setattr("serving.reload.resolve_policy_table", None)
    running.reloader.look()
    assert running.answers is before


def test_a_new_model_is_taken_over_and_what_was_picked_up_before_stays_whole(running, shop):
    before = running.answers
    better = shop.bundle.model_copy(update={"value_factor": 1.5})
    save_bundle(better, running.folder)
    running.reloader.look()
    assert running.answers.bundle.version == better.version
    assert before.bundle.version == shop.bundle.version
    assert 'winback_reloads_total{outcome="taken",what="model"} 1.0' in metrics(running)
    assert f'model_version="{better.version}"' in metrics(running)


def test_a_new_policy_is_taken_over(running, shop):
    other = small_policy(shop.programme.instant(AS_OF), incentive_id="coupon_20")
    save_policy_table(other, policy_file(running.answers.programme))
    running.reloader.look()
    assert running.answers.policy_table.version == other.version


def test_an_altered_model_is_refused_and_the_old_one_keeps_serving_until_a_whole_one_comes(running, shop):
    (running.folder / "model_churn.txt").write_text("tree\n")
    better = shop.bundle.model_copy(update={"value_factor": 1.5})
    manifest = running.folder / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    running.reloader.look()
    assert running.answers.bundle.version == shop.bundle.version
    assert "model_churn.txt" in running.answers.refused["model"]
    assert 'winback_is_current{what="model"} 0.0' in metrics(running)
    health = request(application(running.answers), "GET", "/healthz").json()
    assert health == {"status": "degraded", "refused": ["model"]}
    save_bundle(better, running.folder)
    running.reloader.look()
    assert running.answers.bundle.version == better.version
    assert running.answers.refused == {}
    assert 'winback_is_current{what="model"} 1.0' in metrics(running)


def test_a_model_that_loads_but_cannot_decide_is_refused(running, shop):
    save_bundle(shop.bundle.model_copy(update={"churn_days": 57}), running.folder)
    running.reloader.look()
    assert running.answers.bundle.version == shop.bundle.version
    assert "train again" in running.answers.refused["model"]


def test_a_policy_of_another_programme_is_refused(running, shop):
    foreign = shop.policy_table.model_copy(update={"programme_name": "other"})
    save_policy_table(foreign, policy_file(running.answers.programme))
    running.reloader.look()
    assert running.answers.policy_table.version == shop.policy_table.version
    assert "other" in running.answers.refused["policy"]


def test_keys_read_last_hold_on_while_the_store_is_away(running):
    gate = running.state.surroundings.gate
    running.reloader.look()
    held = gate.ring
    running.keys.now = StoreError("gone")
    running.reloader.look()
    assert gate.ring is held
    assert running.answers.refused == {"keys": STORE_AWAY}
    running.keys.now = KeyRing({})
    running.reloader.look()
    assert running.answers.refused == {}
    assert gate.ring is running.keys.now


@pytest.mark.parametrize("change", ["second", StoreError("gone")])
def test_answers_kept_are_dropped_when_what_they_come_from_changes_or_cannot_be_known(running, change):
    cache, question, answer = running.state.answer_cache, ("/v1/score", b"{}"), Kept(b"}", (), Tally())
    running.reloader.look()
    cache.keep(question, answer, state=cache.state)
    running.reloader.look()
    assert cache.find(question) is answer
    running.answers.store.publication = change
    running.reloader.look()
    assert cache.find(question) is None


def test_what_cannot_decide_is_found_out_by_trying(running, shop):
    with pytest.raises(RefusedError):
        unfit = shop.bundle.model_copy(update={"value_days": 1})
        parts = dict.fromkeys(("store", "ledger", "alerts", "switch", "board", "approvals"))
        try_out(Answers(shop.programme, unfit, None, **parts))


def test_a_call_in_flight_is_answered_by_what_it_began_with():
    asked, may_answer = threading.Event(), threading.Event()

    class SlowAnswers:
        """Answers once it may."""

        def __init__(self, version: str) -> None:
            self.version = version

        def score(self, question, *, request_id):
            asked.set()
            assert may_answer.wait(timeout=30)
            return ScoreAnswer(
                request_id=request_id, model_version=self.version, policy_version=None, as_of="2026-01-05",
                computed_at="2026-01-05T01:00:00+00:00", results=[],
            )  # fmt: skip

    app = application(SlowAnswers("old"))

    def score() -> str:
        return request(app, "POST", "/v1/score", json={"member_ids": ["a"]}).json()["model_version"]

    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(score)
        assert asked.wait(timeout=30)
        app.state.answers = SlowAnswers("new")
        app.state.answer_cache.drop()
        may_answer.set()
        assert in_flight.result() == "old"
    assert score() == "new"


def test_what_failed_while_the_store_was_away_is_asked_for_again_though_nobody_has_written(running, monkeypatch):
    monkeypatch.setattr(FakeStore, "commits", lambda store: (1, 1))
    running.keys.now = StoreError("locked")
    running.reloader.look()
    assert "keys" in running.answers.refused
    running.keys.now = KeyRing({})
    running.reloader.look()
    assert running.answers.refused == {}
    running.keys.now = StoreError("not asked")
    running.reloader.look()
    assert running.answers.refused == {}


def test_a_policy_learnt_from_features_that_are_not_built_any_more_is_refused(running, shop):
    uplift = (subsidised("points_x3", "visits_999d", 1.0),)
    save_policy_table(
        shop.policy_table.model_copy(update={"member_uplift": uplift}), policy_file(running.answers.programme)
    )
    running.reloader.look()
    assert running.answers.policy_table.version == shop.policy_table.version
    assert "visits_999d" in running.answers.refused["policy"]


def test_a_policy_that_is_gone_is_refused(running, shop):
    policy_file(running.answers.programme).unlink()
    running.reloader.look()
    assert running.answers.policy_table.version == shop.policy_table.version
    assert running.answers.refused == {"policy": "the policy table is gone"}


def test_what_was_refused_is_tried_again_after_a_while(running, shop, monkeypatch):
    refusals, started = [RefusedError("as of tomorrow")], time.monotonic()

    def tried(answers: Answers) -> None:
        if refusals:
            raise refusals.pop()

    other = small_policy(shop.programme.instant(AS_OF), incentive_id="coupon_20")
    reloader = Reloader(running.state, running.reloader._sources, tried)
    save_policy_table(other, policy_file(running.answers.programme))
    reloader.look()
    reloader.look()
    assert running.answers.refused == {"policy": "as of tomorrow"}
    assert 'winback_is_current{what="policy"} 0.0' in metrics(running)
    monkeypatch.setattr("serving.reload.time.monotonic", lambda: started + 2 * REFUSED_SECONDS)
    reloader.look()
    assert running.answers.policy_table.version == other.version
    assert 'winback_is_current{what="policy"} 1.0' in metrics(running)


def test_a_folder_that_was_copied_the_manifest_first_is_taken_over_once_whole(running, shop, tmp_path):
    better = shop.bundle.model_copy(update={"value_factor": 1.5})
    save_bundle(better, tmp_path / "better")
    models = sorted((tmp_path / "better").glob("model_*"))
    for old in running.folder.iterdir():
        old.unlink()
    for file in (tmp_path / "better").iterdir():
        if file not in models:
            shutil.copy(file, running.folder)
    running.reloader.look()
    assert "model" in running.answers.refused
    for file in models:
        shutil.copy(file, running.folder)
    running.reloader.look()
    assert running.answers.bundle.version == better.version


def test_a_service_that_starts_anew_goes_on_without_a_policy_it_must_refuse(published, tmp_path):
    file = policy_file(published.programme)
    kept = file.read_bytes()
    try:
        save_policy_table(small_policy(published.programme.instant("2999-01-01")), file)
        with pytest.raises(RefusedError, match="seen what came after"):
            open_answers(published.programme)
        with closing(open_answers_again(published.programme)) as answers:
            assert answers.policy_table is None
            assert "seen what came after" in answers.refused["policy"]
    finally:
        file.write_bytes(kept)
