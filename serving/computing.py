"""The computing process: what takes longer than looking up is computed aside, so that look-ups never wait for it.

Python runs one thread of a process at a time, and a member's features and decision take a hundred times as long as an
answer from memory. So the service has one process more, which computes; the first one asks it, and looks up. It is
given the model and the policy of the first, and calls come to it in order: each is answered by one pair of versions.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import Any, Final, TypeVar

from features.errors import PassingError, RefusedError
from serving import inside
from serving.alerts import Alert
from serving.inside import Call, Parts, Reply

T = TypeVar("T")

TRIES: Final = 2
TAKE_OVER_SECONDS: Final = 120.0
ALERTS_WITHIN_SECONDS: Final = 10.0
"""How long an acknowledgement waits for the alerts it may raise; those that come later are kept all the same."""

_log = logging.getLogger(__name__)


class ComputingProcess:
    """Starts the process, asks it, and starts another when it is lost.

    Parameters
    ----------
    parts
        What it answers from, until others are given.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._one_starts = threading.Lock()
        self._start()

    def take_over(self, parts: Parts) -> None:
        """Let it answer from other parts; returns when it does.

        What is wrong with them, be it that the trees crash or never end, is met there and not here.

        Raises
        ------
        WinbackError
            If it cannot; it, or the one in its place, goes on with those it had.
        """
        try:
            self._submit(inside.take_over, parts).result(TAKE_OVER_SECONDS)
        except BrokenProcessPool:
            raise RefusedError("what computes was lost over it") from None
        except TimeoutError:
            self._kill()
            raise RefusedError(f"it does not decide within {TAKE_OVER_SECONDS:.0f} seconds") from None
        self._parts = parts

    async def answer(self, call: Call) -> Reply:
        """Return its answer to a call.

        Raises
        ------
        PassingError
            If it was lost over the call, and another one, too; or cannot be got ready.
        """
        return await self._ask(inside.answer, call)

    async def watch(self, member_ids: Collection[str]) -> list[Alert] | None:
        """Let it do as :func:`serving.ledger_writing.watch`; None, too, where it does not get to it soon."""
        try:
            async with asyncio.timeout(ALERTS_WITHIN_SECONDS):
                return await self._ask(inside.watch_members, list(member_ids))
        except (TimeoutError, PassingError) as error:
            _log.warning("alerts wait: %s", error or "others are computed before")
            return None

    def close(self) -> None:
        """Let it finish what it is at, and end it."""
        self._pool.shutdown(cancel_futures=True)

    async def _ask(self, function: Callable[..., T], *arguments: Any) -> T:
        for _ in range(TRIES):
            try:
                return await asyncio.wrap_future(self._submit(function, *arguments))
            except BrokenProcessPool:
                _log.warning("the computing process was lost; another is started")
        raise PassingError("what computes was lost while it worked on this; ask again")

    def _submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Ask the process there is, else a new one."""
        with self._one_starts:
            try:
                self._get_ready()
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:
                self._start()
                return self._pool.submit(function, *arguments)

    def _start(self) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), inside.begin)
        self._ready = self._pool.submit(inside.take_over, self._parts)

    def _get_ready(self) -> None:
        """Give it its parts once more where it could not take them: what it lacked may be there by now."""
        if self._ready.done() and self._ready.exception() is not None:
            self._ready = self._pool.submit(inside.take_over, self._parts)

    @staticmethod
    def _kill() -> None:
        for process in active_children():  # it is the only one
            process.kill()
