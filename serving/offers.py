"""The offer that a decision comes to, as a row of the offer log. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def offer_of(
    decision: Mapping[str, Any], *, offer_id: str, campaign_id: str, assigned_at: datetime, control_id: str
) -> dict[str, Any]:
    """Return the offer of a member who was assigned something, be it control.

    Everybody who could have got something belongs in the log: without those kept as control nothing can be learnt of
    the others, and their cooldown must start alike.

    Parameters
    ----------
    decision
        With the fields of :class:`serving.records.DecisionRecord` about the assignment.
    offer_id
        The same whenever it is asked for, so that twice the same is the same.
    campaign_id
        What the offer is measured as.
    assigned_at
        Naive UTC.
    control_id
        The incentive id that stands for nothing sent.

    Returns
    -------
    dict
        Columns of the input contract's offers: ``propensity`` is the chance of what was assigned, ``probabilities``
        those of all arms, as JSON.
    """
    return {
        "offer_id": offer_id,
        "member_id": decision["member_id"],
        "incentive_id": decision["assigned_incentive"] or control_id,
        "assigned_at": assigned_at.isoformat() + "Z",
        "campaign_id": campaign_id,
        "channel": decision["assigned_channel"],
        "propensity": decision["assigned_probability"],
        "policy_segment": decision["policy_segment"],
        "probabilities": json.dumps(dict(decision["probabilities"]), sort_keys=True),
    }
