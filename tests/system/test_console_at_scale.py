"""The console in a real browser where things are not easy: much data, a slow network, ids that bite, nothing there."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from accessibility import barriers
from browser import open_browser, overflowing, resize
from builders import AS_OF, chunk, decision, decisions_table, small_programme
from conftest import Published, serve
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys

from features.programme import Programme, load_programme
from serving.bundle_files import save_bundle
from serving.store import open_store

pytestmark = pytest.mark.system

MEMBERS = 100_000
SECONDS_PER_PAGE = 2.0
BAD_IDS = (
    "<script>document.title='x'</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "../x?id=1&lang=zh#y",
)
BAD_NAME = "<b>Club</b> & Söhne"
BAD_INCENTIVE = "<i onclick=alert(1)>20</i> off"
SLOW = {"offline": False, "latency": 600, "downloadThroughput": 40_000, "uploadThroughput": 20_000}
"""A telephone in the country: milliseconds, and bytes a second."""
QUICK = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


@contextmanager
def console(programme: Programme, folder: Path) -> Iterator[Chrome]:
    """A browser in front of a service that an admin is about to sign in to."""
    with serve(programme, folder, "--bundle", programme.path("bundle")) as service, open_browser(folder) as chrome:
        chrome.implicitly_wait(20)  # for what the next page shows
        chrome.get(f"{service.base_url}/console?lang=en")
        chrome.key = service.headers["Authorization"].removeprefix("Bearer ")
        yield chrome


def sign_in(chrome: Chrome, key: str) -> None:
    chrome.find_element("name", "key").send_keys(key, Keys.ENTER)


def shop_of(published: Published, folder: Path) -> Programme:
    """A programme without decisions, whose names are none too friendly."""
    file = small_programme(folder, published.frames).path("programme.toml")
    named = file.read_text().replace('name = "small"', f'name = "{BAD_NAME}"').replace('"20 off"', f'"{BAD_INCENTIVE}"')
    file.write_text(named)
    save_bundle(published.bundle.model_copy(update={"programme_name": BAD_NAME}), folder / "bundle")
    return load_programme(file)


def publish(programme: Programme) -> None:
    """Publish as many decisions as a large programme has, some of members with ids that bite."""
    one = decisions_table(decision(recommended_incentive="coupon_20", assigned_incentive="coupon_20"))
    ids = [f"M{number:07}" for number in range(MEMBERS)] + list(BAD_IDS)
    crowd = one.take(pa.array([0] * len(ids))).set_column(0, "member_id", pa.array(sorted(ids)))
    assert one.column_names[0] == "member_id"
    with closing(open_store(programme)) as store:
        run = store.start(date.fromisoformat(AS_OF), model_version="m", policy_version=None, pins={}).publication_id
        store.add(run, crowd, chunk(members=len(ids)))
        store.publish(run)


@pytest.fixture(scope="module")
def empty(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    folder = tmp_path_factory.mktemp("empty")
    with console(shop_of(published, folder / "shop"), folder) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def crowded(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    folder = tmp_path_factory.mktemp("crowded")
    programme = shop_of(published, folder / "shop")
    publish(programme)
    with console(programme, folder) as chrome:
        sign_in(chrome, chrome.key)
        chrome.find_element("css selector", "nav")
        yield chrome


def visit(chrome: Chrome, page: str) -> str:
    chrome.get(chrome.current_url.partition("/console")[0] + f"/console/{page}")
    return text(chrome)


def text(chrome: Chrome) -> str:
    found: str = chrome.find_element("tag name", "main").text
    return found


def test_a_wrong_key_is_refused_where_it_was_typed_and_an_empty_store_is_told_kindly(empty: Chrome) -> None:
    sign_in(empty, "wb_00000000_wrong")
    assert "does not hold" in empty.find_element("css selector", "[role=alert]").text
    assert barriers(empty) == []
    sign_in(empty, empty.key)
    empty.find_element("css selector", "nav")
    assert "Nothing is published yet" in text(empty)
    for page in ("member?id=M1", "segments", "budget", "sending", "results", "models", "alerts"):
        assert visit(empty, page)
        assert barriers(empty) == [], page
        assert overflowing(empty) == [], page


def test_members_are_found_among_very_many_page_by_page_and_quickly(crowded: Chrome) -> None:
    began = time.perf_counter()
    visit(crowded, "member?id=M00012")
    seconds = time.perf_counter() - began
    first = [link.text for link in crowded.find_elements("css selector", "tbody th a")]
    assert first == [f"M00012{number:02}" for number in range(25)]
    crowded.find_element("css selector", "a[rel=next]").click()
    assert crowded.find_element("link text", "M0001225")
    crowded.find_element("link text", "M0001230").click()
    assert crowded.find_element("css selector", "h2").text == "M0001230"
    assert seconds < SECONDS_PER_PAGE


@pytest.mark.parametrize("page", ["", "sending", "models", "alerts", "member?id=M0000001"])
def test_no_page_grows_slow_with_the_members(crowded: Chrome, page: str) -> None:
    began = time.perf_counter()
    visit(crowded, page)
    assert time.perf_counter() - began < SECONDS_PER_PAGE


@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_ids_and_names_are_text_wherever_they_are_shown(crowded: Chrome, width: int) -> None:
    resize(crowded, width)
    for member_id in BAD_IDS:
        visit(crowded, "member")
        crowded.find_element("id", "id").send_keys(member_id, Keys.ENTER)
        assert crowded.find_element("css selector", "h2").text == member_id
        assert BAD_NAME in crowded.find_element("css selector", ".brand").text
        assert BAD_INCENTIVE in text(crowded)
        assert crowded.execute_script("return document.querySelectorAll('script, img, i, b').length") == 0
        assert overflowing(crowded) == []
        crowded.find_element("css selector", ".tools a").click()
        assert crowded.find_element("css selector", "html[lang^=zh] h2").text == member_id
        crowded.find_element("css selector", ".tools a").click()
    assert crowded.get_log("browser") == []


def test_over_a_slow_network_pages_are_usable_and_two_clicks_decide_once(crowded: Chrome) -> None:
    crowded.execute_cdp_cmd("Network.enable", {})
    crowded.execute_cdp_cmd("Network.emulateNetworkConditions", SLOW)
    try:
        assert "Waiting for approval" in visit(crowded, "sending")
        button = crowded.find_element("css selector", "form[action$=approve] button")
        ActionChains(crowded).double_click(button).perform()
        assert crowded.find_element("css selector", "form[action$=release] button").is_displayed()
        assert len(crowded.find_elements("css selector", "section[aria-labelledby=who] tbody tr")) == 1
    finally:
        crowded.execute_cdp_cmd("Network.emulateNetworkConditions", QUICK)
