"""What happened after an as_of. The only reader of the future."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.errors import RefusedError
from features.programme import Programme
from features.schemas import Tables

LABELS = ("churned", "ordered", "value")


def days_after(as_of: datetime, days: int, programme: Programme) -> datetime:
    """Return the same local midnight so many calendar days later; negative days look back."""
    return programme.instant(programme.local_date(as_of) + timedelta(days=days))


def longest_horizon(programme: Programme) -> int:
    """Days until every label of an as_of is known."""
    return max(programme.horizons.churn_days, programme.horizons.value_days)


def matures_at(as_of: datetime, programme: Programme) -> datetime:
    """Return the instant from which on every label of an as_of is known."""
    return days_after(as_of, longest_horizon(programme), programme)


def known_until(data_until: datetime, programme: Programme) -> datetime:
    """Return the first moment of the local day after the last row: until then the data are complete."""
    return days_after(data_until, 1, programme)


def refuse_immature(as_of: datetime, data_until: datetime, programme: Programme) -> None:
    """Refuse an as_of whose label windows reach beyond the data."""
    needed, known = matures_at(as_of, programme), known_until(data_until, programme)
    if needed > known:
        latest = days_after(known, -longest_horizon(programme), programme)
        raise RefusedError(
            f"what happened after {programme.local_date(as_of)} is known only from {programme.local_date(needed)} on, "
            f"but the data end before {programme.local_date(known)}; the latest possible date is "
            f"{programme.local_date(latest)}"
        )


def labels(tables: Tables, as_of: datetime, programme: Programme, member_ids: pd.Series) -> pd.DataFrame:
    """Tell what each member did in the label windows, by what was known when the windows ended.

    Parameters
    ----------
    tables
        Canonical tables.
    as_of
        Naive UTC instant the windows start at.
    programme
        Gives the horizons, in local calendar days.
    member_ids
        Whose labels; the answer has their order and index.

    Returns
    -------
    pandas.DataFrame
        ``member_id``; ``churned``: 1.0 without an order within the churn horizon; ``ordered``: 1.0 with one within
        the value horizon; ``value``: sum of what was booked within the value horizon, returns subtracted.
    """
    orders = tables.orders
    churn_end = days_after(as_of, programme.horizons.churn_days, programme)
    value_end = days_after(as_of, programme.horizons.value_days, programme)
    sale = ~orders.is_return & (orders.ordered_at >= _instant(as_of))
    booked = (orders.booked_at >= _instant(as_of)) & (orders.booked_at < _instant(value_end))
    outcomes = (
        orders.group_by("member_id")
        .aggregate(
            stayed=(sale & _known_by(orders, churn_end)).any(),
            ordered=(sale & _known_by(orders, value_end)).any(),
            value=orders.value_amount.sum(where=booked & _known_by(orders, value_end)).cast("float64"),
        )
        .to_pyarrow()
        .to_pandas()
        .set_index("member_id")
    )
    own = outcomes.reindex(member_ids.to_numpy())
    return pd.DataFrame(
        {
            "member_id": member_ids.to_numpy(),
            "churned": 1.0 - own["stayed"].eq(True).to_numpy(dtype="float64"),
            "ordered": own["ordered"].eq(True).to_numpy(dtype="float64"),
            "value": own["value"].fillna(0.0).to_numpy(dtype="float64"),
        },
        index=member_ids.index,
    )


def _known_by(orders: ir.Table, end: datetime) -> ir.BooleanValue:
    return (orders.ordered_at < _instant(end)) & (orders.recorded_at < _instant(end))


def _instant(when: datetime) -> ir.TimestampScalar:
    return ibis.literal(when, type="timestamp(6)")
