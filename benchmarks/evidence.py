"""Measure the evidence for incentives on offer logs whose truth is known; prints tables, writes results/evidence.json.

The logs are drawn directly, without histories: 12 segments and 5 incentives against control, about half of which do
nothing and the others add 1 to 4 points to a recall of 4 to 15 %; order values are heavy-tailed. What is decided is
compared with the same rule applied to the truth. The reference, on the same logs, is the difference in means with
Bonferroni intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from scipy.stats import binomtest, norm

from features.programme import Programme, parse_programme
from serving.bundle import Effect, Estimate, PolicyTable
from serving.console import rows_table
from serving.policy import cheapest_effective, effective_by_cost, judge
from serving.segments import POLICY_SEGMENTS
from training.effects import effects_frame, effects_of_log
from training.offer_log import OfferLog
from training.trials import trial_log

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "evidence.json"
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

Record = dict[str, Any]


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
        return self.recall * ORDER_VALUE

    @property
    def cost(self) -> np.ndarray:
        """Cost per member treated: contact, and face value for those who order and redeem."""
        contact, face = np.array(list(COSTS.values())).T
        return contact + face * self.redemption * (self.base[:, None] + self.recall)

    @property
    def net(self) -> np.ndarray:
        """Added value after cost."""
        return self.margin - self.cost


def programme() -> Programme:
    """Describe the programme the logs are of."""
    incentives = [
        {"id": id_, "name_en": id_, "name_zh": id_, "contact_cost": contact, "face_value": face}
        for id_, (contact, face) in COSTS.items()
    ]
    given = {"name": "benchmark", "currency": "EUR", "data": {"orders": {"path": "none.csv"}}}
    return parse_programme({**given, "incentives": incentives, "training": {"threads": 1}})


def draw_truth(rng: np.random.Generator, *, null: bool = False) -> Truth:
    """Draw a programme; in a null one nothing does anything but cost money."""
    shape = (len(POLICY_SEGMENTS), len(COSTS))
    works = np.zeros(shape, dtype=bool) if null else rng.random(shape) < 0.5
    return Truth(
        shares=rng.dirichlet(np.full(shape[0], 4.0)),
        base=rng.uniform(0.04, 0.15, shape[0]),
        recall=np.where(works, rng.uniform(0.01, 0.04, shape), 0.0),
        redemption=rng.uniform(0.2, 0.6, shape),
    )


def draw_log(rng: np.random.Generator, truth: Truth, offers: int, *, confounding: float = 0.0) -> OfferLog:
    """Draw a log; members have about one and a half offers each. With confounding the lively are treated more often."""
    member = rng.integers(0, int(offers / 1.5), offers)
    liveliness, typical = rng.normal(size=offers)[member], np.exp(rng.normal(0, 0.5, offers))[member]
    segment = rng.choice(len(truth.shares), offers, p=truth.shares)[member]
    treated = 1 / (1 + np.exp(np.log(CONTROL_SHARE / (1 - CONTROL_SHARE)) - confounding * liveliness))
    arm = np.where(rng.random(offers) < treated, rng.integers(1, 1 + len(COSTS), offers), 0)
    propensity = np.where(arm == 0, 1 - treated, treated / len(COSTS))
    lift = np.exp(0.6 * liveliness - 0.6**2 / 2)
    effect = np.column_stack([np.zeros(len(truth.base)), truth.recall])[segment, arm]
    recalled = rng.random(offers) < truth.base[segment] * lift + effect
    spent = typical / np.exp(0.5**2 / 2) * np.exp(rng.normal(-(0.7**2) / 2, 0.7, offers)) * ORDER_VALUE
    redemption = np.column_stack([np.zeros(len(truth.base)), truth.redemption])[segment, arm]
    redeemed = recalled & (rng.random(offers) < redemption)
    contact, face = np.vstack([[0.0, 0.0], list(COSTS.values())])[arm].T
    cost = contact + face * redeemed
    log = pd.DataFrame(
        {
            "member_id": member,
            "incentive_id": np.array(["control", *COSTS])[arm],
            "policy_segment": np.array(POLICY_SEGMENTS)[segment],
            "week": MONDAY + pd.to_timedelta(7 * rng.integers(0, WEEKS, offers), unit="D"),
            "propensity": propensity,
            "recall": recalled.astype(float),
            "margin": recalled * spent,
            "redeemed": redeemed.astype(float),
            "cost": cost,
            "net": recalled * spent - cost,
            "liveliness": liveliness + rng.normal(0, 0.5, offers),
            "typical_value": typical * np.exp(rng.normal(0, 0.3, offers)),
            "noise": rng.normal(size=offers),
        }
    )
    return OfferLog(log, "propensity" if confounding else "randomised", 0, (), COVARIATES)


def reference(log: OfferLog, settings: Programme) -> dict[str, str | None]:
    """Choose by differences in means, Bonferroni intervals of recall and the same rule."""
    z = float(norm.isf((1 - settings.guardrails.confidence) / 2 / (len(POLICY_SEGMENTS) * len(COSTS))))
    outcomes = ["recall", "margin", "net", "cost"]
    cells = log.offers.groupby(["policy_segment", "incentive_id"])[outcomes].agg(["mean", "var", "size"])
    choices = {}
    for segment in POLICY_SEGMENTS:
        effects = [_difference(cells, segment, id_, z, settings) for id_ in COSTS if (segment, id_) in cells.index]
        choices[segment] = cheapest_effective(effects, settings.incentives, settings.guardrails).incentive_id
    return choices


def _difference(cells: pd.DataFrame, segment: str, incentive_id: str, z: float, settings: Programme) -> Effect:
    treated, control = cells.loc[(segment, incentive_id)], cells.loc[(segment, "control")]
    estimates = {}
    for name in ("recall", "margin", "net"):
        value = float(treated[name, "mean"] - control[name, "mean"])
        se = float(np.sqrt(treated[name, "var"] / treated[name, "size"] + control[name, "var"] / control[name, "size"]))
        bounds = {"simultaneous_low": value - z * se, "simultaneous_high": value + z * se}
        estimates[name] = Estimate(value=value, se=se, low=value - 1.96 * se, high=value + 1.96 * se, **bounds)
    sizes = {"n_treated": int(treated["recall", "size"]), "n_control": int(control["recall", "size"])}
    verdict, why = judge(
        **sizes, recall=estimates["recall"], net=estimates["net"], evidence="randomised", guardrails=settings.guardrails
    )
    return Effect(
        policy_segment=segment, incentive_id=incentive_id, **sizes, **estimates, redemption_rate=0.0,
        cost_per_member=float(treated["cost", "mean"]), verdict=verdict, why=why,
    )  # fmt: skip


def oracle(truth: Truth, settings: Programme, *, upgrades: bool) -> list[str | None]:
    """Choose per segment by the same rule, knowing the truth: the cheapest that works or, upgraded, the best."""
    works = (truth.recall > settings.guardrails.recall_floor) & (truth.net >= -settings.guardrails.loss_tolerance)
    merit = np.where(works, truth.net if upgrades else -truth.cost, -np.inf)
    return [list(COSTS)[best] if found else None for best, found in zip(merit.argmax(1), works.any(1), strict=True)]


def cheapest_of(policy: PolicyTable, settings: Programme) -> dict[str, str | None]:
    """Return per segment the cheapest incentive shown to work, upgrades left aside."""
    cheapest = {}
    for segment in POLICY_SEGMENTS:
        own = [effect for effect in policy.effects if effect.policy_segment == segment]
        ranked = effective_by_cost(own, settings.incentives)
        cheapest[segment] = ranked[0].incentive_id if ranked else None
    return cheapest


def value_of(choices: list[str | None], truth: Truth) -> float:
    """Return the true net value per member of sending what was chosen."""
    return sum(
        truth.shares[segment] * truth.net[segment, list(COSTS).index(choice)]
        for segment, choice in enumerate(choices)
        if choice is not None
    )


def judged(
    truth: Truth, choices: dict[str, str | None], settings: Programme, *, upgrades: bool = False
) -> dict[str, float]:
    """Compare choices with the oracle's: member weight of equal ones, and net value forgone as a share of its."""
    known, made = oracle(truth, settings, upgrades=upgrades), [choices[segment] for segment in POLICY_SEGMENTS]
    equal = sum(share for share, ours, best in zip(truth.shares, made, known, strict=True) if ours == best)
    best = value_of(known, truth)
    return {"equal": equal, "best": best, "forgone": best - value_of(made, truth)}


def covered(policy: PolicyTable, truth: Truth) -> tuple[int, int, bool]:
    """Count pointwise intervals and those that hold the truth, and tell whether all simultaneous ones do."""
    frame = effects_frame(policy)
    rows = frame["policy_segment"].map(POLICY_SEGMENTS.index), frame["incentive_id"].map(list(COSTS).index)
    known = {"recall": truth.recall, "margin": truth.margin, "net": truth.net}
    inside = {name: _inside(frame, name, values[rows], "") for name, values in known.items()}
    everywhere = _inside(frame, "recall", truth.recall[rows], "simultaneous_").all()
    return inside["recall"].sum() + inside["net"].sum(), 2 * len(frame), bool(everywhere)


def _inside(frame: pd.DataFrame, name: str, truth: np.ndarray, kind: str) -> np.ndarray:
    return np.asarray((frame[f"{name}_{kind}low"] <= truth) & (truth <= frame[f"{name}_{kind}high"]))


def evidence(offers: int, seeds: int, settings: Programme, *, confounding: float = 0.0) -> list[Record]:
    """Measure coverage, power, choice and regret over programmes; regret is a ratio of sums over all of them."""
    ours, upgraded, theirs, inside, intervals, held, seconds = [], [], [], 0, 0, 0, 0.0
    works = proven = 0
    for seed in range(seeds):
        rng = np.random.default_rng([offers, seed])
        truth = draw_truth(rng)
        log = draw_log(rng, truth, offers, confounding=confounding)
        started = time.perf_counter()
        policy = effects_of_log(log, settings, AS_OF)
        seconds += time.perf_counter() - started
        hits, counted, everywhere = covered(policy, truth)
        inside, intervals, held = inside + hits, intervals + counted, held + everywhere
        chosen = {segment: choice.incentive_id for segment, choice in policy.choices.items()}
        ours.append(judged(truth, cheapest_of(policy, settings), settings))
        upgraded.append(judged(truth, chosen, settings, upgrades=True))
        theirs.append(judged(truth, reference(log, settings), settings))
        works, proven = works + int((truth.recall > 0).sum()), proven + _proven(policy, truth)
    name = f"{offers // 1000}k offers" + (", confounded, propensities logged" if confounding else "")
    pointwise, familywise = inside / intervals, binomtest(held, seeds).proportion_ci()
    equal, reference_equal = (float(np.mean([one["equal"] for one in each])) for each in (ours, theirs))
    regret, reference_regret = (_regret(each) for each in (ours, theirs))
    bounds = f"exact 95 % bounds {familywise.low:.2f} to {familywise.high:.2f}, {seeds} programmes"
    records = [
        _record(f"{name}: pointwise coverage", pointwise, ".93 to .97", 0.93 <= pointwise <= 0.97),
        _record(f"{name}: simultaneous coverage", held / seeds, f"not below .95 ({bounds})", familywise.high >= 0.95),
        _record(f"{name}: effects that work and are shown to recall", proven / works, "", None),
    ]
    if confounding:
        return records
    at_most = 0.05 if offers >= 1_000_000 else reference_regret
    return [
        *records,
        _record(
            f"{name}: cheapest choice equal to oracle",
            equal,
            f"reference {reference_equal:.3f}",
            equal >= reference_equal,
        ),
        _record(f"{name}: net-value regret", regret, f"at most {at_most:.3f}", regret <= at_most),
        _record(f"{name}: net-value regret of the reference", reference_regret, "", None),
        _record(f"{name}: net-value regret with upgrades, against the most valuable", _regret(upgraded), "", None),
        _record(f"{name}: seconds", seconds / seeds, "", None),
    ]


def null_programmes(offers: int, seeds: int, settings: Programme) -> list[Record]:
    """Count programmes in which nothing works and something is shown to recall, or chosen."""
    shown = chosen = 0
    for seed in range(seeds):
        rng = np.random.default_rng([17, seed])
        truth = draw_truth(rng, null=True)
        log = draw_log(rng, truth, offers)
        policy = effects_of_log(OfferLog(log.offers, log.evidence, 0, ()), settings, AS_OF)
        shown += any(effect.recall.simultaneous_low > 0 for effect in policy.effects)
        chosen += any(choice.incentive_id for choice in policy.choices.values())
    high = float(binomtest(shown, seeds).proportion_ci().high)
    return [
        _record(
            f"null programmes, {offers // 1000}k offers: any false 'recalls'",
            shown / seeds,
            f"upper exact bound below .08; it is {high:.3f} ({seeds} programmes)",
            high < 0.08,
        ),
        _record(f"null programmes, {offers // 1000}k offers: any false choice", chosen / seeds, "", None),
    ]


def hillstrom(file: Path) -> list[Record]:
    """Compare effects on visit and spend of a real randomised test with differences in means."""
    given = pd.read_parquet(file)
    given["unit_id"] = np.arange(len(given))
    covariates = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
    theirs = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
    trials = {
        "path": str(file), "columns": {"incentive_id": "segment", "recalled": "visit", "value": "spend"},
        "incentives": theirs, "control_id": "No E-Mail", "covariates": covariates, "policy_segments": ["low__mid"],
    }  # fmt: skip
    catalogue = [{"id": id_, "name_en": id_, "name_zh": id_} for id_ in theirs]
    data = {"orders": {"path": "none.csv"}, "trials": trials}
    settings = parse_programme({"name": "Hillstrom", "currency": "USD", "data": data, "incentives": catalogue})
    policy = effects_of_log(trial_log(given, settings.data.trials[0], settings), settings, AS_OF)
    records = []
    for effect in policy.effects:
        if effect.policy_segment == "low__mid":
            treated, control = (
                given[given["segment"] == theirs[effect.incentive_id]],
                given[given["segment"] == "No E-Mail"],
            )
            for outcome, estimate in (("visit", effect.recall), ("spend", effect.margin)):
                mean = treated[outcome].mean() - control[outcome].mean()
                se = np.sqrt(treated[outcome].var() / len(treated) + control[outcome].var() / len(control))
                name = f"Hillstrom, {effect.incentive_id} e-mail, {outcome}"
                records += [
                    _record(
                        f"{name}: effect", estimate.value, f"within half a standard error of {mean:.5f}",
                        abs(estimate.value - mean) <= se / 2,
                    ),
                    _record(f"{name}: standard error over that of the difference in means", estimate.se / se,
                            "at most 1", estimate.se <= se),
                ]  # fmt: skip
    return records


def _proven(policy: PolicyTable, truth: Truth) -> int:
    return sum(
        effect.recall.simultaneous_low > 0
        and truth.recall[POLICY_SEGMENTS.index(effect.policy_segment), list(COSTS).index(effect.incentive_id)] > 0
        for effect in policy.effects
    )


def _regret(programmes: list[dict[str, float]]) -> float:
    return sum(one["forgone"] for one in programmes) / sum(one["best"] for one in programmes)


def _record(name: str, value: float, goal: str, holds: bool | None) -> Record:
    return {
        "name": name,
        "value": round(float(value), 5),
        "goal": goal,
        "holds": None if holds is None else bool(holds),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="programmes at 50k offers; fewer at more")
    parser.add_argument("--null-seeds", type=int, default=400)
    arguments = parser.parse_args()
    settings, seeds = programme(), arguments.seeds
    records = [
        *evidence(50_000, seeds, settings),
        *evidence(200_000, max(seeds // 2, 2), settings),
        *evidence(1_000_000, max(seeds // 5, 1), settings),
        *evidence(50_000, seeds, settings, confounding=0.7),
        *null_programmes(20_000, arguments.null_seeds, settings),
    ]
    data = os.environ.get("DATA")
    records += hillstrom(Path(data) / "hillstrom.parquet") if data else []
    Console(width=160).print(rows_table("Evidence for incentives", records))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
