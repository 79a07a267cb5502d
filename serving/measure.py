"""What campaigns brought beyond their control offers, told so that looking daily does not mislead.

What the treated brought is compared with what control offers, those of the holdout included, brought that could as well
have been treated so: each counts with the chance of the treatment over the chance of control. A unit is an offer; it
counts from the day its window has closed. Intervals hold at all looks together, see :mod:`serving.anytime`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables
from serving.anytime import anytime_reach
from serving.bundle import Record
from serving.logged_arms import out_of_programme, read_probabilities, with_arms
from serving.outcomes import closed_offers, with_money
from serving.policy_table import Paused
from serving.setups import with_setup

WINDOWS_DAYS: Final = (7, 30)
Verdict = Literal["pays", "loses", "open", "too_few"]


class Measured(Record):
    """What offers brought; of everything, or of a policy segment, a channel, an incentive (by its channel)."""

    days: int
    policy_segment: str | None
    channel: str | None
    incentive: str | None
    treated: int
    control: int
    maturing: int
    recall_rate: float
    incremental_recall: float
    incremental_recall_low: float
    incremental_recall_high: float
    cost: float
    net_value: float
    net_value_low: float
    net_value_high: float
    roi: float
    cost_share: float
    verdict: Verdict
    roi_low: float = np.nan
    roi_high: float = np.nan


@dataclass(frozen=True)
class _Units:
    """Closed offers, with the chance of control and of each arm, and the scores of each arm by outcome."""

    offers: pd.DataFrame
    arms: tuple[str, ...]
    chances: np.ndarray
    recall: np.ndarray
    net: np.ndarray


def measure(
    tables: Tables, programme: Programme, as_of: datetime, *, campaign: str | None = None, since: datetime | None = None
) -> list[Measured]:
    """Measure offers made before ``as_of``, of one campaign or all, made since an instant or ever.

    Returns
    -------
    list
        At 7 and at 30 days, each its own outcome: of everything, then by policy segment, channel, incentive, and policy
        segment and incentive. Net value and cost are totals in the programme's currency, shares of set-ups included,
        see :mod:`serving.setups`.

    Raises
    ------
    RefusedError
        If there are no such offers.
    """
    known = _known(tables, as_of, campaign=campaign, since=since)
    offers = with_arms(known.to_pyarrow().to_pandas(), programme)
    if offers.empty:
        raise RefusedError(f"no offers {f'of campaign {campaign} ' if campaign else ''}are known to be measured")
    return [row for days in WINDOWS_DAYS for row in _measured(known, offers, tables, programme, as_of, days)]


def left_out(tables: Tables, programme: Programme, as_of: datetime, *, campaign: str | None = None) -> list[str]:
    """Say which offers :func:`measure` leaves out: of no incentive of the programme, or without any control."""
    offers = with_arms(_known(tables, as_of, campaign=campaign).to_pyarrow().to_pandas(), programme)
    unknown, named = out_of_programme(offers["incentive_id"], programme)
    control = programme.guardrails.control_id
    alone = ~unknown & (offers["incentive_id"] != control) & (_chances(offers, (control,))[:, 0] == 0)
    said = {
        f"offers are of an incentive, or by a channel, that is not in the programme file: {named}": unknown,
        "offers could not have been control, by their probabilities or because their campaign and segment have none: "
        "what they brought cannot be told": alone,
    }
    return [f"{rows.sum()} of {len(offers)} {what}" for what, rows in said.items() if rows.any()]


def losers(tables: Tables, programme: Programme, as_of: datetime) -> tuple[Paused, ...]:
    """Return what surely lost money among offers made since the quarter before this one began.

    So a pause ends, and the incentive gets another chance, when the quarter after next begins.
    """
    today = programme.local_date(as_of)
    since = programme.instant(_quarter_before(today))
    try:
        found = measure(tables, programme, as_of, since=since)
    except RefusedError:
        return ()
    return tuple(
        Paused(policy_segment=row.policy_segment, incentive_id=row.incentive)
        for row in found
        if row.verdict == "loses" and row.incentive is not None and row.days == max(WINDOWS_DAYS)
    )


def _known(tables: Tables, as_of: datetime, *, campaign: str | None = None, since: datetime | None = None) -> ir.Table:
    """Return the offers made and known before ``as_of``, of one campaign or all, made since an instant or ever."""
    known = tables.offers.filter(tables.offers.assigned_at < as_of, tables.offers.recorded_at < as_of)
    if campaign is not None:
        known = known.filter(known.campaign_id == campaign)
    return known if since is None else known.filter(known.assigned_at >= since)


def _quarter_before(day: date) -> date:
    first = 3 * ((day.month - 1) // 3) + 1
    return date(day.year, first - 3, 1) if first > 3 else date(day.year - 1, 10, 1)


def _measured(
    known: ir.Table, offers: pd.DataFrame, tables: Tables, programme: Programme, as_of: datetime, days: int
) -> Iterator[Measured]:
    outcomes = closed_offers(known, tables, as_of=as_of, days=days).to_pyarrow().to_pandas()
    closed = with_setup(with_money(with_arms(outcomes, programme), programme), _known(tables, as_of), programme)
    arms = tuple(arm.id for arm in programme.arms if (offers["incentive_id"] == arm.id).any())
    units = _units(closed, arms, programme.guardrails.control_id)
    is_open = offers[~offers["offer_id"].isin(closed["offer_id"])]
    channels = {arm.id: arm.channel for arm in programme.arms}
    segments = sorted(offers["policy_segment"].dropna().unique())
    for segment in (None, *segments):
        yield _row(units, is_open, programme, days, segment, None, None, units.arms)
    for channel in sorted({channels[arm] for arm in units.arms}):
        own = tuple(arm for arm in units.arms if channels[arm] == channel)
        yield _row(units, is_open, programme, days, None, channel, None, own)
    for segment in (None, *segments):
        for arm in units.arms:
            yield _row(units, is_open, programme, days, segment, channels[arm], arm, (arm,))


def _units(closed: pd.DataFrame, arms: tuple[str, ...], control: str) -> _Units:
    """Work out each unit's score per arm: its own result if treated so, less the share of a control's it stands for."""
    closed = closed[closed["incentive_id"].isin([control, *arms])].reset_index(drop=True)
    chances = _chances(closed, (control, *arms))
    is_control = (closed["incentive_id"] == control).to_numpy()
    of_control = chances[:, 0]
    odds = np.divide(chances[:, 1:], of_control[:, None], out=np.zeros((len(closed), len(arms))),
                     where=of_control[:, None] > 0)  # fmt: skip
    treated = (closed["incentive_id"].to_numpy()[:, None] == np.array(arms, dtype=object)) & (of_control > 0)[:, None]
    weight = treated - is_control[:, None] * odds
    recall, margin = (closed[name].to_numpy() for name in ("recall", "margin"))
    counts = np.divide(is_control, of_control, out=np.zeros(len(closed)), where=of_control > 0)
    cost = treated * closed["cost"].to_numpy()[:, None]
    return _Units(
        offers=closed,
        arms=arms,
        chances=chances,
        recall=weight * _centred(recall, closed["policy_segment"], counts)[:, None],
        net=weight * _centred(margin, closed["policy_segment"], counts)[:, None] - cost,
    )


def _centred(outcome: np.ndarray, segments: pd.Series, weights: np.ndarray) -> np.ndarray:
    """Take off what control offers of the segment bring on average: it cancels in the mean, and spreads it less."""
    sums = pd.DataFrame({"weighted": outcome * weights, "weight": weights}).groupby(segments.fillna("").to_numpy())
    totals = sums.transform("sum")
    usual = np.divide(totals["weighted"], totals["weight"], out=np.zeros(len(outcome)), where=totals["weight"] > 0)
    return np.asarray(outcome - usual)


def _chances(closed: pd.DataFrame, arms: tuple[str, ...]) -> np.ndarray:
    """Return each offer's logged chances; where none were logged, the arms' shares of its campaign and segment."""
    logged = read_probabilities(closed["probabilities"])
    told = np.array([[chances.get(arm, 0.0) for arm in arms] for chances in logged]).reshape(-1, len(arms))
    was = closed["incentive_id"].to_numpy()[:, None] == np.array(arms, dtype=object)
    cells = pd.DataFrame(was.astype(float)).groupby(
        [closed["campaign_id"].fillna("").to_numpy(), closed["policy_segment"].fillna("").to_numpy()]
    )
    return np.where(closed["probabilities"].notna().to_numpy()[:, None], told, cells.transform("mean").to_numpy())


def _row(
    units: _Units,
    is_open: pd.DataFrame,
    programme: Programme,
    days: int,
    segment: str | None,
    channel: str | None,
    arm: str | None,
    arms: tuple[str, ...],
) -> Measured:
    rules = programme.guardrails
    columns = [units.arms.index(one) for one in arms]
    offers = units.offers
    here = np.ones(len(offers), dtype=bool) if segment is None else (offers["policy_segment"] == segment).to_numpy()
    chance = units.chances[:, [column + 1 for column in columns]].sum(axis=1)
    compared = here & (chance > 0) & (units.chances[:, 0] > 0)
    is_treated = compared & offers["incentive_id"].isin(arms).to_numpy()
    is_control = compared & (offers["incentive_id"] == rules.control_id).to_numpy()
    treated, control = int(is_treated.sum()), int(is_control.sum())
    enough = treated >= rules.min_treated and control >= rules.min_control
    recall = _total(units.recall[compared][:, columns].sum(axis=1), rules.confidence, enough=enough)
    net = _total(units.net[compared][:, columns].sum(axis=1), rules.confidence, enough=enough)
    cost = float(offers.loc[is_treated, "cost"].sum())
    booked = float(offers.loc[is_treated, "margin"].sum())
    waiting = is_open["incentive_id"].isin(arms) & (segment is None or is_open["policy_segment"] == segment)
    per_offer = [amount / treated if treated else np.nan for amount in recall]
    returns = [amount / cost if cost else np.nan for amount in net]
    return Measured(
        days=days, policy_segment=segment, channel=channel, incentive=arm,
        treated=treated, control=control, maturing=int(waiting.sum()),
        recall_rate=float(offers.loc[is_treated, "recall"].mean()) if treated else np.nan,
        incremental_recall=per_offer[0], incremental_recall_low=per_offer[1], incremental_recall_high=per_offer[2],
        cost=cost, net_value=net[0], net_value_low=net[1], net_value_high=net[2],
        roi=returns[0], roi_low=returns[1], roi_high=returns[2], cost_share=cost / booked if booked > 0 else np.nan,
        verdict=_verdict(net[1], net[2], enough=enough),
    )  # fmt: skip


def _total(scores: np.ndarray, confidence: float, *, enough: bool) -> tuple[float, float, float]:
    """Return a sum with the ends of its interval, which are unknown for too few units."""
    total = float(scores.sum())
    reach = len(scores) * anytime_reach(scores, confidence=confidence) if enough else np.nan
    return total, total - reach, total + reach


def _verdict(low: float, high: float, *, enough: bool) -> Verdict:
    if not enough:
        return "too_few"
    return "loses" if high < 0 else "pays" if low > 0 else "open"
