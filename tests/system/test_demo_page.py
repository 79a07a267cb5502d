"""The demo's page in a real browser: nothing clipped, nothing wider than the screen, nothing logged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import asked_of_network, open_browser, overflowing, resize
from selenium.webdriver import Chrome

from training.demo import run_demo

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "programme.toml").write_text((ROOT / "programme.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "programmes").mkdir()
    for file in (ROOT / "programmes").glob("*.toml"):
        (folder / "programmes" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    result = run_demo(folder, members=2_000, weeks=90, step=lambda _: None)
    return Path(result.record["page"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


@pytest.mark.parametrize("width", [390, 820, 1440], ids=["phone", "tablet", "desktop"])
def test_nothing_is_wider_than_the_screen(page: Path, browser: Chrome, width: int) -> None:
    resize(browser, width)
    browser.get(page.as_uri())
    assert browser.execute_script("return innerWidth") == width
    assert overflowing(browser) == []


def test_the_page_shows_both_programmes_and_asks_nothing_of_the_network(page: Path, browser: Chrome) -> None:
    browser.get_log("performance")
    browser.get(page.as_uri())
    headings = [heading.text for heading in browser.find_elements("tag name", "h2")]
    assert headings == ["Complete Journey", "Simulated programme", "What to do next"]
    assert all(figure.size["height"] > 100 for figure in browser.find_elements("css selector", "figure svg"))
    assert browser.get_log("browser") == []
    assert asked_of_network(browser) == []


def test_it_prints_on_a4(page: Path, browser: Chrome) -> None:
    browser.get(page.as_uri())
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert len(printed["data"]) > 10_000
