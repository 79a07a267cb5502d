"""Whether members of a policy segment differ in how much an incentive moves them; if not, the segment level stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.programme import Programme
from training.offer_log import OfferLog
from training.prognosis import member_folds
from training.uplift import qini, uplift_scores

FEWEST_OFFERS = 2_000
"""Of either arm: with fewer nothing that differs between members of a segment could be seen."""


@dataclass(frozen=True)
class MemberLevel:
    """What ranking members within their policy segments adds for one incentive.

    Attributes
    ----------
    source
        Where the offers are from.
    incentive_id
        What they were of.
    treated, control
        Offers.
    qini, qini_low, qini_high
        Added share recalled, per member, by treating those ranked highest within each segment and not as many by lot;
        the intervals of all incentives of a source hold at once with the programme's confidence.
    differs
        Whether the interval lies above zero.
    """

    source: str
    incentive_id: str
    treated: int
    control: int
    qini: float
    qini_low: float
    qini_high: float
    differs: bool

    def __str__(self) -> str:
        """Say what follows."""
        if self.differs:
            return f"{self.incentive_id} moves some members of a segment more than others, by what is known of them"
        return f"{self.incentive_id}: members of a segment were not shown to differ, so the segment level stands"


def member_levels(logs: Mapping[str, OfferLog], programme: Programme) -> Iterator[MemberLevel]:
    """Judge member-level uplift of every incentive with enough offers, on members it was not learnt from.

    Logs without logged or constant odds, or without anything known of members, are left out.

    Parameters
    ----------
    logs
        Offers with what came of them, by the name of their source.
    programme
        Its arms, its confidence, and seed and threads of LightGBM.
    """
    for source, log in logs.items():
        if log.covariates and log.evidence in ("randomised", "propensity"):
            yield from _judged(source, log, programme)


def _judged(source: str, log: OfferLog, programme: Programme) -> Iterator[MemberLevel]:
    rules, offers = programme.guardrails, log.offers
    arms = offers["incentive_id"].to_numpy(dtype=object)
    sizes = {arm: int((arms == arm).sum()) for arm in (rules.control_id, *(one.id for one in programme.arms))}
    tested = [arm.id for arm in programme.arms if min(sizes[arm.id], sizes[rules.control_id]) >= FEWEST_OFFERS]
    strata = pd.factorize(offers["policy_segment"] + member_folds(offers["member_id"]).astype(str))[0]
    members = pd.factorize(offers["member_id"])[0]
    for arm in tested:
        scores, effects = uplift_scores(
            offers[list(log.covariates)],
            arms,
            offers["recall"].to_numpy(np.float64),
            offers["propensity"].to_numpy(np.float64),
            treated=arm,
            control=rules.control_id,
            members=offers["member_id"],
            seed=programme.training.seed,
            threads=programme.training.threads,
        )
        worth = qini(scores, effects, strata, members)
        low, high = worth.interval(1 - (1 - rules.confidence) / len(tested))
        yield MemberLevel(source, arm, sizes[arm], sizes[rules.control_id], worth.value, low, high, differs=low > 0)
