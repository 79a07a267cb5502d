"""What an incentive is expected to bring each member after cost: learnt, and told of members it was not learnt from.

What an order brings is heavy-tailed and hides what differs between members. So the added chance of an order is learnt,
times what an order brings in the segment, less what sending costs, which those it was sent to tell nearly exactly. It
is then moved to the mean net effect of each policy segment: what a member adds is only the difference from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.programme import Programme
from serving.bundle import Floats
from serving.member_uplift import expected_net
from serving.policy_table import MemberUplift
from training import prognosis
from training.offer_log import OfferLog
from training.prognosis import FOLDS, TRAINED_OFFERS, foresee, member_folds
from training.propensity import OVERLAP, chance_column
from training.uplift import ROUNDS, SETTINGS, own_effects


@dataclass(frozen=True)
class Compared:
    """Offers of one incentive and of control, and all others that could have been either: one row each.

    Attributes
    ----------
    features
        Names of the columns of ``inputs``, known at the assignment and at a decision alike.
    inputs
        Their values.
    segments, members, folds
        Policy segment, whom the offer is about as a whole number, and the member's fold.
    treated, told
        Whether it was of the incentive, and whether of either arm.
    recall, margin, cost
        What came of it.
    recall_effects, net_effects
        Own effects, see :func:`training.uplift.own_effects`.
    mean_cost
        Of expectation as large as what sending costs everybody.
    """

    features: tuple[str, ...]
    inputs: Floats
    segments: pd.Series
    members: np.ndarray
    folds: np.ndarray
    treated: np.ndarray
    told: np.ndarray
    recall: Floats
    margin: Floats
    cost: Floats
    recall_effects: Floats
    net_effects: Floats
    mean_cost: Floats


def foreseen(log: OfferLog, programme: Programme) -> Floats:
    """Foresee recall and net value of every offer whatever was assigned, from other members' offers."""
    learning = {"seed": programme.training.seed, "threads": programme.training.threads}
    return foresee(log.offers, log.covariates, ["recall", "net"], **learning)


def compared(
    log: OfferLog, foretold: Floats, incentive_id: str, features: Sequence[str], programme: Programme
) -> Compared:
    """Take the offers of weeks that have both arms and that could have been either.

    Parameters
    ----------
    log
        Offers with logged or constant odds.
    foretold
        See :func:`foreseen`.
    incentive_id
        The arm to compare with control.
    features
        Covariates to learn from.
    programme
        Which arm is control.
    """
    control = programme.guardrails.control_id
    rows = _comparable(log.offers, incentive_id, control)
    offers = log.offers[rows].reset_index(drop=True)
    arms, odds = offers["incentive_id"].to_numpy(dtype=object), offers["propensity"].to_numpy(np.float64)
    recall_effects, net_effects = (
        own_effects(offers[name].to_numpy(np.float64), arms, odds, known, treated=incentive_id, control=control)
        for name, known in zip(("recall", "net"), foretold[rows].T, strict=True)
    )
    treated, cost = arms == incentive_id, offers["cost"].to_numpy(np.float64)
    return Compared(
        features=tuple(features),
        inputs=offers[list(features)].to_numpy(np.float64),
        segments=offers["policy_segment"],
        members=pd.factorize(offers["member_id"])[0],
        folds=member_folds(offers["member_id"]),
        treated=treated,
        told=treated | (arms == control),
        recall=offers["recall"].to_numpy(np.float64),
        margin=offers["margin"].to_numpy(np.float64),
        cost=cost,
        recall_effects=recall_effects,
        net_effects=net_effects,
        mean_cost=np.where(treated, cost / odds, 0.0),
    )


def _comparable(offers: pd.DataFrame, incentive_id: str, control: str) -> np.ndarray:
    weeks = [set(offers.loc[offers["incentive_id"] == arm, "week"]) for arm in (incentive_id, control)]
    possible = offers["week"].isin(weeks[0] & weeks[1]).to_numpy()
    for arm in (incentive_id, control):
        if chance_column(arm) in offers:
            possible &= offers[chance_column(arm)].to_numpy() >= OVERLAP
    return possible


def scores(offers: Compared, incentive_id: str, programme: Programme) -> Floats:
    """Tell what each offer was expected to bring after cost, from what offers of other members showed."""
    expected = np.full(len(offers.segments), np.nan)
    for fold in range(FOLDS):
        own, others = np.flatnonzero(offers.folds == fold), np.flatnonzero(offers.folds != fold)
        if len(own):
            _, expected[own] = learn(offers, incentive_id, programme, of=others, asked=own)
    return expected


def learn(
    offers: Compared, incentive_id: str, programme: Programme, *, of: np.ndarray, asked: np.ndarray
) -> tuple[MemberUplift, Floats]:
    """Learn what the incentive brings after cost from some offers, and tell what it is expected to bring with others.

    Parameters
    ----------
    offers, incentive_id, programme
        Offers, the incentive they are compared by, and seed and threads of LightGBM.
    of
        Places of the offers to learn from.
    asked
        Places of those it is asked about. Of these only what was known beforehand is used: their mean is moved to the
        net effect of their segment, which is that of the offers learnt from.
    """
    told, treated = of[offers.told[of]], of[offers.treated[of]][:TRAINED_OFFERS]
    moved, weight = _held_back(offers, told, programme)
    recalled = of[offers.recall[of] > 0]
    order_value = offers.margin[recalled].mean() if len(recalled) else 0.0
    per_order = pd.Series(offers.margin[recalled]).groupby(offers.segments.iloc[recalled].to_numpy()).mean()
    names = sorted(offers.segments.iloc[of].unique())
    learnt = MemberUplift(
        incentive_id=incentive_id,
        features=offers.features,
        recall=moved.model_to_string(),
        recall_weight=weight,
        cost=_grown(offers.inputs[treated], offers.cost[treated], prognosis.SETTINGS, programme).model_to_string(),
        order_value=per_order.reindex(names).fillna(order_value).to_dict(),
        level=dict.fromkeys(names, 0.0),
    )
    values = offers.segments.map(learnt.order_value).to_numpy(np.float64)
    net = pd.Series((offers.recall_effects * values - offers.mean_cost)[of])
    segments = offers.segments.iloc[asked]
    raw = pd.Series(expected_net(learnt, offers.inputs[asked], segments), segments.index)
    level = net.groupby(offers.segments.iloc[of].to_numpy()).mean() - raw.groupby(segments).mean()
    return learnt.model_copy(update={"level": level.dropna().to_dict()}), (raw + segments.map(level)).to_numpy()


def _held_back(offers: Compared, rows: np.ndarray, programme: Programme) -> tuple[lgb.Booster, float]:
    """Grow trees on the added chance of an order, and weigh them by what they tell of members not learnt from."""
    inputs, effects, folds = offers.inputs[rows], offers.recall_effects[rows], offers.folds[rows]
    guessed = np.zeros(len(rows))
    for held in np.unique(folds):
        own = folds == held
        if not own.all():
            guessed[own] = _grown(inputs[~own], effects[~own], SETTINGS, programme).predict(inputs[own])
    centred = guessed - guessed.mean()
    spread = float(centred @ centred)
    weight = max(float(centred @ effects) / spread, 0.0) if spread > 0 else 0.0
    return _grown(inputs, effects, SETTINGS, programme), weight


def _grown(inputs: Floats, outcome: Floats, settings: Mapping[str, Any], programme: Programme) -> lgb.Booster:
    own = {**settings, "seed": programme.training.seed, "num_threads": programme.training.threads}
    return lgb.train(own, lgb.Dataset(inputs, outcome, params=own), ROUNDS)
