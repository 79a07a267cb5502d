"""Takes over new models, policies and keys while the service runs; what cannot serve is refused, the old keeps serving.

Answers are one frozen object that a request picks up once. A new one is made beside it, tried out, and put in its place
by one assignment: no request waits, and none sees parts of both.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from starlette.datastructures import State

from features.errors import PassingError, RefusedError
from features.programme import Programme
from serving.answers import Answers
from serving.cache import AnswerCache
from serving.contracts import ItemError
from serving.database import Commits, StoreError
from serving.envelope import Surroundings
from serving.failures import STORE_AWAY
from serving.histories import from_histories
from serving.keys import KeyStore
from serving.known import decide_known
from serving.mlflow_home import on_a_server
from serving.policy_table import PolicyTable
from serving.resolve import Stamp, bundle_stamp, policy_stamp, resolve_bundle, resolve_policy_table
from serving.rows import History
from serving.why import policy_segments

What = Literal["model", "policy", "keys", "store"]

WATCH_SECONDS: Final = 1.0
SERVER_SECONDS: Final = 15.0
"""How often an MLflow server is asked which model is champion."""

REFUSED_SECONDS: Final = 60.0
"""After so long, what was refused is tried again: a policy as of tomorrow will do tomorrow."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """Where the service's parts come from."""

    programme: Programme
    bundle_folder: Path | None
    keys: KeyStore | None


def try_out(answers: Answers) -> None:
    """Decide about a made-up member, as the first request would, which also gets everything ready for it.

    Raises
    ------
    Exception
        If that cannot be done.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    order = {"order_id": "1", "ordered_at": (now - timedelta(days=1)).isoformat(), "net_amount": 1.0}
    history = History.model_validate({"member_id": "nobody", "orders": [order]})
    known = from_histories([history], now, answers.programme)
    decided = decide_known(known, answers.bundle, answers.policy_table, answers.programme, None)
    if isinstance(outcome := decided[history.member_id], ItemError):
        raise RefusedError(f"a member made up to try it out is not decided about: {outcome.message}")
    policy_segments(answers.policy_table, paused=False)


class Reloader:
    """Looks every second whether there is something new to serve; for models a server has, less often.

    Parameters
    ----------
    state
        The application's: its ``answers``, ``surroundings`` and ``answer_cache`` are renewed.
    sources
        Where to look.
    tried
        Raises an exception where answers cannot be given.
    """

    def __init__(self, state: State, sources: Sources, tried: Callable[[Answers], None] = try_out) -> None:
        self._state = state
        self._sources = sources
        self._tried = tried
        self._seen: dict[What, Stamp | None] = {
            "model": self._bundle_stamp(),
            "policy": policy_stamp(sources.programme),
        }
        self._again: dict[What, float] = {}
        self._commits: Commits | None = None
        for what in state.answers.refused:
            self._try_again(what)
        self._ended = threading.Event()
        self._one_changes_answers = threading.RLock()
        models_seconds = SERVER_SECONDS if on_a_server(sources.programme) else WATCH_SECONDS
        self._threads = [
            threading.Thread(target=self._watch, args=watch, name=f"reload-{number}", daemon=True)
            for number, watch in enumerate(((self.look_here, WATCH_SECONDS), (self.look_for_models, models_seconds)))
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Look no more; returns when the last looks have ended."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def look(self) -> None:
        """Take over what is new."""
        self.look_for_models()
        self.look_here()

    def look_for_models(self) -> None:
        """Take over a new model; where a server has the models, this waits for it."""
        programme, folder = self._sources.programme, self._sources.bundle_folder
        self._renew("model", self._bundle_stamp, lambda: resolve_bundle(programme, folder), "bundle")

    def look_here(self) -> None:
        """Take over a new policy table, new keys and a new publication."""
        programme, keys = self._sources.programme, self._sources.keys
        self._renew("policy", lambda: policy_stamp(programme), self._policy_table, "policy_table")
        commits = self._commits_now()
        if commits is None or commits != self._commits:
            if keys is not None:
                self._renew_keys(keys)
            self._renew_cache()
            answers: Answers = self._state.answers
            self._commits = None if {"keys", "store"} & answers.refused.keys() else commits

    def _commits_now(self) -> Commits | None:
        """Return what changes with what is in the store, where that can be told without asking for all of it."""
        answers: Answers = self._state.answers
        try:
            return answers.store.commits()
        except StoreError:
            return None

    def _policy_table(self) -> PolicyTable | None:
        table, answers = resolve_policy_table(self._sources.programme), self._state.answers
        if table is None and answers.policy_table is not None:
            raise RefusedError("the policy table is gone")
        return table

    def _watch(self, look: Callable[[], None], seconds: float) -> None:
        while not self._ended.wait(seconds):
            look()

    def _renew(self, what: What, stamp: Callable[[], Stamp], load: Callable[[], Any], field: str) -> None:
        """Load a part that may have changed, try it out, and let it answer."""
        try:
            now = stamp()
            if now == self._seen[what] and time.monotonic() < self._again.get(what, math.inf):
                return
            self._again.pop(what, None)
            self._seen[what] = now
            self._take_over(what, field, load())
        except Exception as error:  # whatever is wrong with it, the old one keeps serving
            self._refuse(what, error)
            self._try_again(what, 0 if isinstance(error, PassingError) else REFUSED_SECONDS)

    def _try_again(self, what: What, seconds: float = REFUSED_SECONDS) -> None:
        """Try what was refused again after a while."""
        self._again[what] = time.monotonic() + seconds
        surroundings: Surroundings = self._state.surroundings
        surroundings.metrics.holds(what, current=False)

    def _take_over(self, what: What, field: str, new: Any) -> None:
        with self._one_changes_answers:
            before: Answers = self._state.answers
            if _version(new) != _version(getattr(before, field)):
                answers = replace(before, **{field: new})
                self._tried(answers)
                self._state.answers = answers
                self._state.answer_cache.drop()
                self._tell(what, answers)
            self._accept(what)

    def _tell(self, what: What, answers: Answers) -> None:
        surroundings: Surroundings = self._state.surroundings
        surroundings.metrics.reloaded(what, taken=True)
        surroundings.metrics.serves(answers)
        _log.info("serves model %s and policy %s from now on", answers.bundle.version, _version(answers.policy_table))

    def _renew_keys(self, keys: KeyStore) -> None:
        surroundings: Surroundings = self._state.surroundings
        try:
            surroundings.gate.ring = keys.ring()
            self._accept("keys")
        except Exception as error:  # those read last hold on while the store is away
            self._refuse("keys", error)

    def _renew_cache(self) -> None:
        answers: Answers = self._state.answers
        cache: AnswerCache = self._state.answer_cache
        try:
            cache.renew(answers.source())
            self._accept("store")
        except StoreError as error:  # what has changed meanwhile, a pause above all, cannot be known
            cache.drop()
            self._refuse("store", error)

    def _accept(self, what: What) -> None:
        surroundings: Surroundings = self._state.surroundings
        surroundings.metrics.holds(what, current=True)
        with self._one_changes_answers:
            answers: Answers = self._state.answers
            if what in answers.refused:
                left = {name: why for name, why in answers.refused.items() if name != what}
                self._state.answers = replace(answers, refused=left)

    def _refuse(self, what: What, error: Exception) -> None:
        with self._one_changes_answers:
            answers: Answers = self._state.answers
            why = STORE_AWAY if isinstance(error, StoreError) else str(error)
            if answers.refused.get(what) == why:
                return
            self._state.answers = replace(answers, refused={**answers.refused, what: why})
        _log.warning("refused new %s, what was there keeps serving: %s", what, error)
        surroundings: Surroundings = self._state.surroundings
        surroundings.metrics.reloaded(what, taken=False)

    def _bundle_stamp(self) -> Stamp:
        return bundle_stamp(self._sources.programme, self._sources.bundle_folder)


def _version(part: Any) -> str | None:
    return None if part is None else str(part.version)
