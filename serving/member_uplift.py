"""Members for whom an incentive that works in their segment is expected to lose money. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.bundle import Floats
from serving.by_name import Members, is_one_of, numbers, size, texts
from serving.policy_table import MemberUplift, PolicyTable
from serving.scoring import predict_trees

NOT_MOVED: Final = "not_moved"


def uplift_features(policy: PolicyTable | None) -> tuple[str, ...]:
    """Return the features that :func:`not_moved` reads."""
    return tuple(dict.fromkeys(name for one in policy.member_uplift for name in one.features)) if policy else ()


def expected_net(uplift: MemberUplift, inputs: Floats, segments: pd.Series | np.ndarray) -> Floats:
    """Return what sending an incentive is expected to bring each member after cost; NaN in other segments.

    Parameters
    ----------
    uplift
        What was learnt of the incentive.
    inputs
        Its features, one row per member.
    segments
        Members' policy segments.
    """
    codes, names = pd.factorize(segments)
    terms = (uplift.order_value, uplift.level)
    value, level = (np.array([*map(of.get, names), None], np.float64)[codes] for of in terms)
    moved = uplift.recall_weight * predict_trees(uplift.recall, inputs)
    return np.asarray(level + value * moved - predict_trees(uplift.cost, inputs))


def not_moved(members: Members, policy: PolicyTable | None, programme: Programme) -> np.ndarray:
    """Tell for every member and arm whether it is expected to lose money, where that was shown to be worth knowing."""
    arms = [arm.id for arm in programme.arms]
    losing = np.zeros((size(members), len(arms)), dtype=bool)
    if policy is None or not programme.guardrails.member_uplift:
        return losing
    segments = texts(members, "policy_segment")
    for one in policy.member_uplift:
        if one.incentive_id in arms:
            rows = np.flatnonzero(is_one_of(segments, one.level))
            known = np.column_stack([numbers(members, name) for name in one.features])[rows]
            net = expected_net(one, known, segments[rows])
            losing[rows, arms.index(one.incentive_id)] = net < 0
    return losing
