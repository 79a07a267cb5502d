"""The HTTP face: all routes, the console, and what surrounds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from serving.answers import Answers
from serving.application import build_routes
from serving.aside import Aside
from serving.cache import AnswerCache, Cached
from serving.console_pages.routes import mount
from serving.contracts import HealthAnswer
from serving.envelope import Envelope, Surroundings, closed
from serving.failures import documented
from serving.gate import describe, needs, needs_of, open_route
from serving.metrics import CONTENT_TYPE, Metrics
from serving.routes import ASKED, add_policy_routes, run
from serving.threads import step_back

READERS, WRITERS, COMPUTERS = 4, 2, 1
"""Threads that read what is published, that write down what happened, and that compute from what is sent."""


def build_api() -> FastAPI:
    """Return the application; ``app.state.answers`` must be set before the first request.

    Nobody is let in until ``app.state.surroundings`` says who. Where ``app.state.computing`` is a
    :class:`serving.computing.ComputingProcess`, what takes computing is sent there.
    """
    readers, writers = ThreadPoolExecutor(READERS, "read"), ThreadPoolExecutor(WRITERS, "write")
    computers = ThreadPoolExecutor(COMPUTERS, "compute", initializer=step_back)
    app = build_routes(readers=readers, writers=writers, computers=computers)
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
    app.add_middleware(Aside, needs=needed)
    app.add_middleware(Cached, needs=needed, readers=readers)
    app.add_middleware(Envelope, needs=needed)
    describe(app)
    return app


def _metrics(request: Request) -> Metrics:
    surroundings: Surroundings = request.app.state.surroundings
    return surroundings.metrics
