"""The HTTP face: routes, one error shape, limits. It parses, calls :class:`serving.answers.Answers`, and returns."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import InputError, RefusedError
from serving.answers import Answers, NotReadyError
from serving.contracts import ErrorAnswer, ErrorBody, ModelAnswer, ScoreAnswer, ScoreRequest
from serving.database import StoreError

T = TypeVar("T")

MAX_BODY_BYTES = 16 * 1024 * 1024
READERS, COMPUTERS = 4, 2

_log = logging.getLogger(__name__)

_CALLERS_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_CODES: Mapping[int, str] = {
    400: "malformed", 404: "not_found", 405: "method_not_allowed", 409: "refused", 413: "too_large",
    415: "unsupported_media_type", 422: "invalid", 500: "internal", 503: "not_ready",
}  # fmt: skip
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "the body is not JSON"},
    409: {"description": "the model was trained on data from after as_of"},
    413: {"description": f"the body is larger than {MAX_BODY_BYTES} bytes"},
    415: {"description": "the content type is not application/json"},
    422: {"description": "the body does not fit the contract"},
    500: {"description": "our fault"},
    503: {"description": "nothing is published yet, or the store cannot be reached"},
}


def build_api() -> FastAPI:
    """Return the application; ``app.state.answers`` must be set before the first request."""
    app = FastAPI(
        title="winback",
        version="1",
        summary="Who is leaving, why, and the cheapest way to bring them back.",
        docs_url=None,  # FastAPI's pages load scripts from outside
        redoc_url=None,
    )
    app.add_middleware(_Envelope)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind, status in ((InputError, 422), (RefusedError, 409), (NotReadyError, 503), (StoreError, 503)):
        app.add_exception_handler(kind, _on_known(status))
    readers, computers = ThreadPoolExecutor(READERS, "read"), ThreadPoolExecutor(COMPUTERS, "compute")

    @app.post("/v1/score", responses=_documented(400, 409, 413, 415, 422, 500, 503))
    async def score(body: ScoreRequest, request: Request) -> ScoreAnswer:
        """Return the decisions of members by id, as published, or of members by their own rows, computed now."""
        answers: Answers = request.app.state.answers
        pool = readers if body.histories is None else computers
        return await _run(pool, lambda: answers.score(body, request_id=_request_id(request)))

    @app.get("/v1/model", responses=_documented(500, 503))
    async def model(request: Request) -> ModelAnswer:
        """Return the model, the policy and the publication that answers come from."""
        answers: Answers = request.app.state.answers
        return await _run(readers, lambda: answers.model(request_id=_request_id(request)))

    return app


async def _run(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Run blocking work off the event loop, in a pool that bounds how much runs at once."""
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {**_ERRORS[status], "model": ErrorAnswer} for status in statuses}


def _request_id(request: Request) -> str:
    identifier: str = request.scope["state"]["request_id"]
    return identifier


def _failure(
    request_id: str, status: int, message: str, *, code: str | None = None, field: str | None = None
) -> JSONResponse:
    body = ErrorBody(code=code or _CODES.get(status, "error"), message=message, field=field, request_id=request_id)
    return JSONResponse(ErrorAnswer(error=body).model_dump(), status_code=status)


def _on_invalid(request: Request, error: Any) -> JSONResponse:
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return _failure(_request_id(request), 400, f"the body is not JSON: {problem['ctx']['error']}")
    field = ".".join(str(part) for part in problem["loc"][1:]) or None
    return _failure(_request_id(request), 422, problem["msg"].removeprefix("Value error, "), field=field)


def _on_http(request: Request, error: Any) -> JSONResponse:
    return _failure(_request_id(request), error.status_code, str(error.detail))


def _on_known(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda request, error: _failure(_request_id(request), status, str(error))


class _Envelope:
    """Gives every request an id, refuses bodies that are too large or not JSON, and keeps our faults to ourselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if _CALLERS_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        if refusal := _refuse(scope["method"], headers, request_id):
            await refusal(scope, receive, send_with_id)
            return
        try:
            await self._app(scope, _counted(receive), send_with_id)
        except Exception:
            _log.exception("request %s failed", request_id)
            if started:
                raise
            fault = _failure(request_id, 500, "something went wrong on our side; report it with the request_id")
            await fault(scope, receive, send_with_id)


def _refuse(method: str, headers: Mapping[bytes, str], request_id: str) -> JSONResponse | None:
    length = headers.get(b"content-length", "0")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        return _failure(request_id, 413, f"the body may have at most {MAX_BODY_BYTES} bytes")
    if method == "POST" and headers.get(b"content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _failure(request_id, 415, "send application/json")
    return None


def _counted(receive: Receive) -> Receive:
    """Stop reading a body without a stated length once it is too large."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body may have at most {MAX_BODY_BYTES} bytes")
        return message

    return counted
