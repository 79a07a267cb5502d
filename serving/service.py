"""The BentoML service: loads what :mod:`serving.api` answers with, and keeps it up to date."""

from __future__ import annotations

import os
from typing import Any, cast

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.programme import load_programme
from serving.answers import Answers, open_answers_again
from serving.api import build_api
from serving.computing import ComputingProcess
from serving.database import open_database, owner_of
from serving.envelope import surround
from serving.inside import Parts
from serving.keys import KeyStore
from serving.logs import configure_logging
from serving.reload import Reloader, Sources, try_out
from serving.server import KEYS_VARIABLE, NO_KEYS, served
from serving.threads import settle, share_closely

BENTOML_ANSWERS = ("/livez", "/readyz")

app = build_api()


@bentoml.service(
    name="winback",
    workers=1,
    metrics={"enabled": False},  # ours are at /metrics
    logging={"access": {"enabled": False}},  # ours name keys and hash members
    tracing={"excluded_urls": ".*"},
)
class Winback:
    """Scores and decisions for the CRM; what it serves is named by environment variables, see :mod:`serving.server`."""

    def __init__(self) -> None:
        configure_logging()
        programme_file, bundle_folder = served()
        programme = load_programme(programme_file)
        self._database = open_database(programme)
        keys = None if os.environ.get(KEYS_VARIABLE) == NO_KEYS else KeyStore(self._database, owner_of(programme))
        answers = open_answers_again(programme, bundle_folder)
        self._computing = ComputingProcess(Parts(programme, answers.bundle, answers.policy_table))
        app.state.answers, app.state.computing = answers, self._computing
        app.state.surroundings = surround(app.state, keys)
        self._reloader = Reloader(app.state, Sources(programme, bundle_folder, keys), self._try_out)
        self._try_out(answers)
        self._reloader.start()
        share_closely()
        settle()

    def _try_out(self, answers: Answers) -> None:
        """Let both processes answer from these parts; raises as :func:`serving.reload.try_out`."""
        self._computing.take_over(Parts(answers.programme, answers.bundle, answers.policy_table))
        try_out(answers)  # pages of the console are computed here

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        """Look for nothing new any more, and let go of the store."""
        self._reloader.stop()
        self._computing.close()
        app.state.answers.close()
        self._database.close()


class _Front:
    """Answers everything but BentoML's own probes by our application; BentoML's pages load scripts from outside."""

    def __init__(self, bentoml_app: ASGIApp) -> None:
        self._bentoml_app = bentoml_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_theirs = scope["type"] != "http" or scope["path"] in BENTOML_ANSWERS
        await (self._bentoml_app if is_theirs else app)(scope, receive, send)


_Service: Any = type(Winback)


class _FrontFirst(_Service):  # type: ignore[misc]  # BentoML has no types
    """A service with our front before BentoML's middlewares.

    As one of them it would be inside the one that limits calls' time, which leaves a timer behind for every request
    until that time is over: a hundred thousand objects that Python looks through, again and again, for garbage.
    """

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        return _Front(super().to_asgi(is_main=is_main))


cast(Any, Winback).__class__ = _FrontFirst
