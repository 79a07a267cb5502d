"""A large body is read aside: it gets the answer it would have got, and keeps no other call waiting."""

import asyncio
import threading

import httpx
import pytest
from fastapi import FastAPI

from serving.large import LARGE_BYTES, LargeAside
from serving.records import Strict


class Body(Strict):
    texts: list[str]


@pytest.fixture
def app() -> FastAPI:
    """An application that tells in which thread it answers, and waits there until it is let go."""
    made = FastAPI()
    made.router.route_class = LargeAside
    made.state.gone_on = threading.Event()

    @made.post("/count")
    async def count(body: Body) -> dict[str, object]:
        if len(body.texts) > 1:
            made.state.gone_on.wait(10)
        return {"texts": len(body.texts), "thread": threading.current_thread().name}

    return made


def calls(app: FastAPI, *bodies: bytes) -> list[httpx.Response]:
    """Ask at once; a body of one text, whenever it is answered, lets the others go on."""

    async def ask(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
        response = await client.post("/count", content=body, headers={"Content-Type": "application/json"})
        if len(body) < LARGE_BYTES:
            app.state.gone_on.set()
        return response

    async def all_at_once() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*(ask(client, body) for body in bodies))

    return asyncio.run(all_at_once())


LARGE = b'{"texts": [' + b'"text", ' * LARGE_BYTES + b'"last"]}'


def test_a_small_call_is_answered_while_a_large_one_is_still_worked_on(app):
    large, small = calls(app, LARGE, b'{"texts": ["one"]}')
    assert large.json() == {"texts": LARGE_BYTES + 1, "thread": large.json()["thread"]}
    assert large.json()["thread"].startswith("large")
    assert small.json()["thread"] == threading.current_thread().name


@pytest.mark.parametrize(("body", "status"), [(LARGE[:-1], 422), (LARGE.replace(b'"last"', b"7"), 422)])
def test_a_large_body_that_does_not_fit_is_refused_as_a_small_one(app, body, status):
    (answer,) = calls(app, body)
    assert answer.status_code == status
