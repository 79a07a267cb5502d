"""The routes that answer about members and write down what happened, and one error shape; no door, no memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from features.errors import InputError, PassingError, RefusedError
from serving.database import StoreError
from serving.failures import STORE_AWAY, failure
from serving.lookup import NotReadyError
from serving.routes import add_ledger_routes, add_member_routes, request_id
from serving.strict import StrictRoute

_log = logging.getLogger(__name__)

MAX_SAID: Final = 500
"""Characters of what a caller sent that an error repeats at most."""


def build_routes(*, readers: Executor, writers: Executor, computers: Executor) -> FastAPI:
    """Return the application without what surrounds it: what is asked about members, and what is written down.

    What is published is read, what happened is written down, and the rest is computed, each where it is said.
    """
    app = FastAPI(
        title="winback",
        version="1",
        summary="Who is leaving, why, and the cheapest way to bring them back.",
        docs_url=None,  # FastAPI's pages load scripts from outside
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the caller says it called
    )
    app.router.route_class = StrictRoute
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind, status in ((InputError, 422), (RefusedError, 409), (NotReadyError, 503), (PassingError, 503)):
        app.add_exception_handler(kind, _on_known(status))
    app.add_exception_handler(StoreError, _on_lost_store)
    app.state.computing = None
    add_member_routes(app, readers, computers)
    add_ledger_routes(app, writers)
    return app


def _on_invalid(request: Request, error: Any) -> JSONResponse:
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return failure(request_id(request), 400, f"the body is not JSON: {problem['ctx']['error']}")
    field = ".".join(str(part) for part in problem["loc"][1:])[:MAX_SAID] or None
    return failure(request_id(request), 422, problem["msg"].removeprefix("Value error, ")[:MAX_SAID], field=field)


def _on_http(request: Request, error: Any) -> JSONResponse:
    return failure(request_id(request), error.status_code, str(error.detail), headers=error.headers)


def _on_lost_store(request: Request, error: Any) -> JSONResponse:
    _log.warning("request %s: %s", request_id(request), error)
    return failure(request_id(request), 503, STORE_AWAY)


def _on_known(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda request, error: failure(request_id(request), status, str(error))
