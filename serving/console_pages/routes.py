"""The console's routes: who may see and do what, and how visits begin and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from features.errors import InputError, RefusedError
from serving.answers import Answers, NotReadyError
from serving.console_pages import insight, sending, views
from serving.console_pages.session import PATH, Sessions, new_session
from serving.console_pages.visit import HEADERS, Page, Visit, form, go, language_of, refusal, show
from serving.database import StoreError
from serving.gate import DeniedError, Gate
from serving.keys import Scope
from serving.routes import run

View = Callable[[Visit], Page | Response]
Endpoint = Callable[[Request], Awaitable[Response]]

MAX_FORM_BYTES: Final = 16 * 1024
STYLES: Final = Path(__file__).parents[1] / "templates" / "console" / "console.css"
_STALE: Final = (
    "This form is too old. Go back, load the page again, and try once more.",
    "表单已过期，请返回并刷新页面后重试。",
)
_READ_ONLY: Final = (
    "Your key may look, not act: this needs the scope admin.",
    "您的密钥只能查看；此操作需要 admin 权限。",
)
_NO_READING: Final = (
    "Your key may not read here: the console needs the scope score.",
    "您的密钥无查看权限；控制台需要 score 权限。",
)
_TOO_OFTEN: Final = ("That was too often. Wait a little and try again.", "操作过于频繁，请稍后再试。")
_NOTHING_YET: Final = (
    "Nothing is published yet. The weekly job does that: winback score.",
    "尚未发布任何决策。请先运行每周任务：winback score。",
)
_NO_STORE: Final = ("The store cannot be reached just now. Try again in a minute.", "暂时无法读取数据，请稍后再试。")
_NOT_THERE: Final = ("There is no such page.", "没有这个页面。")


class Console:
    """The pages, and the sessions of those who look at them.

    Parameters
    ----------
    pool
        Where pages are made.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._sessions = Sessions()

    def routes(self) -> list[Route]:
        """Return all routes, relative to the console's path."""
        return [
            Route("/sign-in", self.sign_in, methods=["GET"]),
            Route("/sign-in", self.let_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/", self._behind("score", views.overview), methods=["GET"]),
            Route("/member", self._behind("score", views.member), methods=["GET"]),
            Route("/segments", self._behind("score", views.segments), methods=["GET"]),
            Route("/budget", self._behind("score", insight.budget), methods=["GET"]),
            Route("/results", self._behind("score", insight.results), methods=["GET"]),
            Route("/models", self._behind("score", insight.models), methods=["GET"]),
            Route("/sending", self._behind("score", sending.sending), methods=["GET"]),
            Route("/sending/approve", self._behind("admin", sending.approve), methods=["POST"]),
            Route("/sending/withdraw", self._behind("admin", sending.withdraw), methods=["POST"]),
            Route("/sending/release", self._behind("admin", sending.release), methods=["POST"]),
            Route("/sending/list", self._behind("admin", sending.send_list), methods=["GET"]),
            Route("/alerts", self._behind("score", views.alerts), methods=["GET"]),
            Route("/pause", self._behind("admin", views.pause), methods=["POST"]),
            Route("/resume", self._behind("admin", views.resume), methods=["POST"]),
            Route("/console.css", _styles, methods=["GET"]),
            Route("/{anything:path}", self._no_such_page, methods=["GET"]),
        ]

    async def sign_in(self, request: Request) -> Response:
        """Show the form that asks for a key; those who are in need none."""
        visit = self._visit(request)
        if not visit.asks_for_keys:
            return go("/")
        return self._ask_for_key(visit)

    async def let_in(self, request: Request) -> Response:
        """Begin a session with the key sent."""
        visit, sent = self._visit(request), await form(request)
        if not visit.session.sent(sent.get("token", "")):
            return show(refusal(403, *_STALE), visit)
        try:
            key = _gate(request).admit(f"Bearer {sent.get('key', '').strip()}", "score")
        except DeniedError as denied:
            return self._ask_for_key(visit, denied)
        response = go("/")
        if key is not None:
            request.scope["state"]["key"] = key.name
            self._sessions.keep(new_session(key.id), request, response)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        visit, sent = self._visit(request), await form(request)
        if not visit.session.sent(sent.get("token", "")):
            return show(refusal(403, *_STALE), visit)
        response = go("/sign-in")
        self._sessions.end(response)
        return response

    async def _no_such_page(self, request: Request) -> Response:
        return show(refusal(404, *_NOT_THERE), self._visit(request))

    def _behind(self, needed: Scope, view: View) -> Endpoint:
        """Return an endpoint that shows a view to those whose key holds and reaches so far."""

        async def endpoint(request: Request) -> Response:
            visit = self._visit(request)
            try:
                key = _gate(request).readmit(visit.session.key_id, needed)
            except DeniedError as denied:
                if denied.status == 401:
                    return go("/sign-in")
                return show(_denied(denied, needed), visit)
            request.scope["state"]["key"] = key.name if key else None
            sent = await form(request)
            if request.method == "POST" and not visit.session.sent(sent.get("token", "")):
                return show(refusal(403, *_STALE), visit)
            known = replace(visit, key=key, sent=sent)
            response = await run(self._pool, lambda: _answer(view, known))
            if key is None:
                self._sessions.keep(visit.session, request, response)
            return response

        return endpoint

    def _visit(self, request: Request) -> Visit:
        answers: Answers = request.app.state.answers
        language = language_of(request, answers.programme.language)
        return Visit(request, self._sessions.read(request), language, _gate(request).ring is not None)

    def _ask_for_key(self, visit: Visit, denied: DeniedError | None = None) -> Response:
        status = denied.status if denied else 200
        headers = dict(denied.headers) if denied and status == 429 else {}
        response = show(Page("sign_in.html.j2", status, {"status": status}, headers), visit)
        if not visit.session.key_id:
            self._sessions.keep(visit.session, visit.request, response)
        return response


def mount(pool: ThreadPoolExecutor) -> list[BaseRoute]:
    """Return the console as routes of the application; they are no part of the contract for systems."""
    return [
        Route(PATH, _enter, methods=["GET"]),
        Mount(PATH, routes=Console(pool).routes(), max_body_size=MAX_FORM_BYTES),
    ]


async def _enter(request: Request) -> Response:
    return go(f"/?{request.url.query}")


def _answer(view: View, visit: Visit) -> Response:
    try:
        answer = view(visit)
    except NotReadyError:
        answer = refusal(503, *_NOTHING_YET)
    except StoreError:
        answer = refusal(503, *_NO_STORE)
    except (InputError, RefusedError) as error:
        answer = refusal(409, str(error), str(error))
    return show(answer, visit) if isinstance(answer, Page) else answer


def _denied(denied: DeniedError, needed: Scope) -> Page:
    if denied.status == 429:
        return refusal(429, *_TOO_OFTEN, headers=denied.headers)
    return refusal(denied.status, *(_READ_ONLY if needed == "admin" else _NO_READING))


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.surroundings.gate
    return gate


async def _styles(request: Request) -> Response:
    return FileResponse(STYLES, media_type="text/css", headers={**HEADERS, "Cache-Control": "max-age=3600"})
