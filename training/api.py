"""From frames to decisions in one call, for notebooks and scripts; what the commands do in steps."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import pandas as pd

from features.programme import Programme, parse_programme
from features.sources import tables_from_frames
from serving.decisions import decide_members
from serving.loading import as_of_or_next_day
from training.effects import estimate_effects
from training.fit import train
from training.snapshots import build_snapshots, most_members, observe


def programme_for_frames(*, currency: str, name: str = "my programme", **settings: Any) -> Programme:
    """Describe a programme whose tables are frames.

    Parameters
    ----------
    currency
        ISO 4217 code of all amounts.
    name
        Shown on reports.
    settings
        Further keys of the programme file, such as ``timezone`` or ``incentives``.

    Raises
    ------
    InputError
        If a setting does not fit; the message names it.
    """
    return parse_programme({"name": name, "currency": currency, "data": {"orders": {"path": "frames"}}, **settings})


def decide(
    programme: Programme,
    *,
    orders: pd.DataFrame,
    members: pd.DataFrame | None = None,
    order_lines: pd.DataFrame | None = None,
    events: pd.DataFrame | None = None,
    offers: pd.DataFrame | None = None,
    contacts: pd.DataFrame | None = None,
    identities: pd.DataFrame | None = None,
    as_of: date | str | None = None,
) -> pd.DataFrame:
    """Learn from a programme's tables and decide about every eligible member.

    Models are fitted, and effects of incentives estimated, on what was known before ``as_of``; nothing is registered or
    published, which is what ``winback train``, ``winback effects`` and ``winback score`` are for.

    Parameters
    ----------
    programme
        Settings; where its file says the tables are does not matter.
    orders, members, order_lines, events, offers, contacts, identities
        The tables, under our column names (see the input contract). Only orders are required.
    as_of
        Date decided for; absent: the day after the last row.

    Returns
    -------
    pandas.DataFrame
        One row per member, with the fields of a decision.

    Warns
    -----
    UserWarning
        Of rows set aside, or kept in doubt.

    Raises
    ------
    InputError
        If a table does not fit the input contract.
    RefusedError
        If there is too little history to learn from.
    """
    loaded = tables_from_frames(
        programme,
        orders=orders,
        members=members,
        order_lines=order_lines,
        events=events,
        offers=offers,
        contacts=contacts,
        identities=identities,
    )
    for finding in loaded.findings:
        if not finding.declared:
            warnings.warn(str(finding), stacklevel=2)
    instant = as_of_or_next_day(programme, as_of, loaded.data_until)
    snapshots = build_snapshots(loaded.tables, instant, programme)
    now = observe(loaded.tables, instant, programme, most=most_members(programme))
    bundle = train(snapshots, now, programme).bundle
    policy = None if offers is None else estimate_effects(loaded.tables, programme, instant)
    return decide_members(loaded.tables, instant, bundle, policy, programme)
