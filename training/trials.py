"""Tests run elsewhere, as flat tables: one row per unit with what it was assigned and what it then did."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from features.errors import InputError
from features.programme import Programme
from features.settings_data import Trials
from serving.incentives import contact_costs, redemption_costs
from serving.logged_arms import NAMED, out_of_programme
from serving.policy_table import Evidence
from serving.segments import POLICY_SEGMENTS
from training.offer_log import OfferLog

REQUIRED: Final = ("unit_id", "incentive_id", "recalled", "value")
OPTIONAL: Final = ("propensity", "policy_segment", "cost")
ALL_AT_ONCE: Final = pd.Timestamp(0)


def read_trials(programme: Programme) -> tuple[OfferLog, ...]:
    """Read the programme's trial tables, each as an offer log whose windows have closed.

    Raises
    ------
    InputError
        If a table or column is missing, a value does not fit, or nothing says which policy segments it speaks for.
    """
    return tuple(_read(trials, programme) for trials in programme.data.trials)


def trial_log(given: pd.DataFrame, trials: Trials, programme: Programme, *, name: str = "trials") -> OfferLog:
    """Check a trial table and lay it out as an offer log.

    Value is before the incentive's cost. Where no cost is given, everybody recalled is taken to have redeemed: what an
    incentive costs is never understated. Without propensities assignment is taken as drawn by lot.
    """
    rows = _ours(given, trials, name)
    ids = {theirs: ours for ours, theirs in trials.incentives.items()}
    incentive = rows["incentive_id"].astype("str").map(lambda theirs: ids.get(theirs, theirs))
    incentive = incentive.mask(incentive == trials.control_id, programme.guardrails.control_id)
    recall, value = (_numbers(rows, column, name) for column in ("recalled", "value"))
    _require(recall.isin([0, 1]), f"{name}.recalled", "are not 0 or 1, nor true or false")
    cost = _numbers(rows, "cost", name) if "cost" in rows else _most(incentive, recall, value, programme)
    propensity = _numbers(rows, "propensity", name) if "propensity" in rows else pd.Series(0.5, index=rows.index)
    inside = propensity.between(0, 1, inclusive="neither")
    _require(inside, f"{name}.propensity", "are not above 0 and below 1")
    offers = pd.DataFrame(
        {
            "member_id": rows["unit_id"].astype("str"),
            "incentive_id": incentive,
            "week": ALL_AT_ONCE,
            "propensity": propensity,
            "recall": recall,
            "margin": value,
            "redeemed": np.nan,
            "cost": cost,
            "net": value - cost,
            **{column: _coded(given[column]) for column in trials.covariates},
        }
    )
    placed = _placed(offers, rows, trials, name)
    unknown, named = out_of_programme(placed["incentive_id"], programme)
    known = ~unknown
    lapsed = placed["policy_segment"].isin(POLICY_SEGMENTS)
    problems = {
        f"rows are of an incentive that is not in the programme file: {named}; left out": int(unknown.sum()),
        "rows are in no policy segment; left out": int((known & ~lapsed).sum()),
    }
    warnings = tuple(f"{name}: {count} of {len(placed)} {problem}" for problem, count in problems.items() if count)
    evidence: Evidence = "propensity" if "propensity" in rows else "randomised"
    return OfferLog(placed[known & lapsed].reset_index(drop=True), evidence, 0, warnings, trials.covariates)


def _read(trials: Trials, programme: Programme) -> OfferLog:
    file = programme.path(trials.path)
    try:
        given = pd.read_csv(file) if Path(file).suffix == ".csv" else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(f"trials: cannot read {file}: {error}") from error
    return trial_log(given, trials, programme, name=trials.path)


def _ours(given: pd.DataFrame, trials: Trials, name: str) -> pd.DataFrame:
    """Return the columns there are under our names."""
    known = (*REQUIRED, *OPTIONAL)
    wrong = [f"columns.{ours} is none of {', '.join(known)}" for ours in trials.columns if ours not in known]
    named = {ours: trials.columns.get(ours, ours) for ours in known}
    needed = [*(named[ours] for ours in REQUIRED), *trials.columns.values(), *trials.covariates]
    wrong += [f"no column {theirs!r}" for theirs in dict.fromkeys(needed) if theirs not in given]
    if wrong:
        raise InputError(f"{name}: {'; '.join(wrong)}; columns there: {', '.join(map(str, given.columns))}")
    return pd.DataFrame({ours: given[theirs] for ours, theirs in named.items() if theirs in given})


def _numbers(rows: pd.DataFrame, column: str, name: str) -> pd.Series:
    numbers = pd.to_numeric(rows[column], errors="coerce").astype("float64")
    _require(np.isfinite(numbers), f"{name}.{column}", "are missing or no numbers")
    return numbers


def _require(fits: pd.Series | np.ndarray, column: str, problem: str) -> None:
    if not fits.all():
        bad = np.flatnonzero(~fits)
        rows = ", ".join(str(1 + row) for row in bad[:NAMED])
        raise InputError(f"{column}: {len(bad)} of {len(fits)} values {problem}; the first in rows {rows}")


def _most(incentive: pd.Series, recall: pd.Series, value: pd.Series, programme: Programme) -> pd.Series:
    """Return the most each unit can have cost: the contact, and the redemption if it was recalled.

    A share of the order is taken of what was ordered for so much value.
    """
    amount = value / (programme.value.margin_rate or 1.0)
    return contact_costs(incentive, programme) + recall * redemption_costs(incentive, amount, programme)


def _coded(values: pd.Series) -> pd.Series:
    """Return numbers as they are, and anything else by its place in the sorted values."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    return values.astype("category").cat.codes.astype("float64")


def _placed(offers: pd.DataFrame, rows: pd.DataFrame, trials: Trials, name: str) -> pd.DataFrame:
    """Give each row its policy segment; a table without any speaks for each of those the programme file names."""
    if "policy_segment" in rows:
        return offers.assign(policy_segment=rows["policy_segment"].astype("str"))
    if not trials.policy_segments:
        raise InputError(f"{name}: no column policy_segment; say in `policy_segments` for which ones it speaks")
    return pd.concat([offers.assign(policy_segment=segment) for segment in trials.policy_segments], ignore_index=True)
