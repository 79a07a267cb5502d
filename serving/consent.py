"""Who may be contacted through which channel. Pure."""

from __future__ import annotations

import pandas as pd

from features.errors import InputError
from features.programme import Programme


def consenting(member_ids: pd.Series, consents: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Tell for each member and incentive whether they may be contacted through its channel.

    Parameters
    ----------
    member_ids
        Members.
    consents
        ``member_id``, ``channel`` and ``consent``, one row per member and channel. A member without a row has not
        consented. Where the programme has no such table and no row is given, its stated default holds for everybody.
    programme
        Whose incentives and default consent apply.

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
    if len(consents) or programme.data.contacts is not None:
        granted = consents[consents["consent"].astype(bool)].groupby("channel")["member_id"].agg(set)
        columns = {incentive: member_ids.isin(granted.get(channel, set())) for incentive, channel in channels.items()}
        return pd.DataFrame(columns, index=member_ids.index)
    default = programme.guardrails.consent_default
    if channels and default is None:
        raise InputError(
            "there is no contacts table, so consent is unknown: state it as `consent_default = true` or `false` under "
            "[guardrails] of the programme file, or give the table under [data.contacts]"
        )
    return pd.DataFrame(default, index=member_ids.index, columns=list(channels))
