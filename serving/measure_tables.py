"""What offers brought, laid out for people: tables narrow enough for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from serving.measure import WINDOWS_DAYS, Measured

COLUMNS: Final = {
    "recall": {
        "treated": "treated",
        "control": "control",
        "maturing": "maturing",
        "recalled": "recall_rate",
        "added": "incremental_recall",
        "low": "incremental_recall_low",
        "high": "incremental_recall_high",
    },
    "money": {
        "cost": "cost",
        "of value": "cost_share",
        "net value": "net_value",
        "low": "net_value_low",
        "high": "net_value_high",
        "roi": "roi",
        "verdict": "verdict",
    },
}
"""Of each table, its columns and what is in them."""


def tables(measured: Sequence[Measured]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Lay out what everything brought, and each policy segment, channel and incentive by itself."""
    alone = [row for row in measured if row.policy_segment is None or row.incentive is None]
    return {
        f"{what} after {days} days": [
            {
                "of": row.policy_segment or row.incentive or row.channel or "everything",
                **{name: getattr(row, column) for name, column in columns.items()},
            }
            for row in alone
            if row.days == days
        ]
        for days in WINDOWS_DAYS
        for what, columns in COLUMNS.items()
    }
