"""All features of every member as of an instant: the sole joiner of the families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import lru_cache

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features import breadth, cadence, care, engagement, journey, price, rfm
from features.catalogue import feature_names
from features.programme import Programme
from features.schemas import CONTRACTS, Tables
from features.windows import CLOCK, Clock, Columns, PreparedTables, event_windows, order_windows, prepare

_DECIMALS = 6
_RAW = "raw_"
"""Prefix of the raw tables' names in a plan."""
_CLOCK = "clock"
_BEGINNING = "MAKE_TIMESTAMP(1, 1, 1, 0, 0, 0.0)", "MAKE_DATE(1, 1, 1)"
"""How DuckDB's plans tell an as_of of no programme, which stands for all others."""


def build_features(
    tables: Tables, as_of: datetime, programme: Programme, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Compute the FeatureTable: one row per member known before as_of, sorted by member_id.

    Parameters
    ----------
    tables : Tables
        Canonical tables.
    as_of : datetime
        Naive UTC instant; nothing that happened or became known at or after it is seen.
    programme : Programme
        Gives windows, categories, journey points and the time zone.
    names : sequence of str, optional
        Only these features; what they do not need is not computed.

    Returns
    -------
    pandas.DataFrame
        `member_id`, `as_of` and the features of the catalogue as float64, rounded to six decimals; missing is NaN.
    """
    backend = tables.orders.get_backend()
    inputs = {f"{_RAW}{name}": str(ibis.to_sql(table)) for name, table in vars(tables).items()}
    given = ", ".join(f"{name} AS ({query})" for name, query in inputs.items())
    plan = _plan(programme.model_dump_json())
    told = f"TIMESTAMP '{as_of}'", f"DATE '{programme.local_date(as_of)}'"
    for stand_in, literal in zip(_BEGINNING, told, strict=True):
        plan = plan.replace(stand_in, literal)
    chosen = "*" if names is None else ", ".join(["member_id", "as_of", *names])
    rows = backend.raw_sql(f"WITH {given} SELECT {chosen} FROM ({plan}) AS features ORDER BY member_id")  # noqa: S608
    return finished(rows.df())


def finished(rows: pd.DataFrame) -> pd.DataFrame:
    """Round the rows of :func:`features_expression`, whatever engine made them, and check them as a FeatureTable.

    Raises
    ------
    ValueError
        If features are infinite, or a member has two rows.
    """
    member_ids, instants = rows["member_id"].astype("str").array, rows["as_of"].to_numpy("datetime64[us]")
    return feature_table(member_ids, instants, rows.drop(columns=["member_id", "as_of"]))


def feature_table(
    member_ids: pd.api.extensions.ExtensionArray, instants: np.ndarray, numbers: pd.DataFrame
) -> pd.DataFrame:
    """Put a FeatureTable together, round its numbers and check it; raises as :func:`finished`."""
    rounded = numbers.to_numpy(np.float64).round(_DECIMALS) + 0.0  # which turns -0.0 into 0.0
    if np.isinf(rounded).any():
        raise ValueError("features are finite or missing")
    features = pd.DataFrame(rounded, columns=numbers.columns)
    features.insert(0, "member_id", pd.Series(member_ids))
    features.insert(1, "as_of", instants)
    if not features["member_id"].is_unique:
        raise ValueError("a FeatureTable has one row per member")
    return features


def features_expression(tables: Tables, as_of: datetime, programme: Programme) -> ir.Table:
    """Return the features as a lazy Ibis table: one grouped pass per prepared table, joined by member."""
    return _features(tables, Clock.at(as_of, programme), programme)


def member_columns(tables: Tables, clock: Clock, programme: Programme) -> ir.Table:
    """Return every column the families make; those that only serve others start with an underscore."""
    member = _join(_passes(prepare(tables, clock, programme), programme))
    return member.mutate(**_derived(member))


def _features(tables: Tables, clock: Clock, programme: Programme) -> ir.Table:
    member = member_columns(tables, clock, programme)
    return member.select(
        "member_id",
        as_of=clock.instant,
        **{name: member[name].cast("float64") for name in feature_names(programme.windows)},
    )


@lru_cache
def _plan(programme_json: str) -> str:
    """Compile the features to DuckDB's SQL over `raw_` tables that are put in later, as an as_of is.

    Compiling takes far longer than running the plan for few members, so all members and all as_ofs share it. An as_of
    read from a table of one row would be joined to every row there is.
    """
    beginning = Clock(ibis.literal(datetime.min, type=CLOCK["instant"]), ibis.literal(date.min, type=CLOCK["today"]))
    plan = str(ibis.to_sql(unbound_plan(Programme.model_validate_json(programme_json), beginning), dialect="duckdb"))
    if not all(stand_in in plan for stand_in in _BEGINNING):
        raise NotImplementedError(f"an as_of is not told as {' and '.join(_BEGINNING)} in DuckDB's plan")
    return plan


def unbound_plan(programme: Programme, clock: Clock | None = None) -> ir.Table:
    """Return the features over tables named `raw_<table>` that are given later.

    So is a table `clock` of one row, unless there is a clock.
    """
    unbound = {name: ibis.table(contract.schema, name=f"{_RAW}{name}") for name, contract in CONTRACTS.items()}
    tables = Tables(**{field.name: unbound[field.name] for field in fields(Tables)})
    return _features(tables, clock or Clock.read(ibis.table(CLOCK, name=_CLOCK)), programme)


def _passes(prepared: PreparedTables, programme: Programme) -> list[tuple[ir.Table, Columns]]:
    """Pair each prepared table with the columns of all families to aggregate from it."""
    orders, events, complaints, offers = prepared.orders, prepared.events, prepared.complaints, prepared.offers
    order_days, event_days = order_windows(programme.windows), event_windows(programme.windows)
    categories = breadth.by_category(prepared.order_lines)
    return [
        (
            orders,
            rfm.recency(orders)
            | rfm.frequency(orders, order_days)
            | rfm.value(orders, order_days)
            | rfm.net_amount(orders, order_days)
            | cadence.habits(orders)
            | price.discounts(orders)
            | breadth.channels(orders)
            | care.returns(orders),
        ),
        (prepared.members, journey.joining(prepared.members)),
        (prepared.gaps, cadence.gaps(prepared.gaps)),
        (
            events,
            engagement.visits(events, event_days)
            | engagement.browsing(events)
            | engagement.messages(events)
            | price.coupons(events)
            | care.tickets(events)
            | journey.progress(events, programme.journey_points or journey.JOURNEY_POINTS)
            | journey.points(events)
            | journey.advocacy(events),
        ),
        (complaints, care.complaints(complaints)),
        (offers, price.offers(offers)),
        (
            categories,
            breadth.variety(categories) | breadth.basket(categories) | breadth.ended(categories, programme.categories),
        ),
    ]


def _join(passes: list[tuple[ir.Table, Columns]]) -> ir.Table:
    """Aggregate each pass by member and join them.

    Members are those of the first two passes (orders, members). Sums and counts of nothing are 0; the rest is missing.
    """
    orders, members, *others = (
        table.group_by(**{f"_member_{number}": table.member_id}).aggregate(**columns)
        for number, (table, columns) in enumerate(passes)
    )
    both = orders.outer_join(members, orders["_member_0"] == members["_member_1"])
    joined = both.mutate(member_id=ibis.coalesce(both["_member_0"], both["_member_1"]))
    for number, other in enumerate(others, start=2):
        joined = joined.left_join(other, joined.member_id == other[f"_member_{number}"])
    return joined.select(
        "member_id",
        **{
            name: joined[name].fill_null(0) if _counts(column) else joined[name]
            for _, columns in passes
            for name, column in columns.items()
        },
    )


def _counts(column: ir.Value) -> bool:
    return isinstance(column.op(), (ops.Sum, ops.Count, ops.CountStar))


def _derived(member: ir.Table) -> Columns:
    """Collect the columns all families compute from a member's aggregates."""
    return (
        rfm.averages(member)
        | cadence.rhythm(member)
        | engagement.responsiveness(member)
        | price.sensitivity(member)
        | breadth.composition(member)
        | care.return_rate(member)
        | journey.standing(member)
    )
