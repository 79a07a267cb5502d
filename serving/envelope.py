"""What surrounds every request: its id, who is let in, limits of its body, its line in the log, and our faults."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi.responses import JSONResponse
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers import Answers
from serving.database import StoreError
from serving.failures import BODY_SECONDS, LONGEST_CALL_SECONDS, MAX_BODY_BYTES, failure, fault
from serving.gate import DeniedError, Gate, Needs
from serving.keys import KeyRing, KeyStore
from serving.logs import RequestLog, open_request_log
from serving.metrics import Metrics
from serving.resolve import policy_file

_log = logging.getLogger(__name__)

METHODS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""Those that the log tells; others could be of any length."""
_CLOSE: Final = {"Connection": "close"}
"""What is left of the body is not waited for."""
_PAGES, _FORM, _JSON = "/console/", "application/x-www-form-urlencoded", "application/json"
_CALLERS_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@dataclass
class Surroundings:
    """What every request passes: who is let in, what is counted, what is logged."""

    gate: Gate
    metrics: Metrics
    log: RequestLog


def closed() -> Surroundings:
    """Return surroundings that let nobody in: what holds until the service has read its keys."""
    return Surroundings(Gate(KeyRing({}), requests_per_minute=1), Metrics(), RequestLog(b""))


def surround(state: State, keys: KeyStore | None) -> Surroundings:
    """Return what surrounds the answers in an application's state; without keys nobody is asked for one."""
    answers: Answers = state.answers
    programme = answers.programme
    metrics = Metrics()
    metrics.serves(answers)
    metrics.ages("model", lambda: state.answers.bundle.trained_until)
    metrics.ages("publication", lambda: _published_at(state.answers))
    ring = keys.ring() if keys else None
    return Surroundings(
        Gate(ring, requests_per_minute=programme.service.requests_per_minute),
        metrics,
        open_request_log(policy_file(programme).with_name("log.secret")),
    )


def _published_at(answers: Answers) -> datetime | None:
    try:
        publication = answers.store.current()
    except StoreError:
        return None
    return publication.published_at if publication else None


class Envelope:
    """Gives every request an id, lets in who may, refuses bodies out of bounds, and keeps our faults to ourselves.

    It works with the :class:`Surroundings` that the application's state holds as ``surroundings``.
    """

    def __init__(self, app: ASGIApp, *, needs: Needs) -> None:
        self._app = app
        self._needs = needs
        self._paths = {path for _, path in needs}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if _CALLERS_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        around: Surroundings = scope["app"].state.surroundings
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            refusal = self._refuse(around.gate, scope, headers, request_id)
            if refusal:
                await refusal(scope, receive, send_with_id)
            else:
                async with asyncio.timeout(LONGEST_CALL_SECONDS) as limit:
                    await self._app(scope, _bounded(receive), _in_time(limit, send_with_id))
        except Exception as error:
            if status:
                raise
            await _fault(request_id, error)(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            path = scope["path"] if scope["path"] in self._paths else "other"
            around.metrics.answered(path, status, seconds)
            if tally := state.get("tally"):
                around.metrics.count(tally)
            method = scope["method"] if scope["method"] in METHODS else "other"
            around.log.write(state, method=method, path=path, status=status, seconds=seconds)

    def _refuse(self, gate: Gate, scope: Scope, headers: Mapping[bytes, str], request_id: str) -> JSONResponse | None:
        method = scope["method"]
        needed = self._needs.get((method, scope["path"]))
        if needed is not None:
            try:
                key = gate.admit(headers.get(b"authorization", ""), needed)
            except DeniedError as denied:
                scope["state"]["key"] = denied.key_name
                return failure(request_id, denied.status, str(denied), headers=denied.headers)
            scope["state"]["key"] = key.name if key else None
        length = headers.get(b"content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:
            return failure(request_id, 413, f"the body may have at most {MAX_BODY_BYTES} bytes", headers=_CLOSE)
        content_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if headers.get(b"content-encoding", "identity").lower() != "identity":
            return failure(request_id, 415, "send the body as it is, without a Content-Encoding")
        taken = _FORM if scope["path"].startswith(_PAGES) else _JSON
        if method == "POST" and content_type != taken:
            return failure(request_id, 415, f"send {taken}")
        return None


def _fault(request_id: str, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException):  # of a body that was given up before it came to a route
        return failure(request_id, error.status_code, str(error.detail), headers=error.headers)
    if isinstance(error, TimeoutError):
        _log.warning("request %s took too long", request_id)
        return failure(request_id, 504, f"it took longer than {LONGEST_CALL_SECONDS:.0f} seconds; ask for less at once")
    _log.error("request %s failed", request_id, exc_info=error)
    return fault(request_id)


def _in_time(limit: asyncio.Timeout, send: Send) -> Send:
    """Lift the limit once an answer begins: how long its way takes is the caller's line's affair."""

    async def in_time(message: Message) -> None:
        if message["type"] == "http.response.start":
            limit.reschedule(None)
        await send(message)

    return in_time


def _bounded(receive: Receive) -> Receive:
    """Stop reading a body that grows too large or takes too long to arrive."""
    received, is_whole = 0, False
    until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def bounded() -> Message:
        nonlocal received, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            slow = f"the body took longer than {BODY_SECONDS:.0f} seconds to arrive"
            raise HTTPException(408, slow, headers=_CLOSE) from error
        if message["type"] == "http.disconnect":
            raise HTTPException(400, "the caller hung up before the body was whole")
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body may have at most {MAX_BODY_BYTES} bytes", headers=_CLOSE)
        is_whole = not message.get("more_body", False)
        return message

    return bounded
