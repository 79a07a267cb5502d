"""The offer log with what came of each offer: who was assigned what, how likely, and what they did in the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.build import build_features
from features.programme import Programme
from features.schemas import Tables
from serving.logged_arms import out_of_programme, with_arms
from serving.outcomes import closed_offers, with_money
from serving.policy_table import Evidence
from serving.segments import POLICY_SEGMENTS, segment_members
from training.constants import fit_constants
from training.covariates import COVARIATES, at_assignment
from training.propensity import chance_column, with_possible

CHECKED_OFFERS: Final = 50
"""Propensities are compared with frequencies in weeks and segments with at least so many offers of an incentive."""

MISMATCH: Final = 0.25
"""Relative difference between propensities and frequencies that is gross."""

MISMATCH_Z: Final = 5.0


@dataclass(frozen=True)
class OfferLog:
    """Offers whose response window has closed.

    Attributes
    ----------
    offers
        One row per offer: ``member_id``, ``incentive_id``, ``policy_segment``, ``week`` (its Monday), ``propensity``,
        ``recall`` (any order in the window), ``margin`` (value booked there, before the incentive's cost),
        ``redeemed``, ``cost`` and ``net`` (margin less cost), the last five as float64.
    evidence
        `randomised` if propensities are logged, those of control included, and constant per segment and incentive;
        `propensity` if they are logged and vary; otherwise `observational`; `none` without offers.
    maturing
        Offers whose window is still open.
    warnings
        What is wrong with the log.
    covariates
        Columns of ``offers``, float64, that were known when it was assigned.
    """

    offers: pd.DataFrame
    evidence: Evidence
    maturing: int
    warnings: tuple[str, ...]
    covariates: tuple[str, ...] = ()


def read_offer_log(tables: Tables, programme: Programme, as_of: datetime) -> OfferLog:
    """Join offers known before ``as_of`` with the orders in their response window.

    For what margin and cost mean see :func:`serving.outcomes.with_money`.
    """
    outcomes, maturing = _outcomes(tables, programme, as_of)
    offers = with_money(with_arms(outcomes, programme), programme)
    offers["week"] = _week(offers["assigned_at"], programme.timezone)
    offers["policy_segment"] = _segments_at_assignment(offers, tables, programme)
    unknown, named = out_of_programme(offers["incentive_id"], programme)
    known = ~unknown
    lapsed = offers["policy_segment"].isin(POLICY_SEGMENTS)
    measured = offers[known & lapsed].reset_index(drop=True)
    usable, evidence = _evidence(measured, programme.guardrails.control_id)
    held_out = (measured["propensity"] == 1) & measured["probabilities"].notna()
    problems = {
        "offers were made while the member's offer before was still being measured": int(offers["overlaps"].sum()),
        f"offers were of an incentive, or by a channel, that is not in the programme file: {named}; left out": int(
            unknown.sum()
        ),
        "offers went to members in no policy segment; left out": int((known & ~lapsed).sum()),
        "offers have no propensity between 0 and 1 (what was certain tells nothing); left out": len(measured)
        - len(usable)
        - int(held_out.sum()),
    }
    warnings = [f"{count} of {len(offers)} {problem}" for problem, count in problems.items() if count]
    if evidence in ("randomised", "propensity"):
        usable = with_possible(usable)
        warnings += propensity_mismatch(usable)
    return OfferLog(usable, evidence, maturing, tuple(warnings), COVARIATES)


def propensity_mismatch(offers: pd.DataFrame) -> list[str]:
    """Compare logged propensities with how often each incentive was assigned, per week and segment.

    One over the propensity, summed over an incentive's offers, estimates how many offers could have been it; that
    should be all of that week and segment, or where probabilities are logged those to whom they leave it open. Only
    gross differences, beyond chance, are told, as one sentence with the worst example.
    """
    weights = 1 / offers["propensity"]
    cells = offers.assign(weight=weights, variance=(1 - offers["propensity"]) * weights**2)
    by_cell = cells.groupby(["week", "policy_segment", "incentive_id"])
    cells = by_cell.agg(count=("weight", "size"), total=("weight", "sum"), variance=("variance", "sum")).reset_index()
    cells["everybody"] = _could_have_been(offers, cells)
    cells["difference"] = (cells["total"] / cells["everybody"] - 1).abs()
    checked = cells[cells["count"] >= CHECKED_OFFERS]
    chance = MISMATCH_Z * np.sqrt(checked["variance"]) / checked["everybody"]
    gross = checked[checked["difference"] > chance.clip(lower=MISMATCH)]
    if gross.empty:
        return []
    worst = gross.loc[gross["difference"].idxmax()]
    return [
        f"in {len(gross)} of {len(checked)} weeks x segments x incentives the logged propensities do not fit how often "
        f"the incentive was assigned (they are wrong, or not everybody could get it); worst in the week of "
        f"{worst['week']:%Y-%m-%d}, {worst['policy_segment']}, {worst['incentive_id']}: assigned in "
        f"{worst['count'] / worst['everybody']:.1%} of offers, where the propensities say "
        f"{worst['count'] / worst['total']:.1%}"
    ]


def _could_have_been(offers: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Count, for each week, segment and incentive, the offers that could have been it."""
    groups = offers.groupby(["week", "policy_segment"])
    keys = pd.MultiIndex.from_frame(cells[["week", "policy_segment"]])
    counts = groups.size().reindex(keys).to_numpy(np.float64)
    for arm in cells["incentive_id"].unique():
        own = (cells["incentive_id"] == arm).to_numpy()
        if chance_column(arm) in offers:
            counts[own] = groups[chance_column(arm)].sum().reindex(keys[own])
    return counts


def _outcomes(tables: Tables, programme: Programme, as_of: datetime) -> tuple[pd.DataFrame, int]:
    """Return closed offers with the orders of their windows summed up, and the number of those still open."""
    days = programme.guardrails.response_days
    known = tables.offers.filter(tables.offers.assigned_at < as_of, tables.offers.recorded_at < as_of)
    known = _with_overlaps(known, days)
    columns = ["offer_id", "member_id", "incentive_id", "channel", "assigned_at", "propensity", "probabilities"]
    columns += ["policy_segment", "overlaps", "cost_amount", "redeemed", "recall", "margin", "amount"]
    closed = closed_offers(known, tables, as_of=as_of, days=days).select(*columns)
    covariates = at_assignment(known, tables, programme)
    everything = closed.left_join(covariates, "offer_id").drop("offer_id_right")
    open_still = known.filter(known.assigned_at > as_of - timedelta(days=days)).count().to_pyarrow().as_py()
    return everything.order_by("offer_id").to_pyarrow().to_pandas(), int(open_still)


def _with_overlaps(offers: ir.Table, days: int) -> ir.Table:
    """Tell of each offer whether it came within the window of the member's offer before."""
    before = offers.assigned_at.lag().over(group_by="member_id", order_by=["assigned_at", "offer_id"])
    return offers.mutate(overlaps=(offers.assigned_at < before + ibis.interval(days=days)).fill_null(False))


def _week(assigned_at: pd.Series, timezone: str) -> pd.Series:
    """Return the Monday of each instant's local week."""
    local = assigned_at.dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None).dt.normalize()
    monday: pd.Series = local - pd.to_timedelta(local.dt.day_of_week, unit="D")
    return monday


def _segments_at_assignment(offers: pd.DataFrame, tables: Tables, programme: Programme) -> pd.Series:
    """Return logged policy segments, and for offers without one the segment known at the start of their week."""
    segments = offers["policy_segment"].astype("str")
    unplaced = offers[segments.isna()]
    first_known = ibis.greatest(tables.orders.ordered_at, tables.orders.recorded_at).min().to_pyarrow().as_py()
    for week in sorted(unplaced["week"].unique()):
        start = programme.instant(week.to_pydatetime())
        if first_known < start:  # before anybody had ordered, nobody had a segment
            rows = unplaced[unplaced["week"] == week]
            known = _segments_as_of(start, tables, programme)
            segments.loc[rows.index] = rows["member_id"].map(known).astype("str")
    return segments


def _segments_as_of(as_of: datetime, tables: Tables, programme: Programme) -> pd.Series:
    """Return policy segments by member id. They depend on members and orders alone, so nothing else is read."""
    unread = {name: getattr(tables, name).limit(0) for name in ("events", "order_lines", "offers", "contacts")}
    features = build_features(replace(tables, **unread), as_of, programme)
    without_personas = programme.model_copy(update={"personas": ()})
    placed = segment_members(features, fit_constants(features, programme, as_of), without_personas)
    return placed.set_index("member_id")["policy_segment"]


def _evidence(offers: pd.DataFrame, control_id: str) -> tuple[pd.DataFrame, Evidence]:
    """Return the offers that can be compared, and what the comparison is good for."""
    if offers.empty:
        return offers, "none"
    logged = offers[(offers["propensity"] > 0) & (offers["propensity"] < 1)]
    if logged["incentive_id"].nunique() < 2 or control_id not in set(logged["incentive_id"]):
        return offers, "observational"
    propensities = logged.groupby(["policy_segment", "incentive_id"])["propensity"]
    varies = (propensities.max() - propensities.min()).max() > 1e-6
    return logged, "propensity" if varies else "randomised"
