"""The console's pages that show what jobs worked out: budgets, campaigns' results, and the models that were trained."""

from __future__ import annotations

from typing import Final

from serving.console_pages.curve import curve
from serving.console_pages.visit import Page, Visit
from serving.frontier import Frontier, Point
from serving.outlook import Outlook
from serving.registry import latest_versions
from serving.results import Results, by_incentive

MODELS: Final = 5
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
    return Page("results.html.j2", shown={"pinned": visit.answers.board.read(Results), "by_incentive": by_incentive})


def models(visit: Visit) -> Page:
    """Show the model that answers, and the registered ones with what was decided about each."""
    answers = visit.answers
    shown = {"bundle": answers.bundle, "versions": latest_versions(answers.programme, MODELS)}
    return Page("models.html.j2", shown=shown)
