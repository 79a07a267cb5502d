"""The console's pages about money: budgets, results, models, and the send list that leaves once it is approved."""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from builders import AS_OF, small_programme
from conftest import Published
from houses import House

from features.errors import RefusedError
from features.programme import Programme, load_programme
from features.sources import load_tables
from serving import registry
from serving.answers import Answers, open_answers
from serving.batch import score_programme
from serving.board import pin
from serving.bundle_files import save_bundle, save_policy_table
from serving.console_pages.curve import curve
from serving.database import Database
from serving.frontier import Frontier, Point, Sent
from serving.keys import KeyStore
from serving.outlook import Outlook
from serving.release import release
from serving.report.job import write_report
from serving.resolve import policy_file
from serving.results import latest_results
from serving.writer import Writer

BUTTON = re.compile(r'action="/console/sending/(\w+)"')


@pytest.fixture(scope="module")
def weekly(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """A week that was reported on: everything is on the board."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(published.programme, None, published.programme.path("out"), file)
    with closing(open_answers(published.programme)) as opened:
        yield opened


@pytest.fixture
def house(weekly: Answers, tmp_path) -> Iterator[House]:
    with closing(Database(f"sqlite:///{tmp_path}/keys.db")) as database:
        yield House(weekly, KeyStore(database, "shop"))


@pytest.fixture(scope="module")
def scored(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a programme with decisions, to be copied."""
    programme = small_programme(tmp_path_factory.mktemp("scored") / "shop", published.frames)
    save_bundle(published.bundle, programme.path("bundle"))
    save_policy_table(published.policy_table, policy_file(programme))
    score(programme)
    return programme.folder


@pytest.fixture
def waiting(scored: Path, tmp_path) -> Iterator[House]:
    """Decisions whose send list nobody has looked at yet."""
    folder = shutil.copytree(scored, tmp_path / "shop")
    with (
        closing(open_answers(load_programme(folder / "programme.toml"), folder / "bundle")) as answers,
        closing(Database(f"sqlite:///{tmp_path}/keys.db")) as database,
    ):
        yield House(answers, KeyStore(database, "shop"))


def score(programme: Programme) -> None:
    score_programme(programme, programme.path("out"), as_of=AS_OF, bundle_folder=programme.path("bundle"))


def publication(house: House) -> str:
    return str(house.app.state.answers.store.standing().publication_id)


def decided(house: House) -> list[tuple[str, str]]:
    return [(each.what, each.who) for each in house.app.state.answers.approvals.latest(9)]


def test_a_list_leaves_once_approved_and_can_then_be_fetched(waiting):
    browser, seen = waiting.visit("admin"), publication(waiting)
    assert BUTTON.findall(browser.get("/console/sending").text) == ["approve"]
    assert browser.get("/console/sending/list").status_code == 404
    assert browser.send("/console/sending/approve", publication=seen).status_code == 303
    assert BUTTON.findall(browser.get("/console/sending").text) == ["release", "withdraw"]
    assert browser.send("/console/sending/release", publication=seen).status_code == 303
    assert BUTTON.findall(browser.get("/console/sending").text) == []
    fetched = browser.get("/console/sending/list")
    assert fetched.headers["content-disposition"] == f'attachment; filename="send_list_{AS_OF}.csv"'
    rows = list(csv.DictReader(io.StringIO(fetched.text)))
    assert len(rows) == sum(1 for each in assigned(waiting) if each["assigned_incentive"])
    assert decided(waiting) == [("released", "somebody"), ("approved", "somebody")]


def assigned(house: House) -> list[dict]:
    store = house.app.state.answers.store
    return list(store.assigned(store.standing().publication_id))


def test_nothing_leaves_unapproved_or_after_the_approval_was_withdrawn(waiting):
    browser, seen = waiting.visit("admin"), publication(waiting)
    early = browser.send("/console/sending/release", publication=seen)
    assert early.status_code == 409
    assert "nobody has approved" in early.text
    for step in ("approve", "withdraw"):
        browser.send(f"/console/sending/{step}", publication=seen)
    assert browser.send("/console/sending/release", publication=seen).status_code == 409
    assert waiting.app.state.answers.store.standing().released_at is None


def test_approving_twice_is_one_approval_and_releasing_twice_is_refused_kindly(waiting):
    browser, seen = waiting.visit("admin"), publication(waiting)
    for step in ("approve", "approve", "release"):
        assert browser.send(f"/console/sending/{step}", publication=seen).status_code == 303
    again = browser.send("/console/sending/release", publication=seen)
    assert again.status_code == 409
    assert "released already" in again.text
    assert browser.send("/console/sending/withdraw", publication=seen).status_code == 409
    assert len(decided(waiting)) == 2


def test_an_approval_is_of_what_was_seen_and_not_of_what_replaced_it(waiting):
    browser, seen = waiting.visit("admin"), publication(waiting)
    browser.send("/console/sending/approve", publication=seen)
    score(waiting.app.state.answers.programme)
    assert publication(waiting) != seen
    stale = browser.send("/console/sending/release", publication=seen)
    assert stale.status_code == 409
    assert "replaced since you looked" in stale.text
    assert BUTTON.findall(browser.get("/console/sending").text) == ["approve"]


def test_one_who_may_only_look_neither_decides_nor_fetches(waiting):
    browser, seen = waiting.visit("score"), publication(waiting)
    assert BUTTON.findall(browser.get("/console/sending").text) == []
    for step in ("approve", "withdraw", "release"):
        assert browser.send(f"/console/sending/{step}", publication=seen).status_code == 403
    assert browser.get("/console/sending/list").status_code == 403
    assert decided(waiting) == []


@pytest.mark.parametrize("step", ["approve", "withdraw", "release"])
def test_no_other_site_can_decide(waiting, step):
    forged = {"publication": publication(waiting), "token": "guessed"}
    assert waiting.visit("admin").ask("POST", f"/console/sending/{step}", data=forged).status_code == 403
    assert decided(waiting) == []


def test_the_command_waits_for_the_approval_where_the_programme_asks_for_it(waiting, tmp_path):
    programme = waiting.app.state.answers.programme
    output = programme.output.model_copy(update={"needs_approval": True})
    careful = programme.model_copy(update={"output": output})
    with pytest.raises(RefusedError, match="nobody has approved"):
        release(careful, AS_OF, tmp_path / "list.csv")
    waiting.visit("admin").send("/console/sending/approve", publication=publication(waiting))
    assert release(careful, AS_OF, tmp_path / "list.csv").record["sent"] > 0
    assert decided(waiting)[0] == ("released", "winback release")


def test_a_list_written_elsewhere_can_be_written_again(waiting, tmp_path):
    programme, seen = waiting.app.state.answers.programme, publication(waiting)
    release(programme, AS_OF, tmp_path / "list.csv")
    browser = waiting.visit("admin")
    assert BUTTON.findall(browser.get("/console/sending").text) == ["release"]
    browser.send("/console/sending/release", publication=seen)
    assert browser.get("/console/sending/list").content == (tmp_path / "list.csv").read_bytes()


def test_what_is_about_to_leave_is_added_up(waiting):
    page = unescape(waiting.visit("score").get("/console/sending").text)
    write = Writer("en", waiting.app.state.answers.programme)
    sent = [each["assigned_incentive"] for each in assigned(waiting) if each["assigned_incentive"]]
    for incentive in set(sent):
        assert f'<th scope="row">{write.incentive(incentive)}</th><td>{sent.count(incentive)}</td>' in page


def test_every_budget_of_the_frontier_can_be_chosen(house, weekly):
    page = unescape(house.visit("score").get("/console/budget").text)
    points = weekly.board.read(Frontier).sheet.points
    assert page.count('type="radio"') == len(points) + 1
    write = Writer("en", weekly.programme)
    for point in points:
        assert f"A budget of {write.money(point.budget)}" in page
        assert sum(each.members for each in point.sent) == point.outlook.members


def test_a_curve_is_drawn_with_nothing_sent_at_its_start_and_its_interval_around_it():
    def point(budget: float, net: float) -> Point:
        bounds = {"net_value": net, "net_value_low": net - 20, "net_value_high": net + 20}
        outlook = Outlook(members=1, recalls=1, margin=net, cost=0, setup_cost=0, **bounds)
        return Point(budget=budget, outlook=outlook, sent=())

    drawn = curve([point(0, 20), point(10, 60)])
    assert drawn.ticks == ((100.0, 0.0), (75.0, 20.0), (50.0, 40.0), (25.0, 60.0), (0.0, 80.0))
    assert drawn.dots == ((25.0, 75.0), (75.0, 25.0))
    assert drawn.band == "25.0,50.0 75.0,0.0 75.0,50.0 25.0,100.0"


def test_results_say_what_measure_says(house, weekly):
    programme = weekly.programme
    tables = load_tables(programme, threads=1).tables
    [everything, *_] = latest_results(tables, programme, programme.instant(AS_OF)).results
    page = unescape(house.visit("score").get("/console/results").text)
    overall = everything.overall(30)
    assert f"{overall.treated} / {overall.control}" in page
    assert "All offers together" in page
    assert Writer("en", programme).result(overall.verdict) in page


def test_a_sheet_as_of_an_earlier_date_does_not_take_the_place_of_a_later_one(waiting):
    answers = waiting.app.state.answers
    sent = Sent(policy_segment="low__mid", arm="coupon_20", members=3, cost=1.5)
    early, late = (Frontier(policy_version=name, points=(), not_earned_back=(sent.arm,)) for name in ("early", "late"))
    day = answers.programme.local_date(answers.programme.instant(AS_OF))
    pin(answers.programme, day, late)
    pin(answers.programme, day.replace(year=2020), early)
    assert answers.board.read(Frontier).sheet == late


def test_models_are_told_with_what_was_decided_about_them(house, weekly):
    page = unescape(house.visit("score").get("/console/models").text)
    assert "Version 1 · champion · answers now" in page
    assert "the first model" in page
    assert weekly.bundle.version in page


def test_a_model_that_lost_its_files_is_still_told_of(house, monkeypatch):
    def lost(programme: Programme, number: int) -> None:
        raise RefusedError(f"version {number} has lost its files")

    monkeypatch.setattr(registry, "load_version", lost)
    page = house.visit("score").get("/console/models").text
    assert "Version 1 · champion<" in page
    assert "Its files are lost" in page


def test_a_model_from_a_folder_is_told_of_without_a_registry(waiting):
    assert registry.version_numbers(waiting.app.state.answers.programme) == []
    page = waiting.visit("score").get("/console/models").text
    assert waiting.app.state.answers.bundle.version in page
    assert "no registry here" in page
