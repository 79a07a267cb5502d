"""The console: only for those with a key that holds, safe against other sites, and kind where nothing is known."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from html import unescape

import pytest
from builders import AS_OF, small_programme
from conftest import Published
from houses import Browser, House
from web import application

from features.programme import Programme
from features.schemas import EVENTS
from features.settings_incentives import Incentive
from serving.answers import Answers, open_answers
from serving.bundle_files import save_bundle
from serving.console_pages.routes import MAX_FORM_BYTES
from serving.console_pages.timeline import _EVENTS, timeline
from serving.console_pages.waterfall import waterfall
from serving.database import Database
from serving.gate import Gate
from serving.keys import KeyStore
from serving.records import Reason
from serving.segments import POLICY_SEGMENTS
from serving.writer import Writer

PAGES = (
    "/console/",
    "/console/member",
    "/console/member?id=m001",
    "/console/segments",
    "/console/alerts",
    "/console/budget",
    "/console/sending",
    "/console/results",
    "/console/models",
)
BAD_ID = "<script>alert('x')</script>\"&m"


@pytest.fixture(scope="module")
def answers(published: Published) -> Iterator[Answers]:
    with closing(open_answers(published.programme)) as opened:
        yield opened


@pytest.fixture
def house(answers: Answers, tmp_path) -> Iterator[House]:
    with closing(Database(f"sqlite:///{tmp_path}/keys.db")) as database:
        yield House(answers, KeyStore(database, "shop"))


@pytest.fixture
def empty(tmp_path, published: Published) -> Iterator[House]:
    """Nothing published and no policy yet."""
    programme = small_programme(tmp_path)
    save_bundle(published.bundle, tmp_path / "bundle")
    with (
        closing(open_answers(programme, tmp_path / "bundle")) as answers,
        closing(Database(f"sqlite:///{tmp_path}/keys.db")) as database,
    ):
        yield House(answers, KeyStore(database, "shop"))


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_signed_in_is_asked_to(house, path):
    response = house.visit().get(path)
    assert (response.status_code, response.headers["location"]) == (303, "/console/sign-in")


def test_a_wrong_key_opens_nothing_and_is_told_so(house):
    browser = house.visit()
    response = browser.sign_in("wb_00000000_wrong")
    assert response.status_code == 401
    assert "This key does not hold" in response.text
    assert browser.get("/console/").status_code == 303


def test_without_its_slash_the_console_is_found_too_whatever_host_was_named(house):
    response = Browser(house.app).ask("GET", "/console?lang=zh", headers={"Host": "elsewhere.example"})
    assert (response.status_code, response.headers["location"]) == (303, "/console/?lang=zh")


def test_a_key_that_may_not_read_is_told_so(house):
    _, text = house.add("write")
    response = Browser(house.app).sign_in(text)
    assert response.status_code == 403
    assert "scope score" in response.text


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(house):
    browser, (_, text) = Browser(house.app), house.add("score")
    said = browser.sign_in(text).headers["set-cookie"].lower()
    assert all(part in said for part in ("httponly", "samesite=strict", "path=/console"))
    assert "secure" not in said
    assert text not in said
    over_tls = browser.ask("GET", "/console/sign-in?lang=en", headers={"X-Forwarded-Proto": "https"})
    assert "secure" in over_tls.headers["set-cookie"].lower()


def test_a_forged_session_opens_nothing(house):
    key, _ = house.add("admin")
    browser = Browser(house.app)
    browser.cookies.set("winback_session", f'["{key.id}","token"].x.y', path="/console")
    assert browser.get("/console/").status_code == 303


def test_revoking_a_key_ends_its_sessions(house):
    browser, (key, text) = Browser(house.app), house.add("score")
    browser.sign_in(text)
    assert browser.get("/console/").status_code == 200
    house.keys.revoke(key.id)
    house.around.gate.ring = house.keys.ring()
    assert browser.get("/console/").status_code == 303


def test_signing_out_ends_the_session(house):
    browser = house.visit("score")
    assert browser.ask("POST", "/console/sign-out", data={"token": "guessed"}).status_code == 403
    assert browser.send("/console/sign-out").status_code == 303
    assert browser.get("/console/").status_code == 303


@pytest.mark.parametrize("path", ["/console/pause", "/console/sign-in"])
@pytest.mark.parametrize("fields", [{}, {"token": ""}, {"token": "guessed"}, {"token": "猜"}])
def test_a_form_without_the_sessions_token_is_refused(house, path, fields):
    browser = house.visit("admin")
    assert browser.ask("POST", path, data={"key": "x", **fields}).status_code == 403
    assert house.app.state.answers.switch.current() is None


def test_one_who_may_only_read_sees_no_buttons_and_cannot_act(house):
    browser = house.visit("score")
    page = browser.get("/console/").text
    assert "/console/pause" not in page
    assert browser.send("/console/pause").status_code == 403
    assert house.app.state.answers.switch.current() is None


def test_an_admin_pauses_and_resumes(house):
    browser, switch = house.visit("admin"), house.app.state.answers.switch
    try:
        assert browser.send("/console/pause", why="<b>wrong prices</b>").status_code == 303
        assert switch.current().reason == "<b>wrong prices</b>"
        assert "&lt;b&gt;wrong prices&lt;/b&gt;" in browser.get("/console/").text
        assert "Recommendations are paused" in browser.get("/console/member?id=m001").text
        assert browser.send("/console/resume").status_code == 303
        assert switch.current() is None
    finally:
        switch.resume()


@pytest.mark.parametrize("path", ["/console/sign-in", *PAGES, "/console/nowhere", "/console/member?id=nobody"])
def test_every_page_forbids_scripts_styles_within_and_frames(house, path):
    response = house.visit("score").get(path)
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", response.text)
    assert response.headers["cache-control"] == "no-store"


def test_member_ids_are_text_and_nothing_else(house):
    response = house.visit("score").ask("GET", "/console/member", params={"id": BAD_ID})
    assert response.status_code == 404
    assert "<script" not in response.text
    assert "&lt;script&gt;" in response.text


@pytest.mark.parametrize("member_id", ["nobody", "x" * 200, "a\x00b", "a\nb"])
def test_an_unknown_member_is_said_to_be_unknown(house, member_id):
    response = house.visit("score").ask("GET", "/console/member", params={"id": member_id})
    assert response.status_code == 404
    assert "Nothing is known of this member" in response.text


def test_a_member_is_shown_as_decided(house, published):
    record = next(record for record in published.records.values() if record.policy_segment)
    page = unescape(house.visit("score").get(f"/console/member?id={record.member_id}").text)
    write = Writer("en", published.programme)
    assert write.percent(record.churn_probability) in page
    assert write.money(record.expected_value) in page
    assert write.segment(record.policy_segment) in page
    assert all(reason.en in page for reason in record.reasons)
    assert page.count('class="raises"') + page.count('class="lowers"') > len(record.reasons)
    effects = [e for e in published.policy_table.effects if e.policy_segment == record.policy_segment]
    assert effects
    assert all(f'rowheader">{write.incentive(effect.incentive_id)}</th>' in page for effect in effects)


def test_what_is_recommended_is_marked_among_what_was_considered(house, published):
    record = next(record for record in published.records.values() if record.recommended_incentive)
    page = house.visit("score").get(f"/console/member?id={record.member_id}").text
    assert page.count('data-label="Verdict">Recommended</td>') == 1


def test_an_incentive_with_several_channels_is_named_with_each():
    channels = [{"channel": "sms", "contact_cost": 0.5}, {"channel": "email", "contact_cost": 0.1}]
    gift = Incentive.model_validate({"id": "gift", "name_en": "Gift", "name_zh": "礼物", "channels": channels})
    programme = Programme.model_construct(incentives=(gift,))
    named = [Writer("en", programme).incentive(name) for name in ("gift", "gift@sms", "gone")]
    assert named == ["Gift", "Gift (sms)", "gone"]


def test_both_languages_are_spoken_and_the_one_asked_for_is_kept(house):
    browser = house.visit("score")
    assert '<html lang="en">' in browser.get("/console/").text
    for path in ("/console/?lang=zh", *PAGES):
        page = browser.get(path).text
        assert '<html lang="zh-Hans">' in page
        assert "概览" in page
    assert '<html lang="zh-Hans">' in browser.get("/console/?lang=tlh").text
    assert '<html lang="en">' in browser.get("/console/?lang=en").text


def test_an_empty_store_is_told_kindly(empty):
    browser = empty.visit("score")
    assert "Nothing is published yet" in browser.get("/console/").text
    found = browser.get("/console/member?id=m001")
    assert found.status_code == 503
    assert "Nothing is published yet" in found.text
    assert "There is no policy yet" in browser.get("/console/segments").text
    assert "No alert was raised" in browser.get("/console/alerts").text


def test_alerts_lead_to_their_members_the_newest_first(empty):
    answers = empty.app.state.answers
    moment = datetime(2026, 1, 6)
    for risk, member_id in ((0.8, "m001"), (0.9, "a&b")):
        answers.alerts.watch({member_id: risk}, {}, threshold=0.5, now=moment, published_at=moment)
    page = empty.visit("score").get("/console/alerts").text
    assert page.index("/console/member?id=a%26b") < page.index("/console/member?id=m001")


def test_segments_are_shown_by_tier_and_rhythm(house, published):
    page = unescape(house.visit("score").get("/console/segments").text)
    write = Writer("en", published.programme)
    known = [write.segment(segment) for segment in POLICY_SEGMENTS if segment in published.policy_table.choices]
    assert re.findall(r'<h2 id="s\d+">(.*)</h2>', page) == known


def test_where_no_keys_are_asked_for_nobody_signs_in_and_forms_still_need_their_token(answers):
    browser = Browser(application(answers))
    assert browser.get("/console/sign-in").status_code == 303
    try:
        assert browser.ask("POST", "/console/pause", data={"token": "guessed"}).status_code == 403
        assert browser.send("/console/pause").status_code == 303
        assert answers.switch.current() is not None
    finally:
        answers.switch.resume()


def test_one_who_asks_too_often_is_told_when_to_come_back(house):
    browser, (_, text) = Browser(house.app), house.add("score")
    house.around.gate = Gate(house.keys.ring(), requests_per_minute=2)
    browser.sign_in(text)
    assert [browser.get("/console/").status_code for _ in range(2)] == [200, 429]


def test_only_forms_are_taken_and_the_contract_for_systems_knows_nothing_of_pages(house):
    assert house.visit("admin").ask("POST", "/console/pause", json={}).status_code == 415
    assert not [path for path in house.app.openapi()["paths"] if path.startswith("/console")]


def test_a_form_too_large_is_refused_unread(house):
    response = house.visit().ask("POST", "/console/sign-in", data={"token": "x" * MAX_FORM_BYTES})
    assert response.status_code == 413


def test_styles_are_served_by_the_console_itself(house):
    response = house.visit().get("/console/console.css")
    assert response.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in response.text


def reason(shap_value: float) -> Reason:
    return Reason(code="c", feature="f", feature_value=1.0, shap_value=shap_value, en="seen", zh="看到")


def test_the_waterfall_leads_from_anybody_to_this_member():
    steps = waterfall([reason(2.0), reason(-1.0)], base=-1.0, log_odds=0.5)
    assert [step.moved for step in steps] == [2.0, -1.0, 0.5]
    assert [(step.start, step.width) for step in steps] == [(0.0, 100.0), (50.0, 50.0), (50.0, 25.0)]
    assert [step.raises for step in steps] == [True, False, True]


def test_a_waterfall_of_nothing_is_flat():
    [step] = waterfall([], base=0.3, log_odds=0.3)
    assert (step.moved, step.width) == (0.0, 0.0)


def test_the_timeline_holds_the_latest_of_each_table(published):
    write = Writer("en", published.programme)
    orders = published.frames["orders"]
    happened = timeline("m001", published.programme, write, latest=1_000)
    assert [one.day for one in happened] == sorted((one.day for one in happened), reverse=True)
    own = orders[orders["member_id"] == "m001"]
    assert sum(one.count for one in happened if one.what == "Order") == len(own[own["ordered_at"] < AS_OF])
    assert sum(one.amount for one in happened if one.amount) == pytest.approx(own["net_amount"].sum())
    assert timeline("nobody", published.programme, write) == []


def test_every_event_has_words_in_both_languages():
    assert set(_EVENTS) == set(EVENTS)
