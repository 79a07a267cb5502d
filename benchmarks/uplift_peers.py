"""Who is moved most by an e-mail (Hillstrom): our member-level uplift beside the learners everybody knows.

One protocol for all: models see two thirds of the members and rank the rest, by the same folds; rankings are judged by
the same Qini measure on the same own effects, within folds. The peers are LightGBM at its usual settings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd
from choice_rules import recorded
from seeds import Record

from training.prognosis import FOLDS, member_folds
from training.uplift import Qini, qini, uplift_scores

KNOWN: Final = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")
EMAILS: Final = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
CONTROL: Final = "No E-Mail"
BOOTSTRAPS: Final = 100
ROUNDS: Final = 100
SETTINGS: Final[dict[str, Any]] = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 200, "verbosity": -1,
    "seed": 7, "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Learns from features, treatment and outcome of some members; scores the features of others."""


def uplift_beside_peers(file: Path) -> list[Record]:
    """Compare rankings of members by how much either e-mail moves them to visit."""
    given = pd.read_parquet(file)
    return [record for name, email in EMAILS.items() for record in _compared(name, email, given)]


def _compared(name: str, email: str, given: pd.DataFrame) -> list[Record]:
    offers = given[given["segment"].isin([email, CONTROL])].reset_index(drop=True)
    members = pd.Series(np.arange(len(offers)).astype(str))
    features = pd.DataFrame({each: _numbers(offers[each]) for each in KNOWN})
    visit, treated = offers["visit"].to_numpy(np.float64), (offers["segment"] == email).to_numpy()
    ours, effects = uplift_scores(
        features, offers["segment"].to_numpy(object), visit, np.full(len(offers), 0.5),
        treated=email, control=CONTROL, members=members, seed=7, threads=1,
    )  # fmt: skip
    folds = member_folds(members)
    peers = {peer: _scores(learner, features.to_numpy(), treated, visit, folds) for peer, learner in LEARNERS.items()}
    worth = {ranking: qini(scores, effects, folds, members.index.to_numpy()) for ranking, scores in peers.items()}
    best = max(worth, key=lambda peer: worth[peer].value)
    error = bootstrap_error(peers[best], effects, folds)
    least, reached = worth[best].value - error, qini(ours, effects, folds, members.index.to_numpy())
    title = f"Hillstrom, {name} e-mail, Qini of member-level uplift on visits, in points"
    goal = f"at least {100 * least:.3f}: {best}, the best peer, less one bootstrap standard error, {100 * error:.3f}"
    return [
        recorded(f"{title}: winback", 100 * reached.value, goal, reached.value >= least),
        *(recorded(f"{title}: {peer}", 100 * of_peer.value, _interval(of_peer)) for peer, of_peer in worth.items()),
    ]


def bootstrap_error(scores: np.ndarray, effects: np.ndarray, folds: np.ndarray) -> float:
    """Return the standard deviation of a ranking's Qini over members drawn with replacement."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(scores), len(scores)) for _ in range(BOOTSTRAPS))
    return float(np.std([qini(scores[rows], effects[rows], folds[rows], rows).value for rows in draws], ddof=1))


def _interval(worth: Qini) -> str:
    low, high = worth.interval(0.95)
    return f"95 % interval {100 * low:.3f} to {100 * high:.3f}"


def _numbers(column: pd.Series) -> np.ndarray:
    is_number = pd.api.types.is_numeric_dtype(column)
    return np.asarray(column if is_number else pd.Categorical(column).codes, dtype=np.float64)


def _scores(
    learner: Learner, features: np.ndarray, treated: np.ndarray, visit: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    scores = np.zeros(len(visit))
    for fold in range(FOLDS):
        own, others = folds == fold, folds != fold
        scores[own] = learner(features[others], treated[others], visit[others], features[own])
    return scores


def _probability(known: np.ndarray, happened: np.ndarray) -> lgb.Booster:
    return lgb.train(SETTINGS, lgb.Dataset(known, happened, params=SETTINGS), ROUNDS)


def _response_only(known: np.ndarray, treated: np.ndarray, visit: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return np.asarray(_probability(known, visit).predict(asked))


def _s_learner(known: np.ndarray, treated: np.ndarray, visit: np.ndarray, asked: np.ndarray) -> np.ndarray:
    learnt = _probability(np.column_stack([known, treated]), visit)
    with_it, without = (np.column_stack([asked, np.full(len(asked), each)]) for each in (1.0, 0.0))
    return np.asarray(learnt.predict(with_it) - learnt.predict(without))


def _t_learner(known: np.ndarray, treated: np.ndarray, visit: np.ndarray, asked: np.ndarray) -> np.ndarray:
    with_it, without = (_probability(known[arm], visit[arm]) for arm in (treated, ~treated))
    return np.asarray(with_it.predict(asked) - without.predict(asked))


def _transformed(known: np.ndarray, treated: np.ndarray, visit: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Learn the class that a visit when treated and none when not have in common (Jaskowski and Jaroszewicz, 2012)."""
    return np.asarray(_probability(known, np.where(treated, visit, 1 - visit)).predict(asked))


LEARNERS: Final[dict[str, Learner]] = {
    "response only": _response_only,
    "S-learner": _s_learner,
    "T-learner": _t_learner,
    "class transformation": _transformed,
}
