"""What runs inside the computing process: the service's own routes, on answers of its own, one call after the other.

:mod:`serving.computing` starts the process and calls these functions in it; what they are given and return is pickled
on the way between the two, and nothing else is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Message, Scope

from features.errors import PassingError, RefusedError, WinbackError
from features.programme import Programme
from serving.alerts import Alert
from serving.answers import Answers, answers_of
from serving.application import build_routes
from serving.bundle import ModelBundle
from serving.failures import fault
from serving.ledger_writing import watch
from serving.logs import configure_logging
from serving.metrics import Tally
from serving.policy_table import PolicyTable
from serving.reload import try_out
from serving.routes import request_id
from serving.threads import settle, step_back

T = TypeVar("T")

_JSON: Final = (b"content-type", b"application/json")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What answers come from, beside the database."""

    programme: Programme
    bundle: ModelBundle
    policy_table: PolicyTable | None


@dataclass(frozen=True)
class Call:
    """A request that was let in: its path, its whole body, and the id it goes by."""

    path: str
    body: bytes
    request_id: str


@dataclass(frozen=True)
class Reply:
    """What a call is answered, and what the log and the metrics are told of it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    members: Sequence[str]
    tally: Tally | None


class _AtOnce(Executor):
    """Does what it is given before it returns: nobody else waits in this process."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class _Inside:
    """The process's application and the loop it runs in."""

    def __init__(self) -> None:
        at_once = _AtOnce()
        self.app: FastAPI = build_routes(readers=at_once, writers=at_once, computers=at_once)
        self.app.add_exception_handler(Exception, _on_fault)
        self.app.state.answers = None
        self.loop = asyncio.new_event_loop()


_inside: _Inside


def begin() -> None:
    """Get the process ready; it ends with the one that started it, however that ends."""
    global _inside
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; whoever started us takes care of it
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    step_back()
    configure_logging()
    _inside = _Inside()


def take_over(parts: Parts) -> None:
    """Answer from these parts from now on.

    Raises
    ------
    WinbackError
        If that cannot be done; the parts before go on.
    """
    before: Answers | None = _inside.app.state.answers
    if before is None:
        answers = answers_of(parts.programme, parts.bundle, parts.policy_table)
    else:
        answers = replace(before, bundle=parts.bundle, policy_table=parts.policy_table)
    try:
        try_out(answers)
    except WinbackError:
        raise
    except Exception as error:  # not every exception survives the way to the other process
        raise RefusedError(f"{type(error).__name__}: {error}") from None
    _inside.app.state.answers = answers
    settle()


def answer(call: Call) -> Reply:
    """Answer a call as the service's routes do; raises PassingError before it has its parts."""
    _require_ready()
    state: dict[str, Any] = {"request_id": call.request_id}
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": call.path,
        "query_string": b"",
        "headers": [_JSON],
        "state": state,
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        _inside.loop.run_until_complete(_inside.app(scope, receive, send))
    except Exception:
        _log.exception("request %s failed", call.request_id)  # it was answered by _on_fault
    body = b"".join(message.get("body", b"") for message in sent)
    headers = list(sent[0]["headers"])
    return Reply(sent[0]["status"], headers, body, state.get("members", ()), state.get("tally"))


def watch_members(member_ids: Collection[str]) -> list[Alert] | None:
    """See :func:`serving.ledger_writing.watch`; raises PassingError before the process has its parts."""
    _require_ready()
    return watch(_inside.app.state.answers, member_ids)


def _require_ready() -> None:
    if _inside.app.state.answers is None:
        raise PassingError("what computes is not ready; ask again")


def _on_fault(request: Request, _: Exception) -> JSONResponse:
    return fault(request_id(request))


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(0)
