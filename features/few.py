"""The features of few members, without a database: what it takes to plan a statement would be most of the time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime

import numpy as np
import pandas as pd

from features.arrays import Program, compiled
from features.build import feature_table, unbound_plan
from features.columns import Column
from features.plain import Table
from features.programme import Programme
from features.remember import remembered
from features.schemas import Tables


def few_features(members: Collection[Mapping[str, Table]], as_of: datetime, programme: Programme) -> pd.DataFrame:
    """Compute the FeatureTable of members by the canonical tables of each; see :func:`features.build.build_features`.

    The numbers are those of any database, to the last bit.
    """
    program = _program(programme)
    today = programme.local_date(as_of)
    clock = {"instant": _one(np.datetime64(as_of, "us")), "today": _one(np.datetime64(today, "D"))}
    tables = {
        f"raw_{field.name}": {
            name: joined([own[field.name][name] for own in members])
            for table, name in program.inputs
            if table == f"raw_{field.name}"
        }
        for field in fields(Tables)
    }
    columns = program.run({**tables, "clock": clock})
    member_ids = columns.pop("member_id").data
    instants = np.full(len(member_ids), columns.pop("as_of").data)
    numbers = np.full((len(member_ids), len(columns)), np.nan)
    for place, column in enumerate(columns.values()):
        np.copyto(numbers[:, place], column.data, where=column.there)
    return feature_table(pd.array(member_ids, dtype="str"), instants, pd.DataFrame(numbers, columns=list(columns)))


def joined(columns: Sequence[Column]) -> Column:
    """Put columns one after the other."""
    if len(columns) == 1:
        return columns[0]
    there = [np.broadcast_to(column.there, column.data.shape) for column in columns]
    return Column(np.concatenate([column.data for column in columns]), np.concatenate(there))


def _one(value: np.datetime64) -> Column:
    return Column(np.array([value]))


@remembered
def _program(programme: Programme) -> Program:
    return compiled(unbound_plan(programme))
