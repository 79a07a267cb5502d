"""Answers kept as they went out: the same question about published decisions is answered without asking anybody.

What is kept holds for one state of what answers come from: the publication, what was written since, the kill switch,
the model and the policy. All of it is dropped when that state changes: at once where a call of this process changed it,
else when the next look of :mod:`serving.reload` finds that somebody else did. The kill switch alone is looked at each
time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers import Answers
from serving.gate import Needs
from serving.metrics import Tally
from serving.routes import run

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_QUESTION_BYTES: Final = 1024
"""Longer ones, about many members, hardly come twice."""
_OVERHEAD_BYTES: Final = 1024
_ID: Final = b'{"request_id":"'
_HEADERS: Final = (b"content-type", b"application/json")

Question = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer after its request id, and what the log and the metrics are told of it."""

    rest: bytes
    members: Sequence[str]
    tally: Tally

    @property
    def size(self) -> int:
        """Bytes it takes, roughly."""
        return len(self.rest) + _OVERHEAD_BYTES


class AnswerCache:
    """Keeps answers, the most recently asked for, within a number of bytes."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Question, Kept] = OrderedDict()
        self._bytes = 0
        self._seen: object = None
        self._changes = threading.Lock()
        self.state = 0

    def renew(self, seen: object) -> None:
        """Drop everything if what answers come from has changed since the last look."""
        if seen != self._seen:
            self._seen = seen
            self.drop()

    def drop(self) -> None:
        """Drop everything; answers that are being worked out now will not be kept."""
        with self._changes:
            self.state += 1
            self._kept = OrderedDict()
            self._bytes = 0

    def find(self, question: Question) -> Kept | None:
        """Return the answer to a question, None where it is not kept."""
        kept = self._kept
        found = kept.get(question)
        if found is not None:
            kept.move_to_end(question)
        return found

    def keep(self, question: Question, answer: Kept, *, state: int) -> None:
        """Keep an answer that was worked out in a state, unless that has passed."""
        with self._changes:
            if state != self.state or question in self._kept:
                return
            self._kept[question] = answer
            self._bytes += answer.size
            while self._bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.size


class Cached:
    """Answers from the application's ``answer_cache`` where it can, and keeps what routes say may be kept.

    A route says so with ``request.state.keep``; ``members`` and ``tally`` are what the log and the metrics are told.
    Nothing is answered from memory while recommendations are paused: that is asked in the pool of ``readers``, unless
    nobody has written since it was.
    """

    def __init__(self, app: ASGIApp, *, needs: Needs, readers: ThreadPoolExecutor) -> None:
        self._app = app
        self._needs = needs
        self._readers = readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        cache: AnswerCache = scope["app"].state.answer_cache
        if self._needs.get(("POST", scope["path"])) != "score":
            await self._app(scope, receive, _dropping(cache, send))
            return
        read, body = await _read(receive)
        if body is None:
            await self._app(scope, _replayed(read, receive), send)
            return
        question, state = (scope["path"], body), cache.state
        found = cache.find(question)
        answers: Answers = scope["app"].state.answers
        if found is not None and (answers.is_unpaused_still() or not await run(self._readers, answers.is_paused)):
            await _answer(found, scope["state"], send)
            return
        parts: list[bytes] = []
        await self._app(scope, _replayed(read, receive), _collecting(parts, send))
        told, answer = scope["state"], b"".join(parts)
        head = _ID + told["request_id"].encode()
        if told.get("keep", False) and answer.startswith(head):
            cache.keep(question, Kept(answer[len(head) :], told["members"], told["tally"]), state=state)


async def _answer(kept: Kept, state: dict[str, Any], send: Send) -> None:
    body = b"".join((_ID, state["request_id"].encode(), kept.rest))
    state["members"], state["tally"] = kept.members, kept.tally
    headers = [_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive) -> tuple[list[Message], bytes | None]:
    """Read a body as far as a kept question is long; return what was received, and the body if it is whole."""
    read, body = [], b""
    while len(body) <= MAX_QUESTION_BYTES:
        read.append(message := await receive())
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return read, body if len(body) <= MAX_QUESTION_BYTES else None
    return read, None


def _replayed(read: list[Message], receive: Receive) -> Receive:
    """Let the application read what was read before, then go on."""
    ahead = iter(read)

    async def replayed() -> Message:
        return next(ahead, None) or await receive()

    return replayed


def _collecting(parts: list[bytes], send: Send) -> Send:
    async def collecting(message: Message) -> None:
        parts.append(message.get("body", b""))
        await send(message)

    return collecting


def _dropping(cache: AnswerCache, send: Send) -> Send:
    """Drop what is kept before a call that may have changed something is answered."""

    async def dropping(message: Message) -> None:
        if message["type"] == "http.response.start":
            cache.drop()
        await send(message)

    return dropping
