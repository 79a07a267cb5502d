"""One request of the console: who asks, in which language, about what; and what it is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from features.settings import Language
from serving.answers import Answers
from serving.console_pages.session import PATH, Session, over_tls
from serving.keys import Key
from serving.templating import environment
from serving.writer import Writer

LANGUAGE_COOKIE: Final = "winback_language"
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
MAX_FIELDS: Final = 20
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Visit:
    """A request as the pages see it.

    Attributes
    ----------
    asks_for_keys
        Whether anybody must sign in at all.
    key
        The key signed in with; None before that, and where no keys are asked for.
    sent
        The fields of the form sent, empty where none was.
    """

    request: Request
    session: Session
    language: Language
    asks_for_keys: bool
    key: Key | None = None
    sent: Mapping[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> Answers:
        """What the service answers with now."""
        answers: Answers = self.request.app.state.answers
        return answers

    @property
    def request_id(self) -> str:
        """The id the request goes by in the log."""
        identifier: str = self.request.scope["state"]["request_id"]
        return identifier

    @property
    def is_in(self) -> bool:
        """Whether pages may be shown."""
        return self.key is not None or not self.asks_for_keys

    @property
    def may_act(self) -> bool:
        """Whether the buttons that change something are for this visitor."""
        return not self.asks_for_keys or (self.key is not None and self.key.allows("admin"))

    @property
    def who(self) -> str:
        """Who this is, as far as is known, for what is kept of what they do."""
        return self.key.name if self.key else "somebody on this machine"

    @property
    def write(self) -> Writer:
        """Writes in the visitor's language."""
        return Writer(self.language, self.answers.programme)


@dataclass(frozen=True)
class Page:
    """A template and what it shows."""

    template: str
    status: int = 200
    shown: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, english: str, chinese: str, headers: Mapping[str, str] | None = None) -> Page:
    """Return the page that says why something is not done."""
    return Page("refused.html.j2", status, {"message": (english, chinese)}, headers or {})


def go(path: str) -> Response:
    """Send the browser to another page of the console."""
    return RedirectResponse(PATH + path, status_code=303, headers=dict(HEADERS))


def show(page: Page, visit: Visit) -> Response:
    """Return a page as it goes out; the language asked for is kept."""
    text = _TEMPLATES.get_template(f"console/{page.template}").render(
        visit=visit, say=visit.write, programme=visit.answers.programme, **page.shown
    )
    response = HTMLResponse(text, page.status, headers={**HEADERS, **page.headers})
    if "lang" in visit.request.query_params:
        response.set_cookie(
            LANGUAGE_COOKIE, visit.language, path=PATH, httponly=True, samesite="strict",
            secure=over_tls(visit.request), max_age=365 * 24 * 3600,
        )  # fmt: skip
    return response


def language_of(request: Request, default: Language) -> Language:
    """Return the language asked for, else the one kept, else the programme's."""
    asked = request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)
    return next((each for each in asked if each in LANGUAGES), default)


async def form(request: Request) -> dict[str, str]:
    """Return the fields of the form a request brings; what is no form has none."""
    text = (await request.body()).decode("utf-8", errors="replace")
    try:
        return dict(parse_qsl(text, max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


_TEMPLATES: Final = environment()
