"""The cold start ladder: one rung per member, from features alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.history import HISTORY_LEVELS, history_levels


def level(*gaps: float, since: float = 10.0) -> str:
    """Place a member with these gaps between order days, the latest ``since`` days ago."""
    row = {
        "order_days": len(gaps) + 1.0,
        "tenure_days": sum(gaps) + since,
        "gap_count": float(len(gaps)),
        "gap_mean_days": np.mean(gaps) if gaps else np.nan,
        "gap_last_days": gaps[-1] if gaps else np.nan,
    }
    (found,) = history_levels(pd.DataFrame([row]))
    return str(found)


def test_members_climb_the_ladder_with_their_orders():
    assert level() == "one_order"
    assert level(30) == "few_orders"
    assert level(30, 30, 30) == "few_orders"
    assert level(30, 30, 30, 30) == "long_history"


def test_many_orders_in_a_few_weeks_are_not_yet_a_long_history():
    assert level(5, 5, 5, 5, 5) == "few_orders"
    assert level(5, 5, 5, 5, 5, since=90) == "long_history"


def test_who_is_back_after_a_long_silence_has_returned_until_the_next_order():
    assert level(20, 25, 200) == "returned"
    assert level(20, 25, 200, 20) == "long_history"


@pytest.mark.parametrize("gaps", [(20, 25, 91), (150, 120, 200), (400,)])
def test_a_silence_not_long_by_the_members_own_gaps_is_no_return(gaps):
    assert level(*gaps) != "returned"


def test_without_an_order_there_is_no_history():
    never = {"order_days": 0.0, "tenure_days": np.nan, "gap_count": 0.0, "gap_mean_days": np.nan}
    assert list(history_levels(pd.DataFrame([{**never, "gap_last_days": np.nan}]))) == ["no_order"]


@given(st.lists(st.integers(1, 900), max_size=12), st.integers(0, 900))
def test_everybody_has_one_level(gaps, since):
    assert level(*gaps, since=float(since)) in HISTORY_LEVELS
