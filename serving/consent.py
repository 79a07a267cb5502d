"""Who may be contacted through which channel. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import numpy as np

from features.checks import Finding
from features.errors import InputError
from features.programme import Programme
from serving.assignment import MemberIds
from serving.by_name import Members, size, texts

_INSTANT: Final = "datetime64[us]"
_EVERY: Final = ""
"""What a refusal is about that names no channel."""

_Statements = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Member ids, channels, whether each is consent, and since when; not a time where none is known."""

_NOTHING_SAID: Final[_Statements] = (
    np.empty(0, dtype=object),
    np.empty(0, dtype=object),
    np.empty(0, dtype=bool),
    np.empty(0, dtype=_INSTANT),
)


def consenting(
    member_ids: MemberIds,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: Members | None,
    unsubscribed: Members | None = None,
) -> np.ndarray:
    """Tell for each member and arm whether they may be contacted through its channel.

    Parameters
    ----------
    member_ids
        Members.
    programme
        Whose incentives and default consent apply.
    as_of
        Only what was said before this instant counts.
    contacts
        ``member_id``, ``channel``, ``consent`` and ``updated_at``. The latest row counts, of two of one instant the
        refusal; a member without a row has not consented. ``None`` where the programme has no such table: then its
        stated default holds for everybody.
    unsubscribed
        ``member_id``, ``channel`` and ``updated_at`` of unsubscribe events; each is a refusal for its channel, or for
        all where it names none.

    Returns
    -------
    numpy.ndarray
        Booleans: one row per member, one column per arm of the programme.

    Raises
    ------
    InputError
        If there is neither a contacts table nor a stated default.
    """
    if contacts is None:
        require_stated(programme)
    stated = zip(_statements(contacts), _refusals(unsubscribed), strict=True)
    member, channel, consent, since = (np.concatenate(both) for both in stated)
    row_of = {member_id: row for row, member_id in enumerate(np.asarray(member_ids, object).tolist())}
    row = np.array([row_of.get(member_id, -1) for member_id in member.tolist()], dtype=np.intp)
    counts = (row >= 0) & (np.isnat(since) | (since < np.datetime64(as_of, "us")))
    latest_last = np.lexsort((~consent, since.view(np.int64)))  # of no instant: before all else
    latest_last = latest_last[counts[latest_last]]
    may = np.full(
        (len(member_ids), len(programme.arms)), contacts is None and bool(programme.guardrails.consent_default)
    )
    for column, arm in enumerate(programme.arms):
        about = channel[latest_last]
        own = latest_last[(about == arm.channel) | (about == _EVERY)]
        may[row[own], column] = consent[own]
    return may


def require_stated(programme: Programme) -> None:
    """Require of a programme without a contacts table, but with something to send, that it states its consent.

    Raises
    ------
    InputError
        If it does not; the message says how to.
    """
    if programme.incentives and programme.guardrails.consent_default is None:
        raise InputError(
            "there is no contacts table, so consent is unknown: state it as `consent_default = true` or `false` under "
            "[guardrails] of the programme file, or give the table under [data.contacts]"
        )


def unreachable(programme: Programme, rows_by_channel: Mapping[str, int] | None) -> list[Finding]:
    """Say which incentives can be sent to nobody because no contact row has their channel.

    Without a contacts table, None, nothing is known to be out of reach.
    """
    if rows_by_channel is None:
        return []
    there = sorted(rows_by_channel)
    return [
        Finding(
            "contacts", "channel",
            f"is never {incentive.channel!r}, so {incentive.id} can be sent to nobody; "
            f"channels there: {', '.join(there) or 'none'}",
            sum(rows_by_channel.values()), [], set_aside=False,
        )
        for incentive in programme.arms
        if incentive.channel not in there
    ]  # fmt: skip


def _statements(contacts: Members | None) -> _Statements:
    if contacts is None:
        return _NOTHING_SAID
    member, channel = texts(contacts, "member_id"), texts(contacts, "channel")
    return member, channel, np.asarray(contacts["consent"], bool), np.asarray(contacts["updated_at"], _INSTANT)


def _refusals(unsubscribed: Members | None) -> _Statements:
    if unsubscribed is None or not size(unsubscribed):
        return _NOTHING_SAID
    member, named = texts(unsubscribed, "member_id"), texts(unsubscribed, "channel")
    channel = np.array([name.lower() if isinstance(name, str) else _EVERY for name in named], dtype=object)
    return member, channel, np.zeros(len(member), dtype=bool), np.asarray(unsubscribed["updated_at"], _INSTANT)
