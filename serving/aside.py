"""Calls that take computing, or long to read, go to the computing process; all others are answered here."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import PassingError
from serving.computing import ComputingProcess
from serving.failures import failure
from serving.gate import Needs
from serving.inside import Call, Reply
from serving.lookup import ElsewhereError

LARGE_BYTES: Final = 64 * 1024
"""From here on reading a body alone would keep others waiting."""
_ALWAYS: Final = frozenset({"/v1/explain"})
_SENT: Final = (b'"histories"', b'"features"')
"""Names in the bodies of calls that bring what is to be computed from."""


class Aside:
    """Sends calls to the application's ``computing`` process, where it has one.

    Parameters
    ----------
    app
        Answers all others; where it finds that a call takes computing, it raises :class:`ElsewhereError`.
    needs
        The routes there are.
    """

    def __init__(self, app: ASGIApp, *, needs: Needs) -> None:
        self._app = app
        self._needs = needs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        computing: ComputingProcess | None = scope["app"].state.computing
        if computing is None or not self._brings_a_body(scope):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if not _takes_computing(scope["path"], body):
            try:
                await self._app(scope, _again(body, receive), send)
                return
            except ElsewhereError:
                pass
        call = Call(scope["path"], body, scope["state"]["request_id"])
        try:
            reply = await computing.answer(call)
        except PassingError as error:
            await failure(call.request_id, 503, str(error))(scope, receive, send)
        else:
            await _pass_on(reply, scope["state"], send)

    def _brings_a_body(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "POST" and ("POST", scope["path"]) in self._needs


def _takes_computing(path: str, body: bytes) -> bool:
    """Tell what is plain before a body is read; the rest is found out on answering."""
    return path in _ALWAYS or len(body) >= LARGE_BYTES or any(name in body for name in _SENT)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Let the application read a body that was read before."""
    ahead: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return ahead.pop() if ahead else await receive()

    return again


async def _pass_on(reply: Reply, state: dict[str, Any], send: Send) -> None:
    state |= {"members": reply.members, "tally": reply.tally}
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    await send({"type": "http.response.body", "body": reply.body})
