"""Whether members of a policy segment differ in what an incentive brings, and whether leaving some of them out pays.

Where both are shown on members that nothing was learnt from, the policy table gets what decisions need to leave them
out. Everywhere else the segment level stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.programme import Programme
from serving.bundle import Floats
from serving.policy import Verdict
from serving.policy_table import MemberUplift, PolicyTable
from training.covariates import AS_FEATURES
from training.net_uplift import Compared, compared, foreseen, learn, scores
from training.offer_log import OfferLog
from training.uplift import qini

OFFER_LOG: Final = "offer log"
"""The source whose covariates are known of members decided about, too."""

EFFECTIVE: Final[Verdict] = "effective"

FEWEST_OFFERS: Final = 2_000
"""Of either arm: with fewer nothing that differs between members of a segment could be seen."""


@dataclass(frozen=True)
class MemberLevel:
    """What telling members of a policy segment apart adds for one incentive.

    The intervals of all incentives of a source hold at once with the programme's confidence.

    Attributes
    ----------
    source
        Where the offers are from.
    incentive_id
        What they were of.
    treated, control
        Offers.
    qini, qini_low, qini_high
        Added net value per member by sending it to those of whom most is expected within each segment and not to as
        many by lot.
    gain, gain_low, gain_high
        Added net value per member of the segments in which it works, by not sending it to those with whom it is
        expected to lose money.
    withheld_share
        Share of these members left out.
    used
        Whether decisions leave them out.
    says
        What follows.
    """

    source: str
    incentive_id: str
    treated: int
    control: int
    qini: float
    qini_low: float
    qini_high: float
    gain: float
    gain_low: float
    gain_high: float
    withheld_share: float
    used: bool
    says: str


@dataclass(frozen=True)
class _Gain:
    """What leaving members out brings per member, its standard error, whom it leaves out, and offers to those."""

    value: float
    se: float
    share: float
    treated: int
    control: int


def with_member_uplift(
    table: PolicyTable, logs: Mapping[str, OfferLog], programme: Programme
) -> tuple[PolicyTable, list[MemberLevel]]:
    """Judge every incentive that works somewhere and has enough offers; put into the table what earned its place.

    Logs without logged or constant odds, or without anything known of members, are left out.

    Parameters
    ----------
    table
        In which segments which incentive works.
    logs
        Offers with what came of them, by the name of their source.
    programme
        Its arms, its limits, and seed and threads of LightGBM.
    """
    judged = [
        each
        for source, log in logs.items()
        if log.covariates and log.evidence in ("randomised", "propensity")
        for each in _judged(source, log, table, programme)
    ]
    earned = tuple(learnt for _, learnt in judged if learnt is not None)
    return table.model_copy(update={"member_uplift": earned}), [level for level, _ in judged]


def _judged(
    source: str, log: OfferLog, table: PolicyTable, programme: Programme
) -> Iterator[tuple[MemberLevel, MemberUplift | None]]:
    features = AS_FEATURES if set(AS_FEATURES) <= set(log.covariates) else log.covariates
    sizes, control = log.offers["incentive_id"].value_counts(), programme.guardrails.control_id
    works = {
        arm.id: [one.policy_segment for one in table.effects if (one.incentive_id, one.verdict) == (arm.id, EFFECTIVE)]
        for arm in programme.arms
        if min(sizes.get(arm.id, 0), sizes.get(control, 0)) >= FEWEST_OFFERS
    }
    tested = {arm: segments for arm, segments in works.items() if segments}
    if not tested:
        return
    foretold = foreseen(log, programme)
    reach = float(norm.isf((1 - programme.guardrails.confidence) / len(tested) / 2))
    for arm, segments in tested.items():
        offers = compared(log, foretold, arm, features, programme)
        expected = scores(offers, arm, programme)
        ranked = qini(expected, offers.net_effects, _strata(offers), offers.members)
        gain = _gain(offers, expected, segments)
        level = MemberLevel(
            source=source,
            incentive_id=arm,
            treated=int(offers.treated.sum()),
            control=int((offers.told & ~offers.treated).sum()),
            qini=ranked.value,
            qini_low=ranked.value - reach * ranked.se,
            qini_high=ranked.value + reach * ranked.se,
            gain=gain.value,
            gain_low=gain.value - reach * gain.se,
            gain_high=gain.value + reach * gain.se,
            withheld_share=gain.share,
            used=False,
            says="",
        )
        refused = _refusal(level, gain, programme)
        says = f"{arm}: {refused or 'not sent to members with whom it is expected to lose money'}"
        earned = None if refused else _published(offers, arm, segments, programme)
        yield replace(level, used=not refused, says=says), earned


def _strata(offers: Compared) -> np.ndarray:
    """Tell apart what is ranked apart: policy segments, and folds, whose scores are of different models."""
    return np.asarray(pd.factorize(offers.segments + offers.folds.astype(str))[0])


def _gain(offers: Compared, expected: Floats, segments: list[str]) -> _Gain:
    """Judge leaving out those expected to lose money by their own effects; offers of a member count together."""
    own = offers.segments.isin(segments).to_numpy()
    left_out = own & (expected < 0)
    saved = np.where(left_out, -offers.net_effects, 0.0)[own]
    value = float(saved.mean())
    moves = np.bincount(offers.members[own], saved - value)
    return _Gain(
        value=value,
        se=float(np.sqrt((moves**2).sum())) / len(saved),
        share=float(left_out.sum() / own.sum()),
        treated=int((left_out & offers.treated).sum()),
        control=int((left_out & offers.told & ~offers.treated).sum()),
    )


def _refusal(level: MemberLevel, gain: _Gain, programme: Programme) -> str:
    """Say why the segment level stands; nothing where it does not."""
    rules = programme.guardrails
    if not level.qini_low > 0:
        return "members of a segment were not shown to differ in what it brings, so the segment level stands"
    if gain.treated < rules.min_treated or gain.control < rules.min_control:
        return "too few offers to members with whom it is expected to lose money, so the segment level stands"
    if not level.gain_low > 0:
        return "leaving out those with whom it should lose money was not shown to pay, so the segment level stands"
    if level.source != OFFER_LOG:
        return "what a trial table knows of members is not known of those decided about, so the segment level stands"
    return (
        ""
        if rules.member_uplift
        else "leaving members out would pay; `member_uplift` is off, so the segment level stands"
    )


def _published(offers: Compared, incentive_id: str, segments: list[str], programme: Programme) -> MemberUplift:
    """Learn from all offers, for the segments in which the incentive works."""
    everything = np.arange(len(offers.segments))
    learnt, _ = learn(offers, incentive_id, programme, of=everything, asked=everything)
    kept = {
        name: {segment: terms[segment] for segment in segments if segment in terms}
        for name, terms in (("order_value", learnt.order_value), ("level", learnt.level))
    }
    return learnt.model_copy(update=kept)
