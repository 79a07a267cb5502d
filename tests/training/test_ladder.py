"""Metrics by history level, in the ladder's order."""

import numpy as np
import pandas as pd
import pytest

from training.evaluate import churn_metrics
from training.ladder import ladder_table


def members(levels: list[str], each: int = 50) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    size = each * len(levels)
    churned = rng.integers(0, 2, size).astype(float)
    return pd.DataFrame(
        {
            "history_level": levels * each,
            "churned": churned,
            "churn_probability": rng.uniform(0.1, 0.9, size),
            "value": (1 - churned) * 10,
            "expected_value": 6.0,
        }
    )


def test_every_level_with_members_is_judged_alone_in_the_ladders_order():
    told = members(["long_history", "one_order"])
    table = ladder_table(told)
    assert table["history_level"].tolist() == ["one_order", "long_history"]
    own = told[told["history_level"] == "one_order"]
    assert table.loc[0, "auc"] == churn_metrics(own["churned"], own["churn_probability"])["auc"]
    assert table["predicted_total"].tolist() == [300, 300]
    assert table["members"].sum() == len(told)


def test_a_level_in_which_nobody_churned_has_no_auc():
    told = members(["few_orders"]).assign(churned=0.0)
    assert np.isnan(ladder_table(told).loc[0, "auc"])
    assert ladder_table(told).loc[0, "churn_share"] == pytest.approx(0)
