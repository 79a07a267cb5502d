"""What a programme is worth: members x share that orders again x what those spend, period by period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import ibis

from features.programme import Programme
from features.schemas import Tables
from features.windows import Clock, prepare, within

PERIODS: Final = 5


@dataclass(frozen=True)
class ProgrammeValue:
    """A period's sales to members who had ordered before it.

    Attributes
    ----------
    start, end
        First and last day of the period.
    members
        Members with an order before the period.
    repurchasing
        Those of them with an order in it.
    spend
        What these paid in it, returns taken off, in the programme's currency.
    """

    start: date
    end: date
    members: int
    repurchasing: int
    spend: float

    @property
    def repurchase_rate(self) -> float:
        """Share of the members that ordered in the period; 0 without members."""
        return self.repurchasing / self.members if self.members else 0.0

    @property
    def spend_per_member(self) -> float:
        """What a member who ordered in the period paid in it; 0 where nobody did."""
        return self.spend / self.repurchasing if self.repurchasing else 0.0


def programme_values(tables: Tables, as_of: datetime, programme: Programme) -> list[ProgrammeValue]:
    """Return the last periods of `value_days` before an as_of that had members, the earliest first.

    Orders and returns count as known at as_of; a return counts where the order it names does.
    """
    days = programme.horizons.value_days
    orders = prepare(tables, Clock.at(as_of, programme), programme).orders
    bought = ~orders.is_return
    of_member = orders.group_by("member_id").aggregate(
        first_age=orders.age_days.max(where=bought),
        **{
            f"ordered_{p}": (within(orders.age_days, (p + 1) * days, after=p * days) & bought).any()
            for p in range(PERIODS)
        },
        **{
            f"paid_{p}": orders.net_amount.sum(where=within(orders.booked_age_days, (p + 1) * days, after=p * days))
            for p in range(PERIODS)
        },
    )
    totals = of_member.aggregate(
        **{
            f"{name}_{p}": total
            for p in range(PERIODS)
            for name, total in _totals(of_member, f"ordered_{p}", f"paid_{p}", before=(p + 1) * days).items()
        }
    )
    (found,) = totals.to_pyarrow().to_pylist()
    today = programme.local_date(as_of)
    periods = [
        ProgrammeValue(
            start=today - timedelta(days=(p + 1) * days),
            end=today - timedelta(days=p * days + 1),
            members=found[f"members_{p}"],
            repurchasing=found[f"repurchasing_{p}"],
            spend=float(found[f"spend_{p}"] or 0),
        )
        for p in reversed(range(PERIODS))
    ]
    return [period for period in periods if period.members]


def _totals(of_member: ibis.Table, ordered: str, paid: str, *, before: int) -> dict[str, ibis.Value]:
    known = of_member.first_age > before
    again = known & of_member[ordered]
    return {
        "members": known.sum(),
        "repurchasing": again.sum(),
        "spend": of_member[paid].sum(where=again),
    }
