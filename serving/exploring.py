"""What exploration is expected to cost: whatever a member may get comes up by lot. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.programme import Programme
from serving.budget import Steps


@dataclass(frozen=True)
class Exploration:
    """The lots that are drawn among all a member may get, control included.

    Attributes
    ----------
    share
        Of assignments drawn by lot; the rest is what is recommended.
    cost
        Per member, what the lot is expected to cost; 0 in the holdout.
    incentives
        What may come up.
    """

    share: float
    cost: np.ndarray
    incentives: frozenset[str]

    def charged(self, steps: Steps) -> Steps:
        """Charge every step what it adds to the expected cost of what is assigned: the first one a lot as well."""
        lots = np.where(steps.is_first, self.cost[steps.member], 0.0)
        return replace(steps, charge=(1 - self.share) * steps.cost + lots)

    def of_others(self, steps: Steps) -> float:
        """Return the cost of the lots of members to whom no step leads: they explore whatever the budget."""
        return float(self.cost.sum() - self.of_those(steps, len(steps.member)))

    def of_those(self, steps: Steps, taken: int) -> float:
        """Return the cost of the lots of members whom the first so many steps lead somewhere."""
        return float(self.cost[steps.member[:taken][steps.is_first[:taken]]].sum())


def exploration(members: pd.DataFrame, may_get: np.ndarray, cost: np.ndarray, programme: Programme) -> Exploration:
    """Work out the lots of members who may get something, ``held`` ones left out; see `serving.plan.Contenders`."""
    share = programme.guardrails.exploration_share
    free = may_get & ~members["held"].to_numpy()[:, None]
    lot = share * np.where(free, cost, 0.0).sum(axis=1) / (free.sum(axis=1) + 1)
    incentives = [one.id for one in programme.incentives for _ in one.arms]
    found: Collection[str] = np.array(incentives)[free.any(axis=0)].tolist() if share > 0 and incentives else []
    return Exploration(share, lot, frozenset(found))
