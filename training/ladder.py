"""How the models do on each rung of the cold start ladder."""

from __future__ import annotations

import pandas as pd

from serving.history import HISTORY_LEVELS
from training.evaluate import churn_metrics, value_metrics

CHURN: tuple[str, ...] = ("members", "churn_share", "auc", "log_loss", "brier", "ece", "ece_band_high")
VALUE: tuple[str, ...] = ("actual_total", "predicted_total", "total_bias", "rmse", "normalised_gini")


def ladder_table(members: pd.DataFrame) -> pd.DataFrame:
    """Judge churn probabilities and expected values by history level; a level without members has no row.

    Parameters
    ----------
    members
        ``history_level``, ``churned``, ``churn_probability``, ``value`` and ``expected_value``, one row per member.
    """
    by_level = {level: members[members["history_level"] == level] for level in HISTORY_LEVELS}
    return pd.DataFrame([_row(level, own) for level, own in by_level.items() if len(own)])


def _row(level: str, members: pd.DataFrame) -> dict[str, object]:
    churn = churn_metrics(members["churned"], members["churn_probability"])
    value = value_metrics(members["value"], members["expected_value"])
    return {
        "history_level": level,
        **{name: churn[name] for name in CHURN},
        **{name: value[name] for name in VALUE},
    }
