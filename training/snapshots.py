"""Past dates to learn from: features as of a date beside what happened afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from features.build import build_features
from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables
from serving.bundle import FittedConstants
from serving.decisions import is_eligible
from serving.priors import prior_columns
from training.constants import fit_constants
from training.labels import days_after, labels, longest_horizon, matures_at

FEWEST_MEMBERS = 50
SHORTEST_HISTORY_DAYS = 14
YEAR_DAYS = 364
SAME_SEASON_DAYS = 14


@dataclass(frozen=True)
class Population:
    """The eligible members as of a date, by what was known then.

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
    """

    as_of: datetime
    features: pd.DataFrame
    priors: pd.DataFrame
    constants: FittedConstants
    value_basis: str


@dataclass(frozen=True)
class Snapshot(Population):
    """A population and, row by row, what its members did until ``matured_at``."""

    labels: pd.DataFrame
    matured_at: datetime


def observe(tables: Tables, as_of: datetime, programme: Programme) -> Population:
    """Build the features of the members eligible at a date and fit the constants of that date."""
    everybody = build_features(tables, as_of, programme)
    constants = fit_constants(everybody, programme, as_of)
    features = everybody[is_eligible(everybody, programme)].reset_index(drop=True)
    horizons = programme.horizons
    priors = prior_columns(features, constants, horizons.churn_days, horizons.value_days)
    return Population(
        as_of=as_of,
        features=features,
        priors=priors,
        constants=constants,
        value_basis=_value_basis(tables, as_of, programme),
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
        population = observe(tables, date, programme)
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
    population = observe(tables, year_before, programme)
    if not _tells_enough(population.features, days=longest_horizon(programme)):
        return snapshots
    return [_mature(population, tables, programme), *snapshots[1:]]


def _tells_enough(features: pd.DataFrame, *, days: int = SHORTEST_HISTORY_DAYS) -> bool:
    return len(features) >= FEWEST_MEMBERS and bool(features["tenure_days"].max() >= days)


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
