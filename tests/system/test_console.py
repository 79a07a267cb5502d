"""The console in a real browser: by keyboard alone, on a phone and a desk, with nothing logged."""

from collections.abc import Iterator

import httpx
import pytest
from accessibility import barriers
from browser import asked_of_network, open_browser, overflowing, resize
from conftest import Published
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from serving.report.job import write_report

pytestmark = pytest.mark.system

PAGES = (
    "", "member", "member?id=m002", "member?id=m00", "member?id=%3Cscript%3E",
    "segments", "budget", "sending", "results", "models", "alerts", "nowhere",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(service: httpx.Client, published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser signed in without a mouse, after the weekly report was written."""
    report = tmp_path_factory.mktemp("report") / "report.html"
    write_report(published.programme, None, published.programme.path("out"), report)
    with open_browser(tmp_path_factory.mktemp("profile")) as chrome:
        chrome.implicitly_wait(20)  # for what the next page shows
        chrome.get(f"{service.base_url}/console")
        key = service.headers["Authorization"].removeprefix("Bearer ")
        chrome.switch_to.active_element.send_keys(key, Keys.ENTER)
        chrome.find_element("css selector", "nav")
        yield chrome


def at(service: httpx.Client, page: str) -> str:
    return f"{service.base_url}/console/{page}"


def test_a_member_is_found_by_keyboard(browser: Chrome, service: httpx.Client) -> None:
    browser.get(at(service, "member"))
    browser.switch_to.active_element.send_keys("m002", Keys.ENTER)
    assert browser.find_element("css selector", "h2").text == "m002"
    bars = browser.find_elements("css selector", "svg .raises, svg .lowers")
    assert len(bars) > 3
    assert all(bar.size["height"] > 5 for bar in bars)


def test_the_first_tab_leads_to_the_content(browser: Chrome, service: httpx.Client) -> None:
    browser.get(at(service, "segments"))
    browser.switch_to.active_element.send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.get_attribute("class") == "skip"
    assert skip.location["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "content"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 820, 1280], ids=["phone", "tablet", "desktop"])
def test_nothing_is_wider_than_the_screen_logged_or_loaded_from_elsewhere(
    browser: Chrome, service: httpx.Client, width: int, language: str
) -> None:
    resize(browser, width)
    browser.get_log("performance")
    for page in PAGES:
        browser.get(at(service, f"{page}{'&' if '?' in page else '?'}lang={language}"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page
        assert overflowing(browser) == [], page
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert all("404 (Not Found)" in message for message in refused), refused
    assert all(url.startswith(str(service.base_url)) for url in asked_of_network(browser))


def test_it_prints_on_a4_and_heeds_the_dark(browser: Chrome, service: httpx.Client) -> None:
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    browser.get(at(service, "member?id=m002"))
    seen = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert seen == "rgb(18, 24, 31)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert len(printed["data"]) > 10_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_nothing_on_any_page_keeps_somebody_out(
    browser: Chrome, service: httpx.Client, width: int, scheme: str
) -> None:
    resize(browser, width)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for page in PAGES:
        browser.get(at(service, page))
        assert barriers(browser) == [], page
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_budget_is_chosen_with_the_arrow_keys(browser: Chrome, service: httpx.Client) -> None:
    browser.get(at(service, "budget?lang=en"))
    stops = browser.find_elements("css selector", "input[name=budget]")
    chosen = browser.find_element("css selector", "input[name=budget]:checked")
    assert stops.index(chosen) == len(stops) - 1
    chosen.send_keys(Keys.ARROW_LEFT)
    shown = [heading.text for heading in browser.find_elements("css selector", ".panel h2") if heading.is_displayed()]
    assert stops[-2].is_selected()
    assert len(shown) == 1
    assert shown[0].startswith("A budget of CNY ")


def test_pausing_and_resuming_take_one_button_each(browser: Chrome, service: httpx.Client) -> None:
    browser.get(at(service, "?lang=en"))
    browser.find_element("css selector", "form[action$=pause] button").click()
    resume = browser.find_element("css selector", "form[action$=resume] button")
    assert "Paused since" in browser.find_element("tag name", "main").text
    resume.click()
    browser.find_element("css selector", "form[action$=pause] button")
    assert "Paused since" not in browser.find_element("tag name", "main").text
