"""An application with keys, and browsers without a network that visit it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
from web import application

from serving.answers import Answers
from serving.envelope import Surroundings, surround
from serving.keys import Key, KeyStore

TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Browser:
    """Keeps cookies between requests to the application, without a network."""

    def __init__(self, app: Any) -> None:
        self.app, self.cookies = app, httpx.Cookies()

    def ask(self, method: str, path: str, **asked: Any) -> httpx.Response:
        async def respond() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://winback", cookies=self.cookies
            ) as client:
                response = await client.request(method, path, **asked)
                self.cookies = client.cookies
                return response

        return asyncio.run(respond())

    def get(self, path: str) -> httpx.Response:
        return self.ask("GET", path)

    def send(self, path: str, page: str = "/console/", **fields: str) -> httpx.Response:
        """Send a form as it stands on a page."""
        found = TOKEN.search(self.get(page).text)
        assert found
        return self.ask("POST", path, data={"token": found[1], **fields})

    def sign_in(self, key: str) -> httpx.Response:
        return self.send("/console/sign-in", "/console/sign-in", key=key)


class House:
    """An application with keys, and browsers that visit it."""

    def __init__(self, answers: Answers, keys: KeyStore) -> None:
        self.keys = keys
        self.app = application(answers)
        self.app.state.surroundings = surround(self.app.state, keys)

    @property
    def around(self) -> Surroundings:
        return self.app.state.surroundings

    def visit(self, *scopes: Any) -> Browser:
        """Return a browser signed in with a new key of these scopes."""
        browser, (_, text) = Browser(self.app), self.add(*scopes)
        if scopes:
            assert browser.sign_in(text).status_code == 303
        return browser

    def add(self, *scopes: Any) -> tuple[Key, str]:
        added = self.keys.add("somebody", scopes or ["write"])
        self.around.gate.ring = self.keys.ring()
        return added
