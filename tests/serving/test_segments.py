import re
from datetime import datetime
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from builders import small_constants
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.programme import Programme, parse_programme
from features.settings import State, Tier
from serving.segments import POLICY_SEGMENTS, RHYTHMS, check_personas, segment_members

CONSTANTS = small_constants(datetime(2026, 1, 5))
STATES_BY_RECENCY = ["new", "active", "at_risk", "lapsed_short", "lapsed_mid", "lapsed_long"]


def programme(**settings: object) -> Programme:
    return parse_programme({"name": "t", "currency": "EUR", "data": {"orders": {"path": "orders.csv"}}, **settings})


def members(**columns: object) -> pd.DataFrame:
    """Members who ordered five times, 20 days apart, and last 10 days ago, unless told otherwise."""
    size = max((len(values) for values in columns.values() if isinstance(values, list)), default=1)
    usual = {
        "recency_days": 10.0, "order_count": 5.0, "order_days": 5.0, "gap_count": 4.0, "gap_median_days": 20.0,
        "value_per_year": 50.0, "repeat_order_days": 4.0, "first_to_last_days": 80.0, "tenure_days": 90.0,
        "joined_days": 95.0, "repeat_value_mean": 5.0, "visits_28d": 0.0, "gap_mean_days": 20.0, "gap_last_days": 20.0,
    }  # fmt: skip
    frame = pd.DataFrame({"member_id": [f"m{number}" for number in range(size)]})
    return frame.assign(**usual).assign(**columns)


def place(frame: pd.DataFrame, settings: Programme | None = None) -> pd.DataFrame:
    return segment_members(frame, CONSTANTS, settings or programme())


def persona(name: str, *when: str, **more: object) -> dict[str, object]:
    return {"name": name, "when": list(when), **more}


def test_states_follow_the_members_own_gap_shrunk_to_the_programmes() -> None:
    # typical gap: (4 x 20 + 2 x 45) / (4 + 2) = 28.33 days, so a member lapses after 56.67 days
    recency = [28.0, 29.0, 56.0, 57.0, 86.0, 87.0, 146.0, 147.0]
    assert place(members(recency_days=recency))["state"].tolist() == [
        "active", "at_risk", "at_risk", "lapsed_short", "lapsed_short", "lapsed_mid", "lapsed_mid", "lapsed_long",
    ]  # fmt: skip


def test_a_member_with_one_order_has_the_programmes_gap_and_is_new_until_it_has_passed() -> None:
    once = members(
        recency_days=[45.0, 46.0, 91.0, 300.0], order_days=1.0, gap_count=0.0, gap_median_days=np.nan,
        repeat_order_days=0.0, repeat_value_mean=np.nan,
    )  # fmt: skip
    assert place(once)["state"].tolist() == ["new", "at_risk", "lapsed_short", "lapsed_long"]


def test_without_a_prior_weight_a_member_without_gaps_still_has_the_programmes() -> None:
    once = members(recency_days=[44.0, 46.0], order_days=1.0, gap_count=0.0, gap_median_days=np.nan)
    placed = place(once, programme(states={"prior_gaps": 0}))
    assert placed["state"].tolist() == ["new", "at_risk"]


def test_a_member_who_never_ordered_is_unknown_and_low() -> None:
    never = members(
        recency_days=np.nan, order_count=0.0, order_days=0.0, gap_count=0.0, gap_median_days=np.nan,
        value_per_year=np.nan, repeat_order_days=0.0, tenure_days=np.nan, repeat_value_mean=np.nan,
    )  # fmt: skip
    placed = place(never).iloc[0]
    assert (placed["tier"], placed["state"]) == ("low", "unknown")
    assert pd.isna(placed["policy_segment"])


def test_tiers_follow_historic_value_so_that_a_lapsed_whale_stays_a_whale() -> None:
    placed = place(members(value_per_year=[200.0, 199.99, 100.0, 99.0], recency_days=[400.0, 10.0, 10.0, 10.0]))
    assert placed["tier"].tolist() == ["high", "mid", "mid", "low"]
    assert placed["policy_segment"].iloc[0] == "high__long"


def test_a_member_who_would_be_worth_much_if_active_is_potential_unless_high_already() -> None:
    promising = members(value_per_year=[300.0, 150.0, 20.0], repeat_value_mean=500.0, repeat_order_days=4.0)
    assert place(promising)["tier"].tolist() == ["high", "potential", "potential"]


def test_the_first_persona_whose_conditions_all_hold_is_the_members() -> None:
    settings = programme(
        personas=[
            persona("whale", "recency_days > 20", tiers=["high"]),
            persona("sleeping", "recency_days >= 90", "order_count >= 3"),
            persona("browsing", "visits_28d > 1"),
        ]
    )
    frame = members(
        recency_days=[95.0, 95.0, 95.0, 10.0],
        value_per_year=[500.0, 50.0, 50.0, 50.0],
        order_count=[5.0, 5.0, 2.0, 5.0],
        visits_28d=[5.0, 5.0, 5.0, 0.0],
    )
    personas = place(frame, settings)["persona"]
    assert personas[:3].tolist() == ["whale", "sleeping", "browsing"]
    assert pd.isna(personas[3])


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">=", "==", "!="])
def test_a_missing_value_satisfies_no_condition(comparison: str) -> None:
    settings = programme(personas=[persona("any", f"visits_28d {comparison} 3")])
    assert place(members(visits_28d=[np.nan, np.nan]), settings)["persona"].isna().all()


@pytest.mark.parametrize("written", ["visits_28d<3", "  visits_28d  <  3.0 ", "visits_28d < +3e0", "visits_28d < .3e1"])
def test_conditions_may_be_written_freely(written: str) -> None:
    settings = programme(personas=[persona("few", written)])
    check_personas(settings)
    assert place(members(visits_28d=[2.0, 3.0]), settings)["persona"].isna().tolist() == [False, True]


def test_a_typo_in_a_personas_feature_is_an_error_with_a_suggestion() -> None:
    settings = programme(personas=[persona("sleeping", "recency_day >= 90"), persona("odd", "visits_28d many")])
    with pytest.raises(InputError) as error:
        check_personas(settings)
    assert "persona sleeping" in str(error.value)
    assert "unknown feature 'recency_day'; did you mean 'recency_days'?" in str(error.value)
    assert re.search(r"persona odd: 'visits_28d many' is not of the form", str(error.value))


def test_an_incentive_that_excludes_an_unknown_persona_is_an_error_with_a_suggestion() -> None:
    incentive = {"id": "mail", "name_en": "m", "name_zh": "m", "eligible": {"exclude_personas": ["natural_ends"]}}
    settings = programme(personas=[persona("natural_end", "recency_days > 9")], incentives=[incentive])
    with pytest.raises(InputError, match="incentive mail: unknown persona 'natural_ends'; did you mean 'natural_end'"):
        check_personas(settings)


def test_rows_keep_their_order_and_index() -> None:
    frame = members(recency_days=[10.0, 500.0, 60.0]).set_index(pd.Index([7, 3, 5]))
    placed = place(frame)
    assert placed.index.tolist() == [7, 3, 5]
    assert placed["member_id"].tolist() == ["m0", "m1", "m2"]
    assert placed["state"].tolist() == ["active", "lapsed_long", "lapsed_short"]


def test_segments_of_nobody_are_an_empty_frame() -> None:
    placed = place(members()[:0], programme(personas=[persona("few", "visits_28d < 3")]))
    assert placed.empty
    assert list(placed) == ["member_id", "tier", "state", "persona", "policy_segment"]


ANY_MEMBER = st.fixed_dictionaries(
    {
        "recency_days": st.one_of(st.just(np.nan), st.integers(0, 3000).map(float)),
        "order_days": st.integers(1, 60).map(float),
        "gap_median_days": st.one_of(st.just(np.nan), st.floats(1, 900)),
        "value_per_year": st.one_of(st.just(np.nan), st.floats(-1e4, 1e6)),
        "repeat_value_mean": st.one_of(st.just(np.nan), st.floats(-1e3, 1e5)),
    }
)


@settings(deadline=None, max_examples=40)
@given(st.lists(ANY_MEMBER, min_size=1, max_size=8))
def test_everybody_has_one_tier_one_state_and_a_policy_segment_exactly_when_lapsing(drawn: list[dict]) -> None:
    frame = members(**{name: [member[name] for member in drawn] for name in drawn[0]})
    frame["gap_count"] = np.where(frame["gap_median_days"].isna(), 0.0, frame["order_days"])
    placed = place(frame)
    assert placed["tier"].isin(get_args(Tier)).all()
    assert placed["state"].isin(get_args(State)).all()
    assert (placed["policy_segment"].isna() == placed["state"].isin(["active", "new", "unknown"])).all()
    named = placed.dropna(subset=["policy_segment"])
    assert (named["policy_segment"] == named["tier"] + "__" + named["state"].map(RHYTHMS)).all()
    assert named["policy_segment"].isin(POLICY_SEGMENTS).all()


@settings(deadline=None, max_examples=40)
@given(ANY_MEMBER, st.lists(st.integers(0, 3000), min_size=2, max_size=20))
def test_a_longer_silence_never_makes_a_member_less_lapsed(member: dict, silences: list[int]) -> None:
    frame = members(**{**member, "recency_days": [float(days) for days in sorted(silences)]})
    frame["gap_count"] = 0.0 if np.isnan(member["gap_median_days"]) else member["order_days"]
    order = [STATES_BY_RECENCY.index(state) for state in place(frame)["state"]]
    assert order == sorted(order)


def test_there_are_twelve_policy_segments() -> None:
    assert len(POLICY_SEGMENTS) == len(set(POLICY_SEGMENTS)) == 12
