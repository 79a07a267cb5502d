"""Bodies are read strictly: of what is named twice in one object, nobody could say which was meant."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

MAX_NAMED: Final = 100
"""Letters of a name that are repeated to the caller."""


class StrictRoute(APIRoute):
    """A route that refuses objects which name something twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            return await handle(_Strict(request.scope, request.receive))

        return handled


class _Strict(Request):
    async def json(self) -> Any:
        try:
            return json.loads(await self.body(), object_pairs_hook=_each_once)
        except UnicodeDecodeError as error:
            raise json.JSONDecodeError("it is not in UTF-8", "", error.start) from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise json.JSONDecodeError(f"{name[:MAX_NAMED]!a} is given twice in one object", "", 0)
    return found
