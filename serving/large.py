"""Bodies are read strictly, and large ones aside: what takes long to parse keeps no other call waiting."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from serving.threads import step_back

LARGE_BYTES: Final = 64 * 1024
"""From here on a body is read aside; a history of a hundred orders is shorter."""
MAX_NAMED: Final = 100
"""Letters of a name that are repeated to the caller."""

_READERS: Final = ThreadPoolExecutor(2, "large", initializer=step_back)


class LargeAside(APIRoute):
    """A route that parses, checks and answers large bodies in a thread with an event loop of its own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            strict = _Strict(request.scope, request.receive)
            if len(await strict.body()) < LARGE_BYTES:
                return await handle(strict)
            work = asyncio.get_running_loop().run_in_executor(_READERS, lambda: asyncio.run(handle(strict)))
            return await work

        return handled


class _Strict(Request):
    """A request whose objects name nothing twice.

    Between two objects its parser lets other threads have their turn; Python's own holds all of them.
    """

    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Put an object together; of two values of one name, nobody could say which was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise json.JSONDecodeError(f"{name[:MAX_NAMED]!a} is given twice in one object", "", 0)
    return found
