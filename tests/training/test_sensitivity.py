import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.sensitivity import unseen_strength


def test_the_e_value_is_that_of_the_nearer_end_of_the_interval() -> None:
    # VanderWeele and Ding (2017): a risk ratio of 3.9 has the E-value 7.26
    assert unseen_strength(0.1, low=0.29, high=0.5) == pytest.approx(7.26, abs=0.005)
    assert unseen_strength(0.1, low=-0.2, high=-0.05) == pytest.approx(2 + np.sqrt(2))


def test_an_interval_that_holds_zero_needs_nothing_unseen() -> None:
    assert unseen_strength(0.1, low=-0.01, high=0.05) == 1
    assert unseen_strength(0.1, low=float("nan"), high=float("nan")) == 1


@given(base=st.floats(0.01, 0.5), low=st.floats(0.001, 0.2), further=st.floats(0.001, 0.2))
def test_a_larger_effect_takes_more_to_explain_away(base: float, low: float, further: float) -> None:
    assert 1 < unseen_strength(base, low=low, high=1) < unseen_strength(base, low=low + further, high=1)
