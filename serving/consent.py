"""Who may be contacted through which channel. Pure."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from features.errors import InputError
from features.programme import Programme


def consenting(
    member_ids: pd.Series, programme: Programme, *, as_of: datetime, contacts: pd.DataFrame | None
) -> pd.DataFrame:
    """Tell for each member and incentive whether they may be contacted through its channel.

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

    Returns
    -------
    pandas.DataFrame
        One boolean column per incentive id, in the index of ``member_ids``.

    Raises
    ------
    InputError
        If there is neither a contacts table nor a stated default.
    """
    channels = {incentive.id: incentive.channel for incentive in programme.incentives}
    if contacts is not None:
        granted = _granted(contacts, as_of)
        columns = {incentive: member_ids.isin(granted.get(channel, [])) for incentive, channel in channels.items()}
        return pd.DataFrame(columns, index=member_ids.index)
    default = programme.guardrails.consent_default
    if channels and default is None:
        raise InputError(
            "there is no contacts table, so consent is unknown: state it as `consent_default = true` or `false` under "
            "[guardrails] of the programme file, or give the table under [data.contacts]"
        )
    return pd.DataFrame(default, index=member_ids.index, columns=list(channels))


def _granted(contacts: pd.DataFrame, as_of: datetime) -> dict[str, pd.Series]:
    """Return the members who consent, per channel."""
    known = contacts[contacts["updated_at"].isna() | (contacts["updated_at"] < as_of)]
    ordered = known.sort_values(["updated_at", "consent"], ascending=[True, False], na_position="first")
    latest = ordered.drop_duplicates(["member_id", "channel"], keep="last")
    granted = latest[latest["consent"].astype(bool)]
    return {str(channel): members for channel, members in granted.groupby("channel")["member_id"]}
