"""Published decisions as the weekly job left them: one folder of Parquet per as_of, with its summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow.dataset as ds
from pydantic import ValidationError

from features.errors import InputError, RefusedError
from serving.summary import RunSummary

SUMMARY: Final = "_summary.json"
COLUMNS: Final = (
    "member_id", "churn_probability", "expected_value", "value_at_stake", "tier", "state", "policy_segment",
    "recommended_incentive", "assigned_incentive", "assigned_by", "assigned_cost", "expected_recall",
    "expected_recall_low", "expected_recall_high", "no_offer_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Publication:
    """One as_of's decisions: the columns reports are about, and what the job said of them."""

    as_of: date
    folder: Path
    summary: RunSummary

    def decisions(self, *, reasons: bool = False) -> pd.DataFrame:
        """Read the decisions, one row per member; with their reasons if asked."""
        columns = [*COLUMNS, *(["reasons"] if reasons else [])]
        read: pd.DataFrame = ds.dataset(self.folder, format="parquet").to_table(columns=columns).to_pandas()
        return read


def find_publications(decisions: Path, as_of: date | str | None) -> tuple[Publication, Publication | None]:
    """Return the publication of an as_of, by default the latest, and the one before it, if there is one.

    Raises
    ------
    InputError
        If the as_of is no date.
    RefusedError
        If there is none of that as_of.
    """
    dates = published_dates(decisions)
    wanted = _date(as_of) if isinstance(as_of, str) else as_of or max(dates, default=None)
    if wanted is None or wanted not in dates:
        what = "decisions" if wanted is None else f"decisions as of {wanted}"
        raise RefusedError(f"no {what} in {decisions}; run `winback score` first, or name its folder with --decisions")
    before = max((day for day in dates if day < wanted), default=None)
    return _open(decisions, wanted), None if before is None else _open(decisions, before)


def published_dates(decisions: Path) -> list[date]:
    """Return the as_of dates that have been published whole to a folder."""
    return [
        date.fromisoformat(file.parent.name.removeprefix("as_of=")) for file in decisions.glob(f"as_of=*/{SUMMARY}")
    ]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date; write it as 2026-01-31") from error


def _open(decisions: Path, as_of: date) -> Publication:
    folder = decisions / f"as_of={as_of.isoformat()}"
    try:
        summary = RunSummary.model_validate_json((folder / SUMMARY).read_text(encoding="utf-8"))
    except ValidationError as error:
        raise RefusedError(
            f"{folder / SUMMARY} is laid out as by another version of winback; "
            f"run `winback score --as-of {as_of}` again"
        ) from error
    return Publication(as_of, folder, summary)
