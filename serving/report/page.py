"""Puts the weekly report's content into words and onto one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from features.settings import Language
from serving.drift import THRESHOLD
from serving.measure import WINDOWS_DAYS
from serving.report.content import Content
from serving.report.figures import as_svg, budget_figure, trend_figure
from serving.report.sections import AT_RISK
from serving.results import by_campaign, by_incentive
from serving.templating import environment
from serving.writer import Writer


@dataclass(frozen=True)
class Trend:
    """One figure of the programme's value over the periods, drawn and in numbers."""

    name: str
    values: tuple[str, ...]
    svg: Markup


def render(content: Content, language: Language) -> str:
    """Return the report as one self-contained HTML page."""
    write = Writer(language, content.programme)
    template = environment().get_template("report.html.j2")
    return template.render(
        content=content,
        say=write,
        states=AT_RISK,
        largest=_largest(content),
        reach=_reach(content),
        trends=_trends(content, write),
        curve=content.plan and Markup(as_svg(budget_figure(content.plan.curve), "budget")),  # noqa: S704 -- drawn here
        by_incentive=by_incentive,
        campaigns=by_campaign(content.results, max(WINDOWS_DAYS)),
        ages=_ages(content),
        drift_threshold=THRESHOLD,
    )


def _largest(content: Content) -> float:
    """Return what is at stake in the grid's largest cell, for shading."""
    return max((group.value_at_stake for states in content.grid.values() for group in states.values()), default=0.0)


def _reach(content: Content) -> tuple[float, float]:
    """Return the range of effects on recall that the intervals are drawn in, 0 in it."""
    intervals = [sending.effect.recall for sending in content.sendings if sending.effect]
    low = min((each.simultaneous_low for each in intervals), default=0.0)
    high = max((each.simultaneous_high for each in intervals), default=0.0)
    return min(low, 0.0), max(high, 0.01)


def _trends(content: Content, write: Writer) -> list[Trend]:
    periods = content.value
    if not periods:
        return []
    labels = [f"{period.end:%Y-%m}" for period in periods]
    members = [period.members for period in periods]
    rates = [period.repurchase_rate for period in periods]
    spend = [period.spend_per_member for period in periods]
    return [
        _trend("members", write("Members with an order before", "此前下过单的会员数"), labels, members, write.count),
        _trend("rates", write("Share that ordered again", "复购率"), labels, rates, _one_digit(write)),
        _trend("spend", write("Spend of each who did", "复购会员人均消费"), labels, spend, write.money),
    ]


def _one_digit(write: Writer) -> Callable[[float], str]:
    return lambda share: write.percent(share, digits=1)


def _trend(
    key: str, name: str, labels: Sequence[str], values: Sequence[float], worded: Callable[[float], str]
) -> Trend:
    svg = Markup(as_svg(trend_figure(labels, values, percent=key == "rates"), key))  # noqa: S704 -- drawn here
    return Trend(name, tuple(map(worded, values)), svg)


def _ages(content: Content) -> dict[str, int | None]:
    """Return how many days old the model and the policy were on the as_of date."""

    def age(instant: datetime) -> int:
        return (content.summary.as_of - content.programme.local_date(instant)).days

    return {
        "model": age(content.bundle.trained_until) if content.bundle else None,
        "policy": age(content.evidence.policy.as_of) if content.evidence else None,
    }
