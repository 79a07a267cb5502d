"""Offer logs whose truth is known, drawn directly, without histories.

12 segments and 5 incentives against control, about half of which do nothing and the others add 1 to 4 points to a
recall of 4 to 15 %; order values are heavy-tailed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.programme import Programme, parse_programme
from serving.policy_table import Evidence
from serving.segments import POLICY_SEGMENTS
from training.offer_log import OfferLog

AS_OF = datetime(2026, 3, 2)
MONDAY = pd.Timestamp("2025-11-03")
WEEKS = 8
CONTROL_SHARE = 0.3
COSTS = {
    "points": (0.01, 4.0),
    "shipping": (0.05, 8.0),
    "coupon": (0.05, 16.0),
    "bundle": (0.05, 30.0),
    "call": (2.0, 0.0),
}
ORDER_VALUE = 60.0
COVARIATES = ("liveliness", "typical_value", "noise")


@dataclass(frozen=True)
class Truth:
    """What is true of a programme, per policy segment and incentive."""

    shares: np.ndarray
    base: np.ndarray
    recall: np.ndarray
    redemption: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """Added value before cost: those recalled spend what others do."""
        return np.asarray(self.recall * ORDER_VALUE)

    @property
    def cost(self) -> np.ndarray:
        """Cost per member treated: contact, and face value for those who order and redeem."""
        contact, face = np.array(list(COSTS.values())).T
        return np.asarray(contact + face * self.redemption * (self.base[:, None] + self.recall))

    @property
    def net(self) -> np.ndarray:
        """Added value after cost."""
        return np.asarray(self.margin - self.cost)


def programme(**guardrails: Any) -> Programme:
    """Describe the programme the logs are of."""
    incentives = [
        {"id": id_, "name_en": id_, "name_zh": id_, "contact_cost": contact, "face_value": face}
        for id_, (contact, face) in COSTS.items()
    ]
    given = {"name": "benchmark", "currency": "EUR", "data": {"orders": {"path": "none.csv"}}}
    return parse_programme({**given, "incentives": incentives, "guardrails": guardrails, "training": {"threads": 1}})


def draw_truth(rng: np.random.Generator, *, null: bool = False, alike: float | None = None) -> Truth:
    """Draw a programme; in a null one nothing does anything but cost money, and with ``alike`` all work alike."""
    shape = (len(POLICY_SEGMENTS), len(COSTS))
    works = np.zeros(shape, dtype=bool) if null else rng.random(shape) < 0.5
    drawn = np.where(works, rng.uniform(0.01, 0.04, shape), 0.0)
    return Truth(
        shares=rng.dirichlet(np.full(shape[0], 4.0)),
        base=rng.uniform(0.04, 0.15, shape[0]),
        recall=drawn if alike is None else np.full(shape, alike),
        redemption=rng.uniform(0.2, 0.6, shape),
    )


def randomised(liveliness: np.ndarray, *, confounding: float = 0.0) -> np.ndarray:
    """Return the chance of each arm, control first; with confounding the lively are treated more often."""
    treated = 1 / (1 + np.exp(np.log(CONTROL_SHARE / (1 - CONTROL_SHARE)) - confounding * liveliness))
    return np.column_stack([1 - treated, *[treated / len(COSTS)] * len(COSTS)])


def without_overlap(liveliness: np.ndarray) -> np.ndarray:
    """Return chances that nothing can be learnt from: the lively are treated, the others are not."""
    treated = (liveliness > 0).astype(float)
    return np.column_stack([1 - treated, *[treated / len(COSTS)] * len(COSTS)])


@dataclass(frozen=True)
class Base:
    """Members who were offered something: their segment and traits, one row per offer."""

    member: np.ndarray
    segment: np.ndarray
    liveliness: np.ndarray
    typical: np.ndarray


def draw_base(rng: np.random.Generator, truth: Truth, offers: int) -> Base:
    """Draw whom offers go to; members have about one and a half offers each."""
    member = rng.integers(0, int(offers / 1.5), offers)
    liveliness, typical = rng.normal(size=offers)[member], np.exp(rng.normal(0, 0.5, offers))[member]
    return Base(member, rng.choice(len(truth.shares), offers, p=truth.shares)[member], liveliness, typical)


def respond(
    rng: np.random.Generator, truth: Truth, base: Base, *, arm: np.ndarray, propensity: np.ndarray, week: np.ndarray
) -> pd.DataFrame:
    """Draw what comes of offers: which arm each is of, control being 0, how likely that was, and its week."""
    offers, segment = len(base.member), base.segment
    lift = np.exp(0.6 * base.liveliness - 0.6**2 / 2)
    effect = np.column_stack([np.zeros(len(truth.base)), truth.recall])[segment, arm]
    recalled = rng.random(offers) < truth.base[segment] * lift + effect
    spent = base.typical / np.exp(0.5**2 / 2) * np.exp(rng.normal(-(0.7**2) / 2, 0.7, offers)) * ORDER_VALUE
    redemption = np.column_stack([np.zeros(len(truth.base)), truth.redemption])[segment, arm]
    redeemed = recalled & (rng.random(offers) < redemption)
    contact, face = np.vstack([[0.0, 0.0], list(COSTS.values())])[arm].T
    cost = contact + face * redeemed
    return pd.DataFrame(
        {
            "member_id": base.member,
            "incentive_id": np.array(["control", *COSTS])[arm],
            "policy_segment": np.array(POLICY_SEGMENTS)[segment],
            "week": MONDAY + pd.to_timedelta(7 * week, unit="D"),
            "propensity": propensity,
            "recall": recalled.astype(float),
            "margin": recalled * spent,
            "redeemed": redeemed.astype(float),
            "cost": cost,
            "net": recalled * spent - cost,
            "liveliness": base.liveliness + rng.normal(0, 0.5, offers),
            "typical_value": base.typical * np.exp(rng.normal(0, 0.3, offers)),
            "noise": rng.normal(size=offers),
        }
    )


def draw_log(
    rng: np.random.Generator,
    truth: Truth,
    offers: int,
    *,
    chances: Callable[[np.ndarray], np.ndarray] = randomised,
    evidence: Evidence = "randomised",
) -> OfferLog:
    """Draw a log of offers over some weeks, whose arms were drawn with chances that may follow liveliness."""
    base = draw_base(rng, truth, offers)
    week, odds = rng.integers(0, WEEKS, offers), chances(base.liveliness)
    arm = (rng.random((offers, 1)) > np.cumsum(odds, axis=1)[:, :-1]).sum(axis=1)
    log = respond(rng, truth, base, arm=arm, propensity=odds[np.arange(offers), arm], week=week)
    return OfferLog(log, evidence, 0, (), COVARIATES)
