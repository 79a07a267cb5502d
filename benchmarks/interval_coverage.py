"""What intervals hold, what is found and what is chosen, on simulated logs of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from choice_rules import cheapest_of, judged, recorded, reference
from offer_logs import AS_OF, COSTS, Truth, draw_log, draw_truth, programme, randomised, without_overlap
from scipy.stats import binomtest
from seeds import Measured, Part, Record

from features.programme import Programme
from serving.policy_table import PolicyTable
from serving.segments import POLICY_SEGMENTS
from training.effects import effects_frame, effects_of_log
from training.offer_log import OfferLog

CONFOUNDING = 0.7
ALIKE = 0.04
LARGE = 1_000_000


def has_enough(policy: PolicyTable, settings: Programme) -> np.ndarray:
    """Tell which effects have offers enough to be evidence: of others nothing is said at once."""
    least = settings.guardrails.min_treated, settings.guardrails.min_control
    sizes = np.array([(effect.n_treated, effect.n_control) for effect in policy.effects])
    return np.asarray((sizes >= least).all(axis=1))


def is_anything_shown(policy: PolicyTable, settings: Programme) -> bool:
    """Tell whether any effect on recall is shown to be above zero."""
    lows = np.array([effect.recall.simultaneous_low for effect in policy.effects])
    return bool((has_enough(policy, settings) & (lows > 0)).any())


def covered(policy: PolicyTable, truth: Truth, settings: Programme) -> Measured:
    """Count pointwise intervals that hold the truth, effects found, and whether all that is said at once is true."""
    frame = effects_frame(policy)
    rows = frame["policy_segment"].map(POLICY_SEGMENTS.index), frame["incentive_id"].map(list(COSTS).index)
    recall, net = truth.recall[rows], truth.net[rows]
    enough = has_enough(policy, settings)
    found = enough & (frame["recall_simultaneous_low"].to_numpy() > 0)
    at_once = ~enough | _inside(frame, "recall", recall, "simultaneous_") | (found & (recall > 0))
    return {
        "intervals": len(frame),
        "recall": int(_inside(frame, "recall", recall, "").sum()),
        "net": int(_inside(frame, "net", net, "").sum()),
        "held": bool(at_once.all() and not (found & (recall <= 0)).any()),
        "works": int((recall > 0).sum()),
        "proven": int((found & (recall > 0)).sum()),
    }


def _inside(frame: pd.DataFrame, name: str, truth: np.ndarray, kind: str) -> np.ndarray:
    return np.asarray((frame[f"{name}_{kind}low"] <= truth) & (truth <= frame[f"{name}_{kind}high"]))


def coverage_records(name: str, seen: Sequence[Measured]) -> list[Record]:
    """Summarise :func:`covered` over programmes."""
    n = len(seen)
    held = sum(one["held"] for one in seen)
    exact = binomtest(held, n).proportion_ci()
    pointwise = [
        recorded(
            f"{name}: pointwise coverage, {outcome}",
            value := sum(one[outcome] for one in seen) / sum(one["intervals"] for one in seen),
            ".93 to .97",
            0.93 <= value <= 0.97,
        )
        for outcome in ("recall", "net")
    ]
    return [
        *pointwise,
        recorded(
            f"{name}: programmes in which all simultaneous statements hold",
            held / n,
            f"at least .95; exact 95 % bounds {exact.low:.3f} to {exact.high:.3f}, {n} programmes",
            held / n >= 0.95,
        ),
        recorded(
            f"{name}: effects that work and are shown to recall",
            sum(one["proven"] for one in seen) / max(sum(one["works"] for one in seen), 1),
        ),
    ]


def regret(seen: Sequence[Measured], rule: str) -> float:
    """Net value forgone over the best there was, as a ratio of sums over programmes."""
    return float(sum(one[rule]["forgone"] for one in seen) / sum(one[rule]["best"] for one in seen))


def choices_part(offers: int, seeds: int) -> Part:
    """Coverage, power, choice and regret on randomised logs of one size."""
    settings, name = programme(), f"randomised, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed])
        truth = draw_truth(rng)
        log = draw_log(rng, truth, offers)
        policy = effects_of_log(log, settings, AS_OF)
        chosen = {segment: choice.incentive_id for segment, choice in policy.choices.items()}
        return {
            **covered(policy, truth, settings),
            "cheapest": judged(truth, cheapest_of(policy, settings), settings),
            "upgraded": judged(truth, chosen, settings, upgrades=True),
            "reference": judged(truth, reference(log, settings), settings),
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        equal, theirs = (float(np.mean([one[rule]["equal"] for one in seen])) for rule in ("cheapest", "reference"))
        ours, at_most = regret(seen, "cheapest"), 0.05 if offers >= LARGE else regret(seen, "reference")
        name_of_regret = f"{name}: net-value regret against the same-rule oracle"
        return [
            *coverage_records(name, seen),
            recorded(
                f"{name}: cheapest choice equal to the same-rule oracle's, by member weight",
                equal, f"at least the reference's, {theirs:.3f}", equal >= theirs,
            ),
            recorded(name_of_regret, ours, f"at most {at_most:.3f}", ours <= at_most),
            recorded(f"{name}: the same of the reference (difference in means, Bonferroni)", regret(seen, "reference")),
            recorded(f"{name}: net-value regret with upgrades, against the most valuable", regret(seen, "upgraded")),
        ]  # fmt: skip

    return Part(f"randomised-{offers}", seeds, measure, summarise, (Path(__file__),))


def nulls_part(offers: int, seeds: int) -> Part:
    """Programmes in which nothing works: how often is anything shown to recall, or chosen?"""
    settings, name = programme(), f"null programmes, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([17, seed])
        log = draw_log(rng, draw_truth(rng, null=True), offers)
        policy = effects_of_log(OfferLog(log.offers, log.evidence, 0, ()), settings, AS_OF)
        return {
            "shown": is_anything_shown(policy, settings),
            "chosen": any(choice.incentive_id for choice in policy.choices.values()),
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        records = []
        for what, words in (("shown", "something shown to recall"), ("chosen", "something sent")):
            count = sum(one[what] for one in seen)
            high = float(binomtest(count, len(seen)).proportion_ci().high)
            goal = f"upper exact bound below .08; it is {high:.3f}, {len(seen)} programmes"
            records.append(recorded(f"{name}: {words}", count / len(seen), goal, high < 0.08))
        return records

    return Part(f"null-{offers}", seeds, measure, summarise, (Path(__file__),))


def confounded_part(offers: int, seeds: int) -> Part:
    """The lively are treated more often: with logged propensities, without, and without any overlap."""
    settings, trusting = programme(), programme(accept_observational=True)
    name = f"confounded, {offers // 1000}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed, 3])
        truth = draw_truth(rng)
        log = draw_log(
            rng,
            truth,
            offers,
            chances=lambda lively: randomised(lively, confounding=CONFOUNDING),
            evidence="propensity",
        )
        logged = effects_of_log(log, settings, AS_OF)
        unlogged = OfferLog(log.offers.drop(columns="propensity"), "observational", 0, (), log.covariates)
        judged_as = effects_of_log(unlogged, settings, AS_OF)
        return {
            **covered(logged, truth, settings),
            "adjusted_bias": _bias(judged_as, truth),
            "naive_bias": _naive_bias(log.offers, truth),
            "sent_unlogged": sum(choice.incentive_id is not None for choice in judged_as.choices.values()),
            "refused": _refused(rng, truth, offers),
        }

    def _refused(rng: np.random.Generator, truth: Truth, offers: int) -> float:
        log = draw_log(rng, truth, offers, chances=without_overlap, evidence="observational")
        known = log.offers.assign(liveliness=np.where(log.offers["incentive_id"] == "control", -1.0, 1.0))
        apart = OfferLog(known.drop(columns="propensity"), "observational", 0, (), log.covariates)
        effects = effects_of_log(apart, trusting, AS_OF).effects
        return float(np.mean([effect.verdict == "insufficient_evidence" for effect in effects]))

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        ours, naive = (float(np.mean([one[kind] for one in seen])) for kind in ("adjusted_bias", "naive_bias"))
        sent, refused = (float(np.mean([one[kind] for one in seen])) for kind in ("sent_unlogged", "refused"))
        return [
            *coverage_records(f"{name}, propensities logged", seen),
            recorded(f"{name}, no propensities: bias of recall, in points", 100 * ours,
                     f"nearer zero than the naive difference's, {100 * naive:.2f}", abs(ours) < abs(naive)),
            recorded(f"{name}, no propensities: segments sent anything", sent, "0: observational_only", sent == 0),
            recorded(f"{name}, no overlap: effects refused though observational ones are accepted", refused,
                     "1: too few offers could have gone either way", refused == 1),
        ]  # fmt: skip

    return Part(f"confounded-{offers}", seeds, measure, summarise, (Path(__file__),))


def _lively_first(liveliness: np.ndarray) -> np.ndarray:
    return randomised(liveliness, confounding=CONFOUNDING)


def _bias(policy: PolicyTable, truth: Truth) -> float:
    errors = [
        effect.recall.value
        - truth.recall[POLICY_SEGMENTS.index(effect.policy_segment), list(COSTS).index(effect.incentive_id)]
        for effect in policy.effects
    ]
    return float(np.nanmean(errors))


def _naive_bias(offers: pd.DataFrame, truth: Truth) -> float:
    means = offers.pivot_table(index="policy_segment", columns="incentive_id", values="recall").loc[
        list(POLICY_SEGMENTS)
    ]
    naive = means[list(COSTS)].to_numpy() - means[["control"]].to_numpy()
    return float((naive - truth.recall).mean())


def alike_part(offers: int, seeds: int) -> Part:
    """All incentives work alike: the cheapest should win."""
    settings = programme()

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([offers, seed, 5])
        truth = draw_truth(rng, alike=ALIKE)
        policy = effects_of_log(draw_log(rng, truth, offers), settings, AS_OF)
        return {"equal": judged(truth, cheapest_of(policy, settings), settings)["equal"]}

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        equal = float(np.mean([one["equal"] for one in seen]))
        name = f"all alike, {offers // 1000}k offers: the cheapest is sent, by member weight"
        return [recorded(name, equal, "at least .95", equal >= 0.95)]

    return Part(f"alike-{offers}", seeds, measure, summarise, (Path(__file__),))
