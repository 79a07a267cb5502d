"""What sending incentives is expected to bring, and how sure that is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Programme
from features.remember import remembered
from serving.policy_table import Effect, PolicyTable

CONFIDENCE: Final = 0.95
TWO_SIDED_Z: Final = float(norm.ppf((1 + CONFIDENCE) / 2))

_TOLD: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("policy_segment", "arm", "incentive_id"), "str"),
    **dict.fromkeys(("recall", "recall_low", "recall_high", "margin", "error"), "float64"),
    "evidence": "str",
}


@dataclass(frozen=True)
class Outlook:
    """What sending so much is expected to bring, in the programme's currency.

    ``cost`` has set-up in it, ``net_value`` is margin less cost, and its interval is of the effects' errors, at 95 %.
    """

    members: int
    recalls: float
    margin: float
    cost: float
    setup_cost: float
    net_value: float
    net_value_low: float
    net_value_high: float


@remembered
def expectations(policy: PolicyTable, programme: Programme) -> pd.DataFrame:
    """Return what every arm that is effective, or a bet, is expected to do per member sent it.

    Returns
    -------
    pandas.DataFrame
        ``policy_segment``, ``arm``, ``incentive_id``, ``recall`` with ``recall_low`` and ``recall_high``,
        ``margin``, ``error`` (standard error of net value) and ``evidence``. The bounds are the simultaneous ones,
        which decided. For bets all this is of the pooled estimates they rest on, and the bounds are those of 95 %.
    """
    incentive_of = {arm.id: incentive.id for incentive in programme.incentives for arm in incentive.arms}
    rows = [
        (effect.policy_segment, effect.incentive_id, incentive_of[effect.incentive_id], *_expected(effect, policy))
        for effect in policy.effects
        if effect.verdict in ("effective", "bet") and effect.incentive_id in incentive_of
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(_TOLD)
    return pd.DataFrame(
        {name: pd.Series(list(values), dtype=kind) for (name, kind), values in zip(_TOLD.items(), columns, strict=True)}
    )


def _expected(effect: Effect, policy: PolicyTable) -> tuple[float, float, float, float, float, str]:
    cost, pooled, net = effect.cost_per_member, effect.pooled_recall, effect.pooled_net
    if effect.verdict == "bet" and pooled is not None and net is not None:
        reach = TWO_SIDED_Z * pooled.se
        return pooled.value, pooled.value - reach, pooled.value + reach, net.value + cost, net.se, "bet"
    recall = effect.recall
    bounds = recall.simultaneous_low, recall.simultaneous_high
    return recall.value, *bounds, effect.margin.value, effect.net.se, policy.evidence


def outlook(sent: pd.DataFrame, policy: PolicyTable, programme: Programme) -> Outlook:
    """Add up what is sent.

    One effect's error moves all who get that incentive together. Effects of a segment share its control group, so their
    errors are added as if they were one; segments are independent. Set-up is charged once per incentive, whatever its
    channels.

    Parameters
    ----------
    sent
        One row per ``policy_segment`` and ``arm``: ``members``, and ``weight``, the sum of their weights in the effect
        on margin, see :func:`weights`, and ``cost``, the sum of what they cost, set-up left out.
    policy
        With effects for all of them.
    programme
        Its incentives.
    """
    told = sent.merge(expectations(policy, programme), on=["policy_segment", "arm"], validate="1:1")
    setup = sum(one.setup_cost for one in programme.incentives if one.id in set(told["incentive_id"]))
    cost = float(told["cost"].sum()) + setup
    margin = float((told["margin"] * told["weight"]).sum())
    errors = (told["error"] * told["weight"]).groupby(told["policy_segment"]).sum()
    reach = TWO_SIDED_Z * float(np.sqrt((errors**2).sum()))
    return Outlook(
        members=int(told["members"].sum()),
        recalls=float((told["recall"] * told["members"]).sum()),
        margin=margin,
        cost=cost,
        setup_cost=setup,
        net_value=margin - cost,
        net_value_low=margin - cost - reach,
        net_value_high=margin - cost + reach,
    )


def typical_values(values: pd.Series, members: pd.Series, segments: pd.Series) -> dict[str, float]:
    """Return the mean value if active per policy segment, from sums of values and numbers of members of groups."""
    typical = values.groupby(segments).sum() / members.groupby(segments).sum()
    return {str(segment): float(value) for segment, value in typical.items()}


def weights(values: pd.Series, members: pd.Series, segments: pd.Series, typical: Mapping[str, float]) -> pd.Series:
    """Return what share of a segment's effect on margin falls to groups of its members, 1 per member on average.

    Those recalled spend like themselves, so a share is as large as the value if active.

    Parameters
    ----------
    values
        Sum of each group's values if active.
    members
        Members of each group.
    segments
        Each group's policy segment.
    typical
        Mean value if active per segment; where it is not known, or not above zero, members count alike.
    """
    mean = segments.map(typical).astype("float64")
    return (values / mean).where(mean > 0, members).astype("float64")
