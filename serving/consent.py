"""Who may be contacted through which channel. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from features.checks import Finding
from features.errors import InputError
from features.programme import Programme


def consenting(
    member_ids: pd.Series,
    programme: Programme,
    *,
    as_of: datetime,
    contacts: pd.DataFrame | None,
    unsubscribed: pd.DataFrame | None = None,
) -> pd.DataFrame:
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
    pandas.DataFrame
        One boolean column per arm, in the index of ``member_ids``.

    Raises
    ------
    InputError
        If there is neither a contacts table nor a stated default.
    """
    if contacts is None:
        require_stated(programme)
    channels = {arm.id: arm.channel for arm in programme.arms}
    refusals = _refusals(unsubscribed, set(channels.values()))
    if contacts is not None:
        said = pd.concat([contacts, refusals]) if len(refusals) else contacts
        granted = _granted(member_ids, said[said["updated_at"].isna() | (said["updated_at"] < as_of)])
        may = {arm: granted.get(channel, False) for arm, channel in channels.items()}
        return pd.DataFrame(may, index=member_ids.index, dtype=bool)
    default = bool(programme.guardrails.consent_default)
    refused = {channel: rows["member_id"] for channel, rows in refusals.groupby("channel")}
    columns = {name: default & ~member_ids.isin(refused.get(channel, [])) for name, channel in channels.items()}
    return pd.DataFrame(columns, index=member_ids.index)


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


def _refusals(unsubscribed: pd.DataFrame | None, channels: set[str]) -> pd.DataFrame:
    """Return a refusal per unsubscribe event and channel it is about."""
    if unsubscribed is None or unsubscribed.empty:
        return pd.DataFrame(columns=["member_id", "channel", "consent", "updated_at"])
    named = unsubscribed["channel"].astype("str").str.lower()
    about = [unsubscribed[named.isna() | (named == channel)].assign(channel=channel) for channel in sorted(channels)]
    return pd.concat([unsubscribed[:0], *about]).assign(consent=False)


def _granted(member_ids: pd.Series, said: pd.DataFrame) -> dict[str, np.ndarray]:
    """Tell for each member, per channel, whether what they said last is consent."""
    place = pd.Index(member_ids).get_indexer(pd.Index(said["member_id"]))
    consent = said["consent"].to_numpy(dtype=bool)
    since = said["updated_at"].to_numpy(dtype="datetime64[us]").view(np.int64)  # of nothing: before all else
    granted = {}
    for channel, rows in said.groupby("channel").indices.items():
        own = rows[place[rows] >= 0]
        in_order = own[np.lexsort((~consent[own], since[own]))]
        granted[str(channel)] = np.zeros(len(member_ids), dtype=bool)
        granted[str(channel)][place[in_order]] = consent[in_order]
    return granted
