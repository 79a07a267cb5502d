"""Bets of small programmes: how well pooled estimates foretell net value, and what betting forgoes beside proving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from choice_rules import judged, recorded
from interval_coverage import regret
from offer_logs import AS_OF, COSTS, draw_log, draw_truth, programme
from seeds import ROOT, Measured, Part, Record

from serving.policy_table import PolicyTable
from serving.segments import POLICY_SEGMENTS
from training.effects import effects_of_log

DECILES: Final = 10
Z_90: Final = 1.645
SOURCES: Final = (Path(__file__), ROOT / "training" / "pooling.py")


def bets_part(offers: int, seeds: int) -> Part:
    """Predicted beside true net value, and net value forgone by `best_bet` and by `proven`, on the same logs."""
    settings, name = programme(mode="best_bet"), f"bets, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed, 7])
        truth = draw_truth(rng)
        policy = effects_of_log(draw_log(rng, truth, offers), settings, AS_OF)
        bet = {segment: choice.incentive_id for segment, choice in policy.choices.items()}
        foretold = [
            (
                effect.pooled_net.value,
                effect.pooled_net.se,
                truth.net[_place(effect.policy_segment, effect.incentive_id)],
            )
            for effect in policy.effects
            if effect.pooled_net is not None
        ]
        return {
            "foretold": [[float(number) for number in row] for row in foretold],
            "bet": judged(truth, bet, settings, upgrades=True),
            "proven": judged(truth, proven_of(policy), settings, upgrades=True),
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        predicted, errors, true = np.array([row for one in seen for row in one["foretold"]]).T
        inside = float(np.mean(np.abs(true - predicted) <= Z_90 * errors))
        slope = float(np.cov(true, predicted)[0, 1] / predicted.var(ddof=1))
        gaps = [
            abs(float(true[rows].mean() - predicted[rows].mean()))
            for rows in np.array_split(np.argsort(predicted), DECILES)
        ]
        best = np.argsort(predicted)[-len(predicted) // DECILES :]
        betting, proving = regret(seen, "bet"), regret(seen, "proven")
        return [
            recorded(f"{name}: slope of true on predicted net value", slope,
                     f".8 to 1.2; {len(seen)} programmes", 0.8 <= slope <= 1.2),
            recorded(f"{name}: true net value in the highest tenth of predictions", true[best].mean(),
                     f"predicted: {predicted[best].mean():.3f}"),
            recorded(f"{name}: largest gap between true and predicted in any tenth", max(gaps),
                     f"spread of true net values: {true.std():.2f}"),
            recorded(f"{name}: 90 % posterior intervals that hold the truth", inside, ".85 to .95",
                     0.85 <= inside <= 0.95),
            recorded(f"{name}: net value forgone by `best_bet`, as a share of the most valuable", betting,
                     f"below that of `proven`, {proving:.3f}", betting < proving),
        ]  # fmt: skip

    return Part(f"bets-{offers}", seeds, measure, summarise, SOURCES)


def proven_of(policy: PolicyTable) -> dict[str, str | None]:
    """Return the choices without those that are bets."""
    effective = {
        (effect.policy_segment, effect.incentive_id) for effect in policy.effects if effect.verdict == "effective"
    }
    return {
        segment: choice.incentive_id if (segment, choice.incentive_id) in effective else None
        for segment, choice in policy.choices.items()
    }


def _place(segment: str, incentive_id: str) -> tuple[int, int]:
    return POLICY_SEGMENTS.index(segment), list(COSTS).index(incentive_id)
