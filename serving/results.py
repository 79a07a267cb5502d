"""What the latest campaigns brought, each against the control offers made beside it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import ibis

from features.programme import Programme
from features.schemas import Tables
from serving.bundle import Record
from serving.measure import Measured, measure
from serving.writer import Writer

LATEST: Final = 6
_ALL: Final = ("All incentives", "全部权益")


class Result(Record):
    """What one campaign brought; or, where ``campaign`` is None, all offers ever made. Dates are local."""

    campaign: str | None
    first: date
    last: date
    measured: tuple[Measured, ...]

    def overall(self, days: int) -> Measured:
        """Return what all its offers brought in so many days."""
        return next(row for row in self.measured if row.days == days and _is_whole(row))

    def of_incentives(self, days: int) -> list[Measured]:
        """Return what each incentive, by its channel, brought in so many days."""
        return [row for row in self.measured if row.days == days and row.incentive and row.policy_segment is None]


class Results(Record):
    """Everything together first, then the latest campaigns, the newest first; none where nothing was ever offered."""

    results: tuple[Result, ...]


def latest_results(tables: Tables, programme: Programme, as_of: datetime, *, latest: int = LATEST) -> Results:
    """Measure all offers made before a naive UTC instant, and each of the latest campaigns."""
    offers = tables.offers.filter(tables.offers.assigned_at < as_of, tables.offers.recorded_at < as_of)
    ends = {"first": offers.assigned_at.min(), "last": offers.assigned_at.max()}
    [whole] = offers.aggregate(**ends).to_pyarrow().to_pylist()
    if whole["last"] is None:
        return Results(results=())
    by_campaign = offers.filter(offers.campaign_id.notnull()).group_by("campaign_id").aggregate(**ends)
    order = [ibis.desc("last"), ibis.desc("campaign_id")]
    campaigns = by_campaign.order_by(order).limit(latest).to_pyarrow().to_pylist()
    return Results(
        results=tuple(
            Result(
                campaign=name,
                first=programme.local_date(found["first"]),
                last=programme.local_date(found["last"]),
                measured=tuple(measure(tables, programme, as_of, campaign=name)),
            )
            for name, found in ((None, whole), *((each["campaign_id"], each) for each in campaigns))
        )
    )


def by_incentive(result: Result, days: int, write: Writer) -> list[tuple[str, Measured]]:
    """Return what a campaign brought in so many days, in all and by incentive, each under its name."""
    rows = [result.overall(days), *result.of_incentives(days)]
    return [(write.incentive(row.incentive) if row.incentive else write(*_ALL), row) for row in rows]


def by_campaign(results: Results, days: int) -> list[tuple[str, Measured]]:
    """Return what each of the latest campaigns brought in so many days, under its name and first day."""
    named = [(each.campaign, each) for each in results.results if each.campaign is not None]
    return [(f"{name} · {each.first}", each.overall(days)) for name, each in named]


def _is_whole(row: Measured) -> bool:
    return row.policy_segment is None and row.channel is None and row.incentive is None
