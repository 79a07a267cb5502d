"""Requests to the application, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI

from serving.api import build_api
from serving.envelope import Surroundings
from serving.gate import Gate
from serving.logs import RequestLog
from serving.metrics import Metrics


def open_to_all() -> Surroundings:
    """Return surroundings that ask nobody for a key."""
    return Surroundings(Gate(None, requests_per_minute=1), Metrics(), RequestLog(b""))


def application(answers: Any = None, surroundings: Surroundings | None = None) -> FastAPI:
    """Return the application with these answers, open to all unless it is surrounded otherwise."""
    app = build_api()
    app.state.answers = answers
    app.state.surroundings = surroundings or open_to_all()
    return app


def request(app: FastAPI, method: str, path: str, **asked: Any) -> httpx.Response:
    """Make one request."""

    async def respond() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://winback") as client:
            return await client.request(method, path, **asked)

    return asyncio.run(respond())
