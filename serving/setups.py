"""When an incentive's set-up is paid: once for a run of offers, whatever campaigns or phases they belong to.

A run ends when the incentive has not been offered for `RUN_ENDS_AFTER`: what was made for it is then out of date, and
is made anew. Weekly repeats and the phases of a campaign are so one run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.programme import Programme
from serving.ration import set_up_paid

RUN_ENDS_AFTER: Final = timedelta(days=91)


def running(offers: ir.Table, as_of: datetime, programme: Programme) -> tuple[str, ...]:
    """Return the incentives whose set-up is paid already, because a run of them has not ended by ``as_of``."""
    dear = [one.id for one in programme.incentives if one.setup_cost > 0]
    lately = offers.filter(
        offers.incentive_id.isin(dear),
        offers.assigned_at >= as_of - RUN_ENDS_AFTER,
        offers.assigned_at < as_of,
        offers.recorded_at < as_of,
    )
    found = set(lately.select("incentive_id").distinct().to_pyarrow()["incentive_id"].to_pylist())
    return tuple(name for name in dear if name in found)


def left_to_pay(offers: ir.Table, as_of: datetime, programme: Programme) -> Programme:
    """Return the programme with nothing left to pay for setting up what is running."""
    return set_up_paid(programme, running(offers, as_of, programme))


def with_setup(outcomes: pd.DataFrame, offers: ir.Table, programme: Programme) -> pd.DataFrame:
    """Add to each offer's cost its share of the set-up of its run.

    The share is one over the offers of the run, by whichever channel, that are among ``offers``, whatever their
    campaign; so parts of a run add up to one set-up.

    Parameters
    ----------
    outcomes
        With ``incentive_id``, the arm's, ``assigned_at``, ``margin`` and ``cost``.
    offers
        All that are known.
    programme
        Its incentives' set-up costs.
    """
    days = _offers_by_day(offers)
    incentive_of = {arm.id: incentive.id for incentive in programme.incentives for arm in incentive.arms}
    setup = {incentive.id: incentive.setup_cost for incentive in programme.incentives}
    days["share"] = days["incentive_id"].map(setup).astype("float64") / days["in_run"]
    own = [outcomes["incentive_id"].map(incentive_of), outcomes["assigned_at"].dt.floor("D")]
    share = days.set_index(["incentive_id", "day"])["share"].reindex(pd.MultiIndex.from_arrays(own))
    cost = outcomes["cost"] + np.nan_to_num(share.to_numpy())
    return outcomes.assign(cost=cost, net=outcomes["margin"] - cost)


def _offers_by_day(offers: ir.Table) -> pd.DataFrame:
    """Count the offers of each incentive and day, and ``in_run`` those of the run that the day belongs to."""
    daily = offers.group_by("incentive_id", day=offers.assigned_at.truncate("D")).agg(offers=offers.count())
    days: pd.DataFrame = daily.to_pyarrow().to_pandas().sort_values(["incentive_id", "day"], ignore_index=True)
    starts = days.groupby("incentive_id")["day"].diff() > RUN_ENDS_AFTER
    return days.assign(in_run=days["offers"].groupby([days["incentive_id"], starts.cumsum()]).transform("sum"))
