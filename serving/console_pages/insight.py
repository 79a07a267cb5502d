"""The console's pages that show what jobs worked out: budgets, campaigns' results, and the models that were trained."""

from __future__ import annotations

from typing import Final

from serving.console_pages.curve import curve
from serving.console_pages.visit import Page, Visit
from serving.frontier import Frontier, Point
from serving.measure import WINDOWS_DAYS
from serving.outlook import Outlook
from serving.registry import latest_versions
from serving.results import Results, by_campaign, by_incentive

MODELS: Final = 5
_DAYS: Final = sorted(WINDOWS_DAYS, reverse=True)
_NOTHING_SENT: Final = Point(
    budget=0.0,
    outlook=Outlook(0, recalls=0, margin=0, cost=0, setup_cost=0, net_value=0, net_value_low=0, net_value_high=0),
    sent=(),
)


def budget(visit: Visit) -> Page:
    """Show what any budget would bring, and what it would send."""
    pinned = visit.answers.board.read(Frontier)
    if pinned is None or not pinned.sheet.points:
        return Page("budget.html.j2", shown={"pinned": pinned, "points": ()})
    points = (_NOTHING_SENT, *pinned.sheet.points)
    policy = visit.answers.policy_table
    shown = {
        "pinned": pinned,
        "points": points,
        "curve": curve(points),
        "is_old": policy is not None and policy.version != pinned.sheet.policy_version,
    }
    return Page("budget.html.j2", shown=shown)


def results(visit: Visit) -> Page:
    """Show what the latest campaigns brought against their control offers."""
    pinned = visit.answers.board.read(Results)
    found = pinned.sheet if pinned else Results(results=())
    shown = {
        "as_of": pinned and pinned.as_of,
        "incentives": [by_incentive(found.results[0], days, visit.write) for days in _DAYS if found.results],
        "campaigns": [by_campaign(found, days) for days in _DAYS if len(found.results) > 1],
    }
    return Page("results.html.j2", shown=shown)


def models(visit: Visit) -> Page:
    """Show the model that answers, and the registered ones with what was decided about each."""
    answers = visit.answers
    shown = {"bundle": answers.bundle, "versions": latest_versions(answers.programme, MODELS)}
    return Page("models.html.j2", shown=shown)
