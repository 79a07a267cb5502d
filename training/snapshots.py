"""Past dates to learn from: features as of a date beside what happened afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from features.build import build_features
from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables
from serving.bundle import FittedConstants, Floats
from serving.decisions import is_eligible
from serving.priors import PRIOR_INPUTS, prior_columns
from serving.segments import segment_members
from training.constants import fit_constants
from training.labels import days_after, labels, longest_horizon, matures_at
from training.sampling import draw, equally_likely

FEWEST_MEMBERS = 50
SHORTEST_HISTORY_DAYS = 14
YEAR_DAYS = 364
SAME_SEASON_DAYS = 14
TELLING = (*PRIOR_INPUTS, "order_days", "value_total", "value_per_year")
"""Features that constants, eligibility, tier and state rest on."""


@dataclass(frozen=True)
class Population:
    """The eligible members as of a date, or some of them, by what was known then.

    Attributes
    ----------
    as_of
        Nothing from this instant on was seen.
    features
        The feature table of the eligible members.
    priors
        Their prior columns, row by row, by ``constants``.
    constants
        Estimated from all members, eligible or not.
    value_basis
        What value is measured in.
    weights
        How many members each row stands for; 1 where nobody was left out.
    """

    as_of: datetime
    features: pd.DataFrame
    priors: pd.DataFrame
    constants: FittedConstants
    value_basis: str
    weights: Floats

    def mean(self, values: Floats | pd.Series) -> float:
        """Return the mean over all members for whom the rows stand."""
        return float(np.average(values, weights=self.weights))

    def total(self, values: Floats | pd.Series) -> float:
        """Return the total over all members for whom the rows stand."""
        return float(self.weights @ np.asarray(values))

    def evened(self) -> Self:
        """Return fewer of the rows, in which every member is equally likely to be: they need no weights."""
        if (self.weights == 1).all():
            return self
        keep = equally_likely(self.features["member_id"], self.weights)
        kept: dict[str, Any] = {
            name: rows[keep].reset_index(drop=True)
            for name, rows in vars(self).items()
            if isinstance(rows, pd.DataFrame)
        }
        return replace(self, **kept, weights=np.full(keep.sum(), self.weights.max()))


@dataclass(frozen=True)
class Snapshot(Population):
    """A population and, row by row, what its members did until ``matured_at``."""

    labels: pd.DataFrame
    matured_at: datetime


def observe(tables: Tables, as_of: datetime, programme: Programme, *, most: int | None = None) -> Population:
    """Build the features of the members eligible at a date and fit the constants of that date.

    Where there are more than ``most``, so many are drawn by tier and state, rare ones whole; constants are still of all
    members. Of the others only the few columns that takes are ever held.
    """
    crowded = most is not None and tables.orders.member_id.nunique().to_pyarrow().as_py() > most
    everybody = build_features(tables, as_of, programme, TELLING if crowded else None)
    constants = fit_constants(everybody, programme, as_of)
    eligible = everybody[is_eligible(everybody, programme)].reset_index(drop=True)
    rows, weights = np.arange(len(eligible)), np.ones(len(eligible))
    if most is not None and len(eligible) > most:
        placed = segment_members(eligible, constants, programme.model_copy(update={"personas": ()}))
        rows, weights = draw(eligible["member_id"], placed["tier"] + placed["state"], most)
    features = eligible.iloc[rows].reset_index(drop=True)
    if crowded:
        features = build_features(_of_members(tables, features["member_id"]), as_of, programme)
    horizons = programme.horizons
    priors = prior_columns(features, constants, horizons.churn_days, horizons.value_days)
    return Population(
        as_of=as_of,
        features=features,
        priors=priors,
        constants=constants,
        value_basis=_value_basis(tables, as_of, programme),
        weights=weights,
    )


def past_dates(as_of: datetime, programme: Programme) -> Iterator[datetime]:
    """Yield as_ofs whose label windows end at or before the given one, the latest first."""
    settings = programme.training
    for step in range(settings.snapshots):
        back = longest_horizon(programme) + step * settings.snapshot_step_days
        yield days_after(as_of, -back, programme)


def build_snapshots(tables: Tables, as_of: datetime, programme: Programme) -> list[Snapshot]:
    """Build the snapshots a model for a date may learn from, the earliest first.

    A short history gives fewer than the programme asks for: it ends where too few members were eligible or there was
    too little to look back on. Where it reaches that far, the same date last year takes the place of the earliest: it
    speaks for the coming season.

    Raises
    ------
    RefusedError
        If there is not one.
    """
    snapshots: list[Snapshot] = []
    for date in past_dates(as_of, programme):
        population = observe(tables, date, programme, most=most_members(programme))
        if not _tells_enough(population.features):
            break
        snapshots.append(_mature(population, tables, programme))
    if not snapshots:
        latest = programme.local_date(next(past_dates(as_of, programme)))
        raise RefusedError(
            f"nothing to learn from before {programme.local_date(as_of)}: as of {latest}, the latest date whose "
            f"outcome is known by then, fewer than {FEWEST_MEMBERS} members are eligible or the orders go back less "
            f"than {SHORTEST_HISTORY_DAYS} days; use a later date, shorter horizons or a longer history"
        )
    return _with_last_year(snapshots[::-1], tables, as_of, programme)


def most_members(programme: Programme) -> int:
    """Return how many members to learn from at each date, at most."""
    return programme.training.most_rows // programme.training.snapshots


def same_season(snapshots: Sequence[Snapshot], as_of: datetime, programme: Programme) -> Snapshot | None:
    """Return the snapshot closest to the same date last year, if there is one within two weeks of it."""
    year_before = days_after(as_of, -YEAR_DAYS, programme)
    closest = min(snapshots, key=lambda each: abs(each.as_of - year_before))
    return closest if abs(closest.as_of - year_before) <= timedelta(days=SAME_SEASON_DAYS) else None


def _with_last_year(snapshots: list[Snapshot], tables: Tables, as_of: datetime, programme: Programme) -> list[Snapshot]:
    """Let the same date last year take the place of the earliest, where there was as much to look back on as ahead."""
    year_before = days_after(as_of, -YEAR_DAYS, programme)
    earlier = snapshots[0].as_of - year_before > timedelta(days=SAME_SEASON_DAYS)
    if len(snapshots) < 2 or not earlier or matures_at(year_before, programme) > as_of:
        return snapshots
    population = observe(tables, year_before, programme, most=most_members(programme))
    if not _tells_enough(population.features, days=longest_horizon(programme)):
        return snapshots
    return [_mature(population, tables, programme), *snapshots[1:]]


def _tells_enough(features: pd.DataFrame, *, days: int = SHORTEST_HISTORY_DAYS) -> bool:
    return len(features) >= FEWEST_MEMBERS and bool(features["tenure_days"].max() >= days)


def _of_members(tables: Tables, member_ids: pd.Series) -> Tables:
    tables.orders.get_backend().con.register("drawn_members", pa.table({"member_id": member_ids}))
    drawn = ibis.table({"member_id": "string"}, name="drawn_members")
    return Tables(**{name: table.semi_join(drawn, "member_id") for name, table in vars(tables).items()})


def _value_basis(tables: Tables, as_of: datetime, programme: Programme) -> str:
    known = tables.orders.filter(tables.orders.ordered_at < as_of)
    if known.margin_amount.count().to_pyarrow().as_py():
        return "margin"
    return "revenue" if programme.value.margin_rate is None else "assumed margin"


def _mature(population: Population, tables: Tables, programme: Programme) -> Snapshot:
    return Snapshot(
        **vars(population),
        labels=labels(tables, population.as_of, programme, population.features["member_id"]),
        matured_at=matures_at(population.as_of, programme),
    )
