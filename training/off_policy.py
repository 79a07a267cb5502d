"""What a proposed policy would have brought, told from offers assigned otherwise, with logged probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from features.errors import RefusedError
from features.programme import Programme
from serving.policy_table import PolicyTable
from training.offer_log import OfferLog
from training.prognosis import FOLDS, foresee, member_folds
from training.segment_log import SMALLEST_ADJUSTED_ARM

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class PolicyValue:
    """Net value per offer that a policy would have brought, and what it adds to sending nothing.

    Attributes
    ----------
    method
        `ips`, `snips` or `dr`.
    value, low, high
        Per offer, with a 95 % interval.
    beyond_nothing, beyond_nothing_low, beyond_nothing_high
        The same, less what control would have brought to the same members.
    """

    method: str
    value: float
    low: float
    high: float
    beyond_nothing: float
    beyond_nothing_low: float
    beyond_nothing_high: float


@dataclass(frozen=True)
class Support:
    """How much of what a policy proposes was tried.

    Attributes
    ----------
    supported_share
        Offers in segments where everything proposed was tried often enough; the values speak for these alone.
    effective_offers
        Equally weighted offers that would tell as much (Kish).
    net_value_made
        Per offer of these, what was in fact made.
    untried
        Policy segments in which what is proposed was not tried enough, each with what.
    """

    supported_share: float
    effective_offers: float
    net_value_made: float
    untried: tuple[str, ...]


def proposed_by(policy: PolicyTable, offers: pd.DataFrame, programme: Programme) -> pd.DataFrame:
    """Return the probabilities with which a policy table's choices would have been assigned: 0 or 1.

    Parameters
    ----------
    policy
        Choices per policy segment; control where it has none.
    offers
        With ``policy_segment``.
    programme
        Its incentives and control are the columns.
    """
    control = programme.guardrails.control_id
    chosen = {segment: choice.incentive_id or control for segment, choice in policy.choices.items()}
    return proposing(offers["policy_segment"].map(chosen).fillna(control), programme)


def proposing(incentive_ids: pd.Series, programme: Programme) -> pd.DataFrame:
    """Return the probabilities of a policy that is sure what to send: one column per arm, rows as given."""
    arms = [programme.guardrails.control_id, *(arm.id for arm in programme.arms)]
    return pd.DataFrame({arm: (incentive_ids == arm).astype(float) for arm in arms}, index=incentive_ids.index)


def evaluate(log: OfferLog, proposed: pd.DataFrame, programme: Programme) -> tuple[list[PolicyValue], Support]:
    """Estimate a proposed policy's net value from a log of offers with known probabilities.

    Inverse propensity scoring weighs each offer by how much likelier the proposed policy would have made it (Horvitz
    and Thompson, 1952); self-normalised, weights add up to the offers there are (Swaminathan and Joachims, 2015); the
    doubly robust estimate weighs only how far offers were off what was foreseen (Dudik, Langford and Li, 2011).
    Foreseen is what other members' offers tell. A member's offers count together in the errors.

    Parameters
    ----------
    log
        Offers with ``propensity``.
    proposed
        In the index of the offers, one column per arm: the probability with which the policy would assign it.
    programme
        Its guardrails say how many offers are enough.

    Raises
    ------
    RefusedError
        If probabilities were not logged, or nothing of what is proposed was tried.
    """
    if log.evidence not in ("randomised", "propensity"):
        raise RefusedError(
            "a policy can be valued only from offers whose probabilities were logged, those of control included"
        )
    untried = _untried(log.offers, proposed, programme)
    known = ~log.offers["policy_segment"].isin(untried)
    if not known.any():
        raise RefusedError(f"nothing of what is proposed was tried: {'; '.join(untried.values())}")
    offers, wanted = log.offers[known].reset_index(drop=True), proposed[known].reset_index(drop=True)
    control = proposing(pd.Series(programme.guardrails.control_id, index=offers.index), programme)
    arms = wanted.columns.get_indexer(pd.Index(offers["incentive_id"]))
    foreseen = _foreseen(offers, log.covariates, programme)
    scores = [_scores(offers, policy.to_numpy(), arms, foreseen) for policy in (wanted, control)]
    members = pd.factorize(offers["member_id"])[0]
    values = [_value(method, scores[0][method], scores[1][method], members) for method in scores[0]]
    weights = _weights(offers, wanted.to_numpy(), arms)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    made = float(offers["net"].mean())
    return values, Support(float(known.mean()), effective, made, tuple(untried.values()))


def _untried(offers: pd.DataFrame, proposed: pd.DataFrame, programme: Programme) -> dict[str, str]:
    """Return, by policy segment, what is proposed there but was hardly ever assigned."""
    rules = programme.guardrails
    tried = pd.crosstab(offers["policy_segment"], offers["incentive_id"]).reindex(
        columns=proposed.columns, fill_value=0
    )
    enough = np.maximum([rules.min_control, *[rules.min_treated] * len(programme.arms)], 1)
    wanted = proposed.groupby(offers["policy_segment"]).max().loc[tried.index] > 0
    wanted[rules.control_id] = True
    lacking = wanted.to_numpy() & (tried.to_numpy() < enough)
    return {
        segment: f"{segment}: {', '.join(np.array(wanted.columns)[lacks])}"
        for segment, lacks in zip(tried.index.astype("str"), lacking, strict=True)
        if lacks.any()
    }


def _weights(offers: pd.DataFrame, policy: np.ndarray, arms: np.ndarray) -> np.ndarray:
    own = policy[np.arange(len(offers)), arms]
    return np.asarray(own / offers["propensity"].to_numpy())


def _scores(
    offers: pd.DataFrame, policy: np.ndarray, arms: np.ndarray, foreseen: np.ndarray
) -> dict[str, tuple[float, np.ndarray]]:
    """Return by method the value, and what each offer moves it by."""
    net, weights = offers["net"].to_numpy(), _weights(offers, policy, arms)
    own = foreseen[np.arange(len(offers)), arms]
    ips, dr = weights * net, (policy * foreseen).sum(axis=1) + weights * (net - own)
    snips = float(ips.sum() / weights.sum())
    moves = {"ips": ips - ips.mean(), "snips": weights * (net - snips) / weights.mean(), "dr": dr - dr.mean()}
    means = {"ips": float(ips.mean()), "snips": snips, "dr": float(dr.mean())}
    return {method: (means[method], moves[method] / len(offers)) for method in means}


def _value(
    method: str, policy: tuple[float, np.ndarray], control: tuple[float, np.ndarray], members: np.ndarray
) -> PolicyValue:
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    (value, moves), (nothing, control_moves) = policy, control
    reach, beyond = (
        z * float(np.sqrt((np.bincount(members, moved) ** 2).sum())) for moved in (moves, moves - control_moves)
    )
    gain = value - nothing
    return PolicyValue(method, value, value - reach, value + reach, gain, gain - beyond, gain + beyond)


def _foreseen(offers: pd.DataFrame, covariates: tuple[str, ...], programme: Programme) -> np.ndarray:
    """Foresee each offer's net value under every arm, from other members' offers: one row per offer, a column per arm.

    What was foreseeable whatever was assigned, and what the arm brought beyond it in the segment.
    """
    base = np.zeros(len(offers))
    if covariates:
        learning = {"seed": programme.training.seed, "threads": programme.training.threads}
        base = foresee(offers, covariates, ["net"], **learning)[:, 0]
    arms = [programme.guardrails.control_id, *(arm.id for arm in programme.arms)]
    beyond = offers[["policy_segment", "incentive_id"]].assign(beyond=offers["net"] - base)
    folds = member_folds(offers["member_id"])
    foreseen = np.tile(base[:, None], len(arms))
    for fold in range(FOLDS):
        told = beyond[folds != fold].pivot_table("beyond", "policy_segment", "incentive_id", aggfunc=_usual)
        own = np.flatnonzero(folds == fold)
        usual = told.reindex(index=offers["policy_segment"].iloc[own], columns=arms).fillna(0.0)
        foreseen[own] += usual.to_numpy()
    return foreseen


def _usual(beyond: pd.Series) -> float:
    """Return the mean, and nothing where too few tell."""
    return float(beyond.mean()) if len(beyond) >= SMALLEST_ADJUSTED_ARM else 0.0
