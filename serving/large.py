"""Large bodies are read aside: what takes long to parse keeps no other call waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.threads import step_back

LARGE_BYTES: Final = 64 * 1024
"""From here on a body is read aside; a history of a hundred orders is shorter."""

_READERS: Final = ThreadPoolExecutor(2, "large", initializer=step_back)


class LargeAside(APIRoute):
    """A route that parses, checks and answers large bodies in a thread with an event loop of its own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            if len(await request.body()) < LARGE_BYTES:
                return await handle(request)
            aside = _Shared(request.scope, request.receive)
            aside._body = await request.body()
            work = asyncio.get_running_loop().run_in_executor(_READERS, lambda: asyncio.run(handle(aside)))
            return await work

        return handled


class _Shared(Request):
    """A request whose parser lets other threads have their turn between two objects; Python's own holds all of them."""

    async def json(self) -> Any:
        return json.loads(await self.body(), object_hook=_as_it_is)


def _as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value
