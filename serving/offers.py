"""The offers that decisions come to, control included, as rows of the offer log. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd


def offers_of(decisions: pd.DataFrame, *, campaign_id: str, assigned_at: datetime, control_id: str) -> pd.DataFrame:
    """Return the offer of everybody who was assigned something, be it control.

    Everybody who could have got something belongs in the log: without those kept as control nothing can be learnt of
    the others, and their cooldown must start alike.

    Parameters
    ----------
    decisions
        With the fields of :class:`serving.records.DecisionRecord` about assignments, one row per member.
    campaign_id
        What the offers are measured as; with the member it makes their ids, so that twice the same is the same.
    assigned_at
        Naive UTC.
    control_id
        The incentive id that stands for nothing sent.

    Returns
    -------
    pandas.DataFrame
        Columns of the input contract's offers, as it wants them: ``propensity`` is the chance of what was assigned,
        ``probabilities`` those of all arms, as JSON.
    """
    assigned = decisions[decisions["assigned_by"].notna()].reset_index(drop=True)
    return pd.DataFrame(
        {
            "offer_id": campaign_id + "/" + assigned["member_id"],
            "member_id": assigned["member_id"],
            "incentive_id": assigned["assigned_incentive"].fillna(control_id),
            "assigned_at": np.datetime64(assigned_at, "us"),
            "campaign_id": campaign_id,
            "channel": assigned["assigned_channel"],
            "propensity": assigned["assigned_probability"],
            "policy_segment": assigned["policy_segment"],
            "probabilities": assigned["probabilities"].map(_as_json).astype("str"),
        }
    )


def _as_json(probabilities: Mapping[str, float] | list[tuple[str, float]]) -> str:
    """Write a mapping, or the pairs that Parquet gives for one."""
    return json.dumps(dict(probabilities), sort_keys=True)
