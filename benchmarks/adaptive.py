"""Programmes that learn from their own offers: 26 weeks in which each week's odds follow what earlier weeks showed.

A test at even odds comes first. From then on the product's own rule is asked every week, on the offers whose response
window has closed, and the product's own assignment draws: holdout, a little exploration, the advice for the rest.
Each member comes up again when the cooldown is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from choice_rules import oracle, recorded, value_of
from interval_coverage import coverage_records, covered, is_anything_shown
from offer_logs import AS_OF, COSTS, COVARIATES, MONDAY, Base, Truth, draw_truth, programme, respond
from scipy.stats import binomtest
from seeds import Measured, Part, Record

from features.programme import Programme
from serving.assignment import assign
from serving.segments import POLICY_SEGMENTS
from training.comparisons import compare, family, tested
from training.effects import by_segment, effects_of_log
from training.offer_log import OfferLog

WEEKS = 26
CYCLE = 4
"""Weeks of the response window, and from one of a member's offers to the next."""

TEST_WEEKS = 4
EXPLORATION = 0.2
ARMS = np.array(["control", *COSTS])
DEEPEST = max(COSTS, key=lambda incentive_id: COSTS[incentive_id][1])

Advice = dict[str, str | None]
NOTHING: Advice = dict.fromkeys(POLICY_SEGMENTS)


@dataclass(frozen=True)
class Lived:
    """A programme's log after all weeks, what was advised in each week, and what the test alone would have advised."""

    log: pd.DataFrame
    advised: list[Advice]
    committed: list[Advice]


def live(rng: np.random.Generator, truth: Truth, settings: Programme, weekly: int) -> Lived:
    """Run a programme in which so many members come up for an offer every week."""
    everybody = _members(rng, truth, CYCLE * weekly)
    weeks: list[pd.DataFrame] = []
    advised: list[Advice] = []
    committed: list[Advice] = []
    for week in range(WEEKS):
        closed = weeks[: max(week - CYCLE + 1, 0)]
        advised.append(advice(closed, settings))
        committed.append(advised[-1] if len(closed) <= TEST_WEEKS else committed[-1])
        weeks.append(_week(rng, truth, settings, _due(everybody, week), week, advised[-1]))
    return Lived(pd.concat(weeks, ignore_index=True), advised, committed)


def advice(weeks: Sequence[pd.DataFrame], settings: Programme) -> Advice:
    """Ask the product what to send, given the weeks that have closed; where nothing is shown to recall, nothing."""
    if not weeks:
        return NOTHING
    offers = pd.concat(weeks, ignore_index=True).drop(columns=list(COVARIATES))
    log = OfferLog(offers.astype(dict.fromkeys(["incentive_id", "policy_segment"], "category")), "propensity", 0, ())
    compared = compare(by_segment([log], settings), settings)
    separations = family(compared, log.evidence, settings.guardrails)
    if not any(one.recalls for one in tested(compared, separations, settings)):
        return NOTHING
    policy = effects_of_log(log, settings, AS_OF)
    return {segment: choice.incentive_id for segment, choice in policy.choices.items()}


def _members(rng: np.random.Generator, truth: Truth, count: int) -> Base:
    segment = rng.choice(len(truth.shares), count, p=truth.shares)
    return Base(np.arange(count), segment, rng.normal(size=count), np.exp(rng.normal(0, 0.5, count)))


def _due(everybody: Base, week: int) -> Base:
    due = everybody.member % CYCLE == week % CYCLE
    return Base(everybody.member[due], everybody.segment[due], everybody.liveliness[due], everybody.typical[due])


def _week(
    rng: np.random.Generator, truth: Truth, settings: Programme, due: Base, week: int, advised: Advice
) -> pd.DataFrame:
    """Assign one week's offers as the product does and draw their outcomes; what was certain tells nothing."""
    members = pd.Series(due.member).astype(str)
    share = 1.0 if week < TEST_WEEKS else settings.guardrails.exploration_share
    assigned = assign(
        members,
        arms=list(COSTS),
        advised=np.array([advised[segment] for segment in POLICY_SEGMENTS], dtype=object)[due.segment],
        may_get=np.full((len(members), len(COSTS)), True),
        last_assignment_days=np.full(len(members), 7.0 * CYCLE if week >= CYCLE else np.nan),
        as_of=(MONDAY + timedelta(weeks=week)).date(),
        guardrails=settings.guardrails.model_copy(update={"exploration_share": share}),
    )
    arm = pd.Index(ARMS).get_indexer(pd.Series(assigned["assigned_arm"]).fillna("control"))
    propensity = assigned["assigned_probability"]
    offers = respond(rng, truth, due, arm=arm, propensity=propensity, week=np.full(len(arm), week))
    return offers[propensity < 1]


def worth(advised: Advice, truth: Truth, *, explored: float) -> float:
    """Return the true net value per member due, holdout apart, where a share is explored and the rest gets advice."""
    choices = [advised[segment] for segment in POLICY_SEGMENTS]
    at_even_odds = float(truth.shares @ truth.net.sum(axis=1)) / len(ARMS)
    return (1 - explored) * value_of(choices, truth) + explored * at_even_odds


def forgone(lived: Lived, truth: Truth, settings: Programme) -> Measured:
    """Sum up over the weeks after the test how far each way of going on falls short of the most valuable incentives."""
    best = value_of(oracle(truth, settings, upgrades=True), truth)
    after = range(TEST_WEEKS, WEEKS)
    explored = settings.guardrails.exploration_share
    deepest: Advice = dict.fromkeys(POLICY_SEGMENTS, DEEPEST)
    return {
        "best": best * len(after),
        "ours": sum(best - worth(lived.advised[week], truth, explored=explored) for week in after),
        "committed": sum(best - worth(lived.committed[week], truth, explored=0) for week in after),
        "deepest": (best - worth(deepest, truth, explored=0)) * len(after),
    }


def adaptive_part(weekly: int, seeds: int) -> Part:
    """Coverage after 26 weeks of learning, and net value forgone until then."""
    name = f"26 adaptive weeks of {weekly / 1000:g}k offers"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([weekly, seed, 26])
        truth, settings = draw_truth(rng), programme(seed=str(seed), exploration_share=EXPLORATION)
        lived = live(rng, truth, settings, weekly)
        policy = effects_of_log(OfferLog(lived.log, "propensity", 0, (), COVARIATES), settings, AS_OF)
        return {**covered(policy, truth, settings), **forgone(lived, truth, settings)}

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        ours, committed, deepest = (
            sum(one[way] for one in seen) / sum(one["best"] for one in seen) for way in ("ours", "committed", "deepest")
        )
        return [
            *coverage_records(name, seen),
            recorded(f"{name}: net value forgone after the test, as a share of the most valuable", ours,
                     f"below test-then-commit's, {committed:.3f}", ours < committed),
            recorded(f"{name}: the same, against always sending the deepest", ours,
                     f"below always-the-deepest's, {deepest:.3f}", ours < deepest),
        ]  # fmt: skip

    return Part(f"adaptive-{weekly}", seeds, measure, summarise, (Path(__file__),))


def adaptive_nulls_part(weekly: int, seeds: int) -> Part:
    """Programmes in which nothing works, after 26 weeks of learning."""
    name = f"26 adaptive weeks of {weekly / 1000:g}k offers, null programmes"

    def measure(seed: int) -> Measured:
        rng = np.random.default_rng([weekly, seed, 27])
        truth = draw_truth(rng, null=True)
        settings = programme(seed=str(seed), exploration_share=EXPLORATION)
        lived = live(rng, truth, settings, weekly)
        policy = effects_of_log(OfferLog(lived.log, "propensity", 0, ()), settings, AS_OF)
        return {
            "shown": is_anything_shown(policy, settings),
            "ever": any(any(advised.values()) for advised in lived.advised),
            **covered(policy, truth, settings),
        }

    def summarise(seen: Sequence[Measured]) -> list[Record]:
        shown = sum(one["shown"] for one in seen)
        bounds = binomtest(shown, len(seen)).proportion_ci()
        goal = f"at most .05; exact 95 % bounds {bounds.low:.3f} to {bounds.high:.3f}, {len(seen)} programmes"
        pointwise = sum(one["recall"] for one in seen) / sum(one["intervals"] for one in seen)
        ever = float(np.mean([one["ever"] for one in seen]))
        return [
            recorded(f"{name}: something shown to recall, at the end", shown / len(seen), goal,
                     shown / len(seen) <= 0.05),
            recorded(f"{name}: pointwise coverage, recall", pointwise, ".93 to .97", 0.93 <= pointwise <= 0.97),
            recorded(f"{name}: something sent in any of the weeks", ever),
        ]  # fmt: skip

    return Part(f"adaptive-null-{weekly}", seeds, measure, summarise, (Path(__file__),))
