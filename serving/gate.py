"""Who is let in: the key a request carries, what its route needs, and how often its holder may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from serving.keys import Key, KeyRing, Scope
from serving.limits import RateLimit

SCHEME: Final = "key"
_BEARER: Final = "bearer "

Needs = Mapping[tuple[str, str], Scope]
"""The scope each method and path needs; whatever is not named is open to all."""


class DeniedError(Exception):
    """A request that is not let in, with the status that says why, and the name of the key it came with."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str], key_name: str | None = None) -> None:
        super().__init__(message)
        self.status, self.headers, self.key_name = status, headers, key_name


class Gate:
    """Lets requests in by their key.

    Attributes
    ----------
    ring
        The keys that hold now; replaced as a whole when they change. None lets everybody in.
    """

    def __init__(self, ring: KeyRing | None, *, requests_per_minute: int) -> None:
        self.ring = ring
        self._limit = RateLimit(requests_per_minute)

    def admit(self, authorization: str, needed: Scope) -> Key | None:
        """Return the key that opens a route of a scope; None where no keys are asked for.

        Raises
        ------
        DeniedError
            401 without a key that holds, 403 for one whose scopes do not reach so far, 429 for one that asks too often.
        """
        ring = self.ring
        if ring is None:
            return None
        is_bearer = authorization[: len(_BEARER)].lower() == _BEARER
        key = ring.find(authorization[len(_BEARER) :].strip()) if is_bearer else None
        return self._let_in(key, needed)

    def readmit(self, key_id: str, needed: Scope) -> Key | None:
        """Return the key of somebody let in before, by its id, as long as it still holds; raises as :meth:`admit`."""
        ring = self.ring
        if ring is None:
            return None
        key, _ = ring.keys.get(key_id, (None, ""))
        return self._let_in(key, needed)

    def _let_in(self, key: Key | None, needed: Scope) -> Key:
        if key is None:
            raise DeniedError(401, "send `Authorization: Bearer KEY` with a key that holds", _challenge())
        if not key.allows(needed):
            raise DeniedError(403, f"key {key.name!r} lacks the scope {needed!r}", {}, key.name)
        if seconds := self._limit.take(key.id):
            again = {"Retry-After": str(seconds)}
            raise DeniedError(429, f"key {key.name!r} asks too often; ask again in {seconds} s", again, key.name)
        return key


def needs(scope: Scope) -> dict[str, Any]:
    """Say, as a route's ``openapi_extra``, which scope it needs: it is documented and enforced from the one place."""
    return {"security": [{SCHEME: [scope]}]}


def open_route() -> dict[str, Any]:
    """Say, as a route's ``openapi_extra``, that it needs no key."""
    return {"security": []}


def needs_of(app: FastAPI) -> Needs:
    """Collect what the routes of an application need.

    Raises
    ------
    ValueError
        If one does not say: a route open to all would be an oversight.
    """
    found: dict[tuple[str, str], Scope] = {}
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        security = (route.openapi_extra or {}).get("security")
        if security is None:
            raise ValueError(f"{route.path} does not say which scope it needs")
        scopes = [scope for each in security for scope in each[SCHEME]]
        found |= {(method, route.path): scope for scope in scopes for method in route.methods or ()}
    return found


def describe(app: FastAPI) -> None:
    """Let the application's OpenAPI document name the security scheme."""
    described = app.openapi
    scheme = {"type": "http", "scheme": "bearer", "description": "a key made with `winback keys add`"}

    def openapi() -> dict[str, Any]:
        schema = described()
        schema.setdefault("components", {})["securitySchemes"] = {SCHEME: scheme}
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's manual says


def _challenge() -> dict[str, str]:
    return {"WWW-Authenticate": 'Bearer realm="winback"'}
