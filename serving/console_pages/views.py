"""The console's pages: what each shows, and what its buttons do. They block, so they run off the event loop."""

from __future__ import annotations

from datetime import date

from pydantic import ValidationError
from starlette.responses import Response

from features.programme import Programme
from serving.answers import Answers
from serving.console_pages.timeline import timeline
from serving.console_pages.visit import Page, Visit, go
from serving.console_pages.waterfall import Step, waterfall
from serving.contracts import (
    MAX_REASONS,
    Considered,
    RecommendedItem,
    RecommendRequest,
    ScoredItem,
    ScoreRequest,
)
from serving.explanations import Explanation, explain_known
from serving.known import decide_known
from serving.ledger_writing import catch_up
from serving.lookup import utc_now
from serving.publications import Listed
from serving.records import DecisionRecord
from serving.segments import POLICY_SEGMENTS

ALERTS = 20
MAX_WHY = 200
PER_PAGE = 25


def overview(visit: Visit) -> Page:
    """Show the model, the policy, the publication, and whether anything is recommended now."""
    return Page("overview.html.j2", shown={"model": visit.answers.model(request_id=visit.request_id)})


def pause(visit: Visit) -> Response:
    """Recommend nothing from now on."""
    visit.answers.switch.pause(visit.sent.get("why", "").strip()[:MAX_WHY])
    return go("/")


def resume(visit: Visit) -> Response:
    """Recommend again."""
    visit.answers.switch.resume()
    return go("/")


def alerts(visit: Visit) -> Page:
    """Show the alerts raised last, the newest first."""
    catch_up(visit.answers)
    return Page("alerts.html.j2", shown={"alerts": visit.answers.alerts.latest(ALERTS)})


def segments(visit: Visit) -> Page:
    """Show what is offered in each policy segment, and what was considered."""
    policy = visit.answers.segments(request_id=visit.request_id)
    considered = [each for segment in policy.segments for each in segment.considered]
    ordered = sorted(policy.segments, key=lambda segment: POLICY_SEGMENTS.index(segment.policy_segment))
    return Page("segments.html.j2", shown={"policy": policy, "segments": ordered, "reach": _reach(considered)})


def member(visit: Visit) -> Page:
    """Show one member: risk, value, reasons, recommendation, what happened lately; or those whose ids begin so."""
    member_id = visit.request.query_params.get("id", "").strip()
    if not member_id:
        return Page("member.html.j2", shown={"asked": "", "scored": None, "found": None})
    try:
        asked = ScoreRequest(member_ids=[member_id])
    except ValidationError:
        return _found(visit, member_id, [])
    visit.request.state.members = [member_id]
    [scored] = visit.answers.score(asked, request_id=visit.request_id).results
    if not isinstance(scored, ScoredItem):
        after = visit.request.query_params.get("after", "")
        return _found(visit, member_id, visit.answers.store.starting_with(member_id, after=after, limit=PER_PAGE + 1))
    recommended = _recommended(visit, member_id)
    shown = {
        "asked": member_id,
        "scored": scored,
        "found": None,
        "recommended": recommended,
        "chosen": recommended and _arm(recommended, visit.answers.programme),
        "reach": _reach(recommended.considered if recommended else []),
        "steps": _steps(visit.answers, scored),
        "timeline": timeline(member_id, visit.answers.programme, visit.write),
    }
    return Page("member.html.j2", shown=shown)


def _found(visit: Visit, beginning: str, found: list[Listed]) -> Page:
    """Show a page of the members whose ids begin so, or that there is none."""
    shown = {"asked": beginning, "scored": None, "found": found[:PER_PAGE], "is_more": len(found) > PER_PAGE}
    return Page("member.html.j2", 200 if found else 404, shown)


def _recommended(visit: Visit, member_id: str) -> RecommendedItem | None:
    request = RecommendRequest(member_ids=[member_id])
    [found] = visit.answers.recommend(request, request_id=visit.request_id).results
    return found if isinstance(found, RecommendedItem) else None


def _arm(recommended: RecommendedItem, programme: Programme) -> str | None:
    """Return what is recommended as evidence names it: the incentive by its channel."""
    by_name: dict[tuple[str | None, str | None], str] = {
        (one.id, arm.channel): arm.id for one in programme.incentives for arm in one.arms
    }
    return by_name.get((recommended.recommended_incentive, recommended.channel))


def _steps(answers: Answers, scored: ScoredItem) -> list[Step]:
    """Return the waterfall; empty where the member's history is not there to compute it from."""
    day = date.fromisoformat(scored.decision.as_of)
    as_of = answers.programme.instant(day) if scored.source == "published" else utc_now()
    known = answers.up_to_date([scored.member_id], as_of)
    decided = decide_known(
        known, answers.bundle, answers.policy_table, answers.programme, answers.ration(), reasons=MAX_REASONS
    )
    explained = explain_known(known, answers.bundle)
    decision, explanation = decided.get(scored.member_id), explained.get(scored.member_id)
    if not (isinstance(decision, DecisionRecord) and isinstance(explanation, Explanation)):
        return []
    return waterfall(decision.reasons, explanation.base, explanation.log_odds)


def _reach(considered: list[Considered]) -> tuple[float, float]:
    """Return the range that intervals of effects on recall are drawn in, 0 in it."""
    lows = [each.recall_low for each in considered if each.recall_low is not None]
    highs = [each.recall_high for each in considered if each.recall_high is not None]
    return min([0.0, *lows]), max([0.01, *highs])
