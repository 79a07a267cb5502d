"""Leaving out members of a segment with whom an incentive loses money: when it is done, and what it truly brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from choice_rules import recorded
from offer_logs import (
    AS_OF,
    COSTS,
    COVARIATES,
    MONDAY,
    ORDER_VALUE,
    WEEKS,
    Base,
    Truth,
    draw_base,
    draw_truth,
    programme,
    randomised,
)
from scipy.stats import beta
from seeds import ROOT, Measured, Part, Record

from serving.member_uplift import not_moved
from serving.segments import POLICY_SEGMENTS
from training.effects import effects_of_log
from training.member_level import OFFER_LOG, with_member_uplift
from training.offer_log import OfferLog

Kind = Literal["alike", "subsidised", "differing"]

DIFFERENCE: Final = 1.2
"""Where effects differ, a member a standard deviation livelier than others is moved so much less, as a share."""

SOURCES: Final = (
    Path(__file__),
    ROOT / "serving" / "member_uplift.py",
    *(ROOT / "training" / f"{name}.py" for name in ("member_level", "net_uplift", "uplift")),
)


def members_part(kind: Kind, offers: int, seeds: int) -> Part:
    """Programmes whose members are alike, are subsidised unlike, or are moved unlike, within every segment."""
    settings, name = programme(), f"members {kind}, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed, 13])
        truth = draw_truth(rng)
        base = draw_base(rng, truth, offers)
        if kind == "alike":
            base = Base(base.member, base.segment, np.zeros(offers), np.ones(offers))
        log, net = _drawn(rng, truth, base, kind)
        table, judged = with_member_uplift(effects_of_log(log, settings, AS_OF), {OFFER_LOG: log}, settings)
        left_out = not_moved(log.offers, table, settings)
        chosen = {segment: choice.incentive_id for segment, choice in table.choices.items()}
        sent = log.offers["policy_segment"].map(chosen).map(dict(zip(COSTS, range(len(COSTS)), strict=True)))
        rows = np.flatnonzero(sent.notna())
        arms = sent.iloc[rows].to_numpy(np.intp)
        own, kept = net[rows, arms], ~left_out[rows, arms]
        used = [list(COSTS).index(one.incentive_id) for one in table.member_uplift]
        gains = [float(np.where(left_out[:, arm], -net[:, arm], 0.0).sum()) for arm in used]
        return {
            "judged": len(judged),
            "used": len(used),
            "false": sum(gain <= 0 for gain in gains),
            "segment_level": float(own.sum()) / offers,
            "told_apart": float((own * kept).sum()) / offers,
            "possible": float(own.clip(min=0).sum()) / offers,
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        programmes = len(seen)
        using, wrong = (sum(one[what] > 0 for one in seen) for what in ("used", "false"))
        most_wrong = float(beta.ppf(0.95, wrong + 1, programmes - wrong)) if wrong < programmes else 1.0
        before, after, possible = (
            sum(one[what] for one in seen) for what in ("segment_level", "told_apart", "possible")
        )
        return [
            recorded(f"{name}: programmes in which members are left out", using / programmes,
                     f"{programmes} programmes"),
            recorded(f"{name}: programmes in which that truly loses money", wrong / programmes,
                     f"at most .05; exact 95 % upper bound {most_wrong:.3f}", wrong / programmes <= 0.05),
            recorded(f"{name}: true net value added to that of the segment level, as a share", after / before - 1,
                     f"knowing every member's effect: {possible / before - 1:.3f}", after >= before),
        ]  # fmt: skip

    return Part(f"members-{kind}-{offers}", seeds, measure, summarise, SOURCES)


def _drawn(rng: np.random.Generator, truth: Truth, base: Base, kind: Kind) -> tuple[OfferLog, np.ndarray]:
    """Draw a log, and the true net value of every incentive for every offer's member."""
    offers, segment, liveliness = len(base.member), base.segment, base.liveliness
    odds = randomised(liveliness)
    arm = (rng.random((offers, 1)) > np.cumsum(odds, axis=1)[:, :-1]).sum(axis=1)
    alone = truth.base[segment] * np.exp(0.6 * liveliness - 0.6**2 / 2)
    share = 1 - DIFFERENCE * liveliness if kind == "differing" else np.ones(offers)
    chances = np.clip(np.column_stack([alone, alone[:, None] + truth.recall[segment] * share[:, None]]), 0, 1)
    order = base.typical / np.exp(0.5**2 / 2) * ORDER_VALUE
    contact, face = np.vstack([[0.0, 0.0], list(COSTS.values())]).T
    redemption = np.column_stack([np.zeros(len(truth.base)), truth.redemption])[segment]
    own = np.arange(offers), arm
    recalled = rng.random(offers) < chances[own]
    margin = recalled * order * np.exp(rng.normal(-(0.7**2) / 2, 0.7, offers))
    redeemed = recalled & (rng.random(offers) < redemption[own])
    cost = contact[arm] + face[arm] * redeemed
    log = pd.DataFrame(
        {
            "member_id": base.member,
            "incentive_id": np.array(["control", *COSTS])[arm],
            "policy_segment": np.array(POLICY_SEGMENTS)[segment],
            "week": MONDAY + pd.to_timedelta(7 * rng.integers(0, WEEKS, offers), unit="D"),
            "propensity": odds[own],
            "recall": recalled.astype(float),
            "margin": margin,
            "redeemed": redeemed.astype(float),
            "cost": cost,
            "net": margin - cost,
            "liveliness": liveliness + rng.normal(0, 0.5, offers),
            "typical_value": base.typical * np.exp(rng.normal(0, 0.3, offers)),
            "noise": rng.normal(size=offers),
        }
    )
    worth = chances * order[:, None] - contact - face * redemption * chances
    return OfferLog(log, "randomised", 0, (), COVARIATES), worth[:, 1:] - worth[:, :1]
