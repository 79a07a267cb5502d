"""Who visits the console: a signed cookie that names the key signed in with, and the token its forms must carry.

The cookie holds no key and says nothing of what its holder may do: whoever reads it asks the key ring again, so a
revoked key ends its sessions. It is signed with a secret of this process; a restart ends all sessions.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

PATH: Final = "/console"
MAX_SECONDS: Final = 8 * 3600
_SIGNED_IN, _VISITING = "winback_session", "winback_visit"


@dataclass(frozen=True)
class Session:
    """One browser's visit.

    Attributes
    ----------
    key_id
        Of the key signed in with; empty before that.
    token
        What every form must send back, so that no other site can send it.
    """

    key_id: str
    token: str

    def sent(self, token: str) -> bool:
        """Tell whether a form is one of ours."""
        return compare_digest(self.token.encode(), token.encode())


def new_session(key_id: str = "") -> Session:
    """Return a session with a token of its own."""
    return Session(key_id, secrets.token_urlsafe(16))


class Sessions:
    """Reads and writes the cookies of sessions."""

    def __init__(self) -> None:
        self._signer = URLSafeTimedSerializer(secrets.token_bytes(32), salt="winback console")

    def read(self, request: Request) -> Session:
        """Return the session of a request; a new one where its cookies are absent, too old or not ours."""
        for name in (_SIGNED_IN, _VISITING):
            try:
                key_id, token = self._signer.loads(request.cookies.get(name, ""), max_age=MAX_SECONDS)
            except BadData:
                continue
            return Session(key_id, token)
        return new_session()

    def keep(self, session: Session, request: Request, response: Response) -> None:
        """Let the browser keep a session; one that is signed in takes the place of the visit before."""
        name = _SIGNED_IN if session.key_id else _VISITING
        value = self._signer.dumps([session.key_id, session.token])
        if not isinstance(value, str):
            raise TypeError("a signed cookie is text")
        response.set_cookie(
            name, value, path=PATH, httponly=True, samesite="strict", secure=over_tls(request), max_age=MAX_SECONDS
        )

    def end(self, response: Response) -> None:
        """Let the browser forget who is signed in."""
        response.delete_cookie(_SIGNED_IN, path=PATH, httponly=True, samesite="strict")


def over_tls(request: Request) -> bool:
    """Tell whether the browser speaks TLS, to us or to the proxy in front."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
