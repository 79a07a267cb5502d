"""A headless Chromium for tests of pages, and what they ask of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip
OVERFLOWING = """
return [...document.querySelectorAll("body *")]
  .filter(e => !e.closest(".wide") && !e.closest("svg") && e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.outerHTML.slice(0, 99));
"""


@contextmanager
def open_browser(profile: Path) -> Iterator[Chrome]:
    """Start Debian's Chromium, which logs what pages say and ask for."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield chrome
    finally:
        chrome.quit()


def resize(browser: Chrome, width: int) -> None:
    """Give pages so many CSS pixels of width."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def overflowing(browser: Chrome) -> list[str]:
    """Return the elements that reach beyond the screen."""
    found: list[str] = browser.execute_script(OVERFLOWING)
    return found


def asked_of_network(browser: Chrome) -> list[str]:
    """Return the addresses asked for since last time, other than files and data."""
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file:", "data:"))]
