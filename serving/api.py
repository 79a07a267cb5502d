"""The HTTP face: routes and one error shape. It parses, calls :class:`serving.answers.Answers`, and returns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from features.errors import InputError, PassingError, RefusedError
from serving.answers import Answers, NotReadyError
from serving.cache import AnswerCache, Cached
from serving.console_pages.routes import mount
from serving.contracts import HealthAnswer
from serving.envelope import Envelope, Surroundings, closed
from serving.failures import documented, failure
from serving.gate import describe, needs, needs_of, open_route
from serving.large import LargeAside
from serving.metrics import CONTENT_TYPE, Metrics
from serving.routes import ASKED, add_ledger_routes, add_member_routes, add_policy_routes, request_id, run
from serving.threads import step_back

READERS, WRITERS, COMPUTERS = 4, 2, 1
"""Threads that read what is published, that write down what happened, and that compute from what is sent."""
MAX_SAID = 500
"""Characters of what a caller sent that an error repeats at most."""


def build_api() -> FastAPI:
    """Return the application; ``app.state.answers`` must be set before the first request.

    Nobody is let in until ``app.state.surroundings`` says who.
    """
    app = FastAPI(
        title="winback",
        version="1",
        summary="Who is leaving, why, and the cheapest way to bring them back.",
        docs_url=None,  # FastAPI's pages load scripts from outside
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the caller says it called
    )
    app.router.route_class = LargeAside
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind, status in ((InputError, 422), (RefusedError, 409), (NotReadyError, 503), (PassingError, 503)):
        app.add_exception_handler(kind, _on_known(status))
    readers, writers = ThreadPoolExecutor(READERS, "read"), ThreadPoolExecutor(WRITERS, "write")
    computers = ThreadPoolExecutor(COMPUTERS, "compute", initializer=step_back)

    add_member_routes(app, readers, computers)
    add_ledger_routes(app, writers)
    add_policy_routes(app, readers)

    @app.get("/healthz", responses=documented(500), openapi_extra=open_route())
    async def health(request: Request) -> HealthAnswer:
        """Say whether the service is as it should be."""
        answers: Answers = request.app.state.answers
        return answers.health()

    @app.get("/metrics", response_class=PlainTextResponse, responses=documented(*ASKED), openapi_extra=needs("score"))
    async def metrics(request: Request) -> Response:
        """Return what Prometheus reads."""
        return Response(await run(readers, _metrics(request).page), media_type=CONTENT_TYPE)

    app.router.routes.extend(mount(computers))
    app.state.surroundings, app.state.answer_cache = closed(), AnswerCache()
    needed = needs_of(app)
    app.add_middleware(Cached, needs=needed, readers=readers)
    app.add_middleware(Envelope, needs=needed)
    describe(app)
    return app


def _metrics(request: Request) -> Metrics:
    surroundings: Surroundings = request.app.state.surroundings
    return surroundings.metrics


def _on_invalid(request: Request, error: Any) -> JSONResponse:
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return failure(request_id(request), 400, f"the body is not JSON: {problem['ctx']['error']}")
    field = ".".join(str(part) for part in problem["loc"][1:])[:MAX_SAID] or None
    return failure(request_id(request), 422, problem["msg"].removeprefix("Value error, ")[:MAX_SAID], field=field)


def _on_http(request: Request, error: Any) -> JSONResponse:
    return failure(request_id(request), error.status_code, str(error.detail), headers=error.headers)


def _on_known(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda request, error: failure(request_id(request), status, str(error))
