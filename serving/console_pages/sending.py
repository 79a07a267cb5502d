"""The console's page about the send list: look at it, approve it, let it leave once, fetch it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, Response

from features.programme import Programme
from serving.answers import NotReadyError
from serving.approvals import What
from serving.console_pages.visit import HEADERS, Page, Visit, go, refusal
from serving.publications import Standing
from serving.release import release as release_list
from serving.summary import RunSummary

ENTRIES: Final = 20
_REPLACED: Final = (
    "The decisions have been replaced since you looked at them. Look again, then decide.",
    "您查看之后决策已更新，请重新查看后再决定。",
)
_RELEASED: Final = (
    "This send list has been released already. Nothing is sent twice: fetch the list on the page before.",
    "发送名单此前已放行，不会重复发送。请返回上一页下载名单。",
)
_NOT_RELEASED: Final = ("This send list has not been released yet.", "发送名单尚未放行。")


def sending(visit: Visit) -> Page:
    """Show what the latest decisions send, whether it may leave, and who decided so."""
    standing, approvals = _standing(visit), visit.answers.approvals
    pinned = visit.answers.board.read(RunSummary)
    shown = {
        "standing": standing,
        "summary": pinned.sheet if pinned and pinned.as_of == standing.as_of else None,
        "last": approvals.last(standing.publication_id),
        "entries": approvals.latest(ENTRIES),
        "is_written": _file(visit.answers.programme, standing).exists(),
    }
    return Page("sending.html.j2", shown=shown)


def approve(visit: Visit) -> Response | Page:
    """Allow the send list that the visitor has seen to leave."""
    return _decide(visit, "approved")


def withdraw(visit: Visit) -> Response | Page:
    """Take an approval back, as long as nothing has left."""
    return _decide(visit, "withdrawn")


def release(visit: Visit) -> Response | Page:
    """Let an approved send list leave: its assignments go on record and the list is written, once."""
    standing = _standing(visit)
    file = _file(visit.answers.programme, standing)
    if refused := _refused(visit, standing, is_done=standing.released_at is not None and file.exists()):
        return refused
    release_list(
        visit.answers.programme,
        standing.as_of.isoformat(),
        file,
        who=visit.who,
        approved_only=standing.released_at is None,
    )
    return go("/sending")


def send_list(visit: Visit) -> Response | Page:
    """Hand out the list that has left."""
    standing = _standing(visit)
    file = _file(visit.answers.programme, standing)
    if standing.released_at is None or not file.exists():
        return refusal(404, *_NOT_RELEASED)
    return FileResponse(file, media_type="text/csv", filename=f"send_list_{standing.as_of}.csv", headers=dict(HEADERS))


def _decide(visit: Visit, what: What) -> Response | Page:
    standing = _standing(visit)
    if refused := _refused(visit, standing, is_done=standing.released_at is not None):
        return refused
    visit.answers.approvals.enter(standing.publication_id, standing.as_of, what, who=visit.who)
    return go("/sending")


def _refused(visit: Visit, standing: Standing, *, is_done: bool) -> Page | None:
    """Refuse to act on decisions the visitor has not seen, or on what is over."""
    if visit.sent.get("publication") != str(standing.publication_id):
        return refusal(409, *_REPLACED)
    return refusal(409, *_RELEASED) if is_done else None


def _standing(visit: Visit) -> Standing:
    standing = visit.answers.store.standing()
    if standing is None:
        raise NotReadyError("no decisions are published yet; run `winback score`")
    return standing


def _file(programme: Programme, standing: Standing) -> Path:
    return programme.path("var") / f"{programme.output.model}.sent" / f"{standing.as_of}.csv"
