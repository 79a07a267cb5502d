"""The weekly report: one page, in two languages, about what was published."""

import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow.dataset as ds
import pytest
from builders import decision, decisions_table
from conftest import Published
from typer.testing import CliRunner

from features.errors import InputError, RefusedError
from features.settings import Language, State, Tier
from features.sources import load_tables
from serving import cli
from serving.policy import Verdict
from serving.policy_table import Evidence
from serving.ration import Limit, Ration
from serving.records import NoOfferReason
from serving.report.causes import NO_CAUSE, Cause
from serving.report.content import Content, gather
from serving.report.job import write_report
from serving.report.page import render
from serving.report.publications import COLUMNS, SUMMARY, find_publications
from serving.report.sections import CHOSEN, NOT_OFFERED, Exploration, explored, sendings
from serving.results import Results
from serving.segments import POLICY_SEGMENTS
from serving.writer import Writer

HEADINGS = {
    "en": [
        "What changed since last time", "Who is leaving, and what is at stake", "Why they leave", "What to send",
        "What is not recommended, and why", "What a budget would bring", "What campaigns brought",
        "What the programme is worth", "Can this be trusted?",
    ],
    "zh": [
        "与上期相比", "谁在流失，损失多少", "为什么流失", "发放建议", "哪些不推荐，为什么", "预算与收益", "活动效果",
        "会员体系价值", "数据与模型健康度",
    ],
}  # fmt: skip


class Page(HTMLParser):
    """The texts of a page by tag, the addresses it names, and its ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self._open[-1], []).append(data.strip())


@pytest.fixture(scope="module")
def decisions(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The week published, and one before it: the same, but two members' states and a newcomer's absence."""
    folder = tmp_path_factory.mktemp("decisions")
    source = next(published.programme.path("out").glob("as_of=*"))
    table = ds.dataset(source).to_table(columns=[*COLUMNS, "reasons"]).to_pandas()
    summary = json.loads((source / SUMMARY).read_text(encoding="utf-8"))
    risky = table["policy_segment"].notna()
    earlier = table.assign(state=table["state"].where(~risky | (risky.cumsum() > 2), "active")).iloc[:-1]
    for as_of, frame in (("2025-12-29", earlier), (summary["as_of"], table)):
        week = folder / f"as_of={as_of}"
        week.mkdir()
        frame.to_parquet(week / "decisions.parquet", index=False)
        (week / SUMMARY).write_text(json.dumps({**summary, "as_of": as_of}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def content(published: Published, decisions: Path) -> Content:
    now, before = find_publications(decisions, None)
    loaded = load_tables(published.programme)
    return gather(
        published.programme, now, before, bundle=published.bundle, policy=published.policy_table, loaded=loaded
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_every_section_in_either_language(content: Content, language: str) -> None:
    page = Page(render(content, language))
    assert page.texts["h2"] == HEADINGS[language]
    assert len(set(page.ids)) == len(page.ids)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_asks_nothing_of_the_network_and_runs_no_script(content: Content, language: str) -> None:
    html = render(content, language)
    assert "<script" not in html
    assert [a for a in Page(html).addresses if not a.startswith(("#", "data:"))] == []
    assert not re.search(r"@import|url\((?!#)", html)


def test_no_code_is_shown_where_a_name_is_meant(content: Content) -> None:
    chinese = re.sub(r'<style>.*?</style>|class="[^"]*"', "", render(content, "zh"), flags=re.S)
    for code in ("insufficient_evidence", "lapsed_mid", "high__", "not_worth_it", "randomised"):
        assert code not in chinese


def test_the_figures_are_those_of_the_decisions(content: Content, published: Published) -> None:
    records = published.records.values()
    risky = [record for record in records if record.policy_segment]
    assert content.totals.members == len(published.records)
    assert content.totals.at_risk == len(risky)
    assert content.totals.value_at_stake == pytest.approx(sum(record.value_at_stake for record in risky))
    assert content.totals.sent == sum(record.assigned_incentive is not None for record in records)
    assert sum(sending.members for sending in content.sendings) == content.totals.sent
    assert f"{content.totals.at_risk} of {content.totals.members} members" in render(content, "en")


def test_what_changed_is_against_the_publication_before(content: Content) -> None:
    assert content.before is not None
    assert content.before.as_of == date(2025, 12, 29)
    assert content.before.movements["fell"].members == 2
    assert content.before.movements["joined"].members == 1
    assert content.totals.at_risk - content.before.totals.at_risk >= 2


def test_the_budget_curve_ends_with_everybody_worth_an_incentive(content: Content) -> None:
    assert content.plan is not None
    budget, outlook = content.plan.curve[-1]
    assert budget == pytest.approx(content.plan.full_cost)
    assert outlook.members == len(content.plan.offers)


def test_campaigns_are_told_with_their_verdicts_and_a_programme_without_any_says_so(content: Content) -> None:
    overall = content.results.results[0].overall(30)
    html = render(content, "en")
    assert f"{overall.treated} / {overall.control}" in html
    assert Writer("en", content.programme).result(overall.verdict) in html
    assert "Nothing was ever offered" in render(replace(content, results=Results(results=())), "en")


def test_a_first_report_says_that_there_is_nothing_to_compare_with(content: Content) -> None:
    assert "This is the first publication" in render(replace(content, before=None), "en")


def test_a_week_without_anything_to_send_says_so(content: Content) -> None:
    nothing = replace(content.totals, sent=0, recalls=0.0, recalls_low=0.0, recalls_high=0.0, cost=0.0)
    html = render(replace(content, totals=nothing, sendings=[], plan=None), "en")
    assert "Nothing is sent this week: no incentive has been shown to work" in html


def test_where_nothing_is_sent_there_is_nothing_to_add_up(published: Published) -> None:
    nothing = decisions_table(decision(no_offer_reason="no_effect")).to_pandas()
    incentives = published.programme.incentives
    assert sendings(nothing, None, incentives) == []
    assert explored(nothing, incentives) == Exploration(0, 0.0)


def test_what_comes_from_the_tables_is_escaped(content: Content) -> None:
    evil = "<script>alert(1)</script>"
    causes = content.causes.assign(en=evil, zh=evil)
    summary = content.summary.model_copy(update={"programme": evil})
    html = render(replace(content, causes=causes, summary=summary), "en")
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_evidence_that_was_replaced_since_is_not_shown_as_this_weeks(
    published: Published, decisions: Path, tmp_path: Path
) -> None:
    now, _ = find_publications(decisions, None)
    newer = published.policy_table.model_copy(update={"offers": published.policy_table.offers + 1})
    loaded = load_tables(published.programme)
    found = gather(published.programme, now, None, bundle=published.bundle, policy=newer, loaded=loaded)
    assert found.evidence is None
    assert found.plan is None
    assert "The policy table has been replaced since" in render(found, "en")


def test_the_command_writes_the_latest_week_beside_its_decisions(published: Published, decisions: Path) -> None:
    programme = published.programme
    ran = CliRunner().invoke(
        cli.app,
        [
            "report",
            "--programme",
            str(programme.path("programme.toml")),
            "--decisions",
            str(decisions),
            "--language",
            "zh",
        ],
    )
    assert ran.exit_code == 0, ran.output
    page = (decisions / "as_of=2026-01-05" / "report_zh.html").read_text(encoding="utf-8")
    assert 'lang="zh-Hans"' in page
    read_again = pd.read_parquet(decisions / "as_of=2026-01-05" / "decisions.parquet")
    assert len(read_again) == len(published.records)


def test_a_week_that_was_not_published_is_refused(published: Published, decisions: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no decisions as of 2025-12-30"):
        write_report(published.programme, "2025-12-30", decisions, None)
    with pytest.raises(RefusedError, match="no decisions in"):
        write_report(published.programme, None, tmp_path, None)
    with pytest.raises(InputError, match="is not a date"):
        write_report(published.programme, "last week", decisions, None)


def test_a_summary_of_another_version_is_refused(published: Published, tmp_path: Path) -> None:
    week = tmp_path / "as_of=2026-01-05"
    week.mkdir()
    (week / SUMMARY).write_text("{}", encoding="utf-8")
    with pytest.raises(RefusedError, match="laid out as by another version"):
        write_report(published.programme, None, tmp_path, None)


@pytest.mark.parametrize("language", get_args(Language))
def test_everything_that_can_be_decided_has_a_name(published: Published, language: Language) -> None:
    write = Writer(language, published.programme)
    assert all(write.verdict(code) for code in (*get_args(Verdict), CHOSEN, NOT_OFFERED))
    assert all(write.no_offer(code) and write.no_offer_meaning(code) for code in get_args(NoOfferReason))
    assert all(write.tier(code) for code in get_args(Tier))
    assert all(write.state(code) for code in get_args(State))
    assert all(write.segment(code) for code in POLICY_SEGMENTS)
    assert all(write.cause(code) for code in (*get_args(Cause), NO_CAUSE))
    assert all(write.evidence(code) for code in get_args(Evidence))


@pytest.mark.parametrize(("phase", "words"), [(None, "left out for want of it"), ("test", "of the test")])
def test_a_week_with_a_budget_shows_it_beside_what_is_sent(content: Content, phase: str | None, words: str) -> None:
    limit = Limit(budget=12_345.0, phase=phase, multiplier=0.5, lots_below=0.0)
    summary = content.summary.model_copy(update={"ration": Ration(limit=limit)})
    assert "12,345" not in render(content, "en")
    page = render(replace(content, summary=summary), "en")
    assert "12,345" in page
    assert words in page
