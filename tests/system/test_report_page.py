"""The weekly report in a real browser: nothing clipped or overlapping, on a phone, a desk and A4."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from accessibility import barriers
from browser import asked_of_network, open_browser, overflowing, resize
from conftest import Published
from selenium.webdriver import Chrome

from serving.report.job import write_report

pytestmark = pytest.mark.system

OVERLAPPING = """
const blocks = [...document.querySelectorAll("h1, h2, h3, p, table, figure, .tiles > div, li")]
  .filter(e => e.getBoundingClientRect().height > 0);
const clash = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
return blocks.flatMap((one, place) => blocks.slice(place + 1)
  .filter(other => !one.contains(other) && clash(one.getBoundingClientRect(), other.getBoundingClientRect()))
  .map(other => [one.outerHTML.slice(0, 60), other.outerHTML.slice(0, 60)]));
"""
CLIPPED = """
return [...document.querySelectorAll("th, td, dd, dt, p, h1, h2")]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.closest("thead") && getComputedStyle(e).display != "inline")
  .map(e => e.outerHTML.slice(0, 99));
"""


@pytest.fixture(scope="module", params=["en", "zh"])
def report(request: pytest.FixtureRequest, published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(published.programme, None, published.programme.path("out"), file, language=request.param)
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


@pytest.mark.parametrize("width", [390, 820, 1280], ids=["phone", "tablet", "desktop"])
def test_nothing_is_clipped_overlaps_or_scrolls_sideways(report: Path, browser: Chrome, width: int) -> None:
    resize(browser, width)
    browser.get(report.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert overflowing(browser) == []
    assert browser.execute_script(OVERLAPPING) == []
    assert browser.execute_script(CLIPPED) == []
    assert barriers(browser) == []


def test_it_asks_nothing_of_the_network_and_logs_nothing(report: Path, browser: Chrome) -> None:
    browser.get_log("performance")
    browser.get(report.as_uri())
    assert len(browser.find_elements("css selector", "h2")) == 9
    assert all(figure.size["height"] > 100 for figure in browser.find_elements("css selector", "figure svg"))
    assert browser.get_log("browser") == []
    assert asked_of_network(browser) == []


def test_it_prints_on_a_few_pages_of_a4(report: Path, browser: Chrome) -> None:
    browser.get(report.as_uri())
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert len(printed["data"]) > 10_000
