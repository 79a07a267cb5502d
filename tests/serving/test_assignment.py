import hashlib
from datetime import date

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.assignment import assign, in_holdout

IDS = [f"m{number}" for number in range(20_000)]


def held(ids: list[str], as_of: date = date(2026, 2, 1), share: float = 0.05, seed: str = "winback") -> np.ndarray:
    return in_holdout(ids, as_of=as_of, share=share, seed=seed)


def test_the_draw_is_the_published_hash() -> None:
    digest = hashlib.sha256(b"winback|2026Q1|m7").digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    assert held(["m7"], share=draw).tolist() == [False]
    assert held(["m7"], share=float(np.nextafter(draw, 1))).tolist() == [True]


def test_the_holdout_has_the_share_asked_for() -> None:
    for share in (0.02, 0.05, 0.5):
        assert abs(held(IDS, share=share).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(IDS))


def test_nobody_and_everybody_are_possible_holdouts() -> None:
    assert not held(IDS, share=0.0).any()
    assert held(IDS, share=1.0).all()


def test_members_stay_in_the_holdout_for_a_calendar_quarter_and_are_drawn_anew_in_the_next() -> None:
    first, last, following = date(2026, 1, 1), date(2026, 3, 31), date(2026, 4, 1)
    assert (held(IDS, first) == held(IDS, last)).all()
    again = held(IDS, following)[held(IDS, last)].mean()
    assert 0.01 < again < 0.1


def test_the_same_quarter_of_another_year_is_another_draw() -> None:
    assert (held(IDS, date(2026, 1, 1)) != held(IDS, date(2027, 1, 1))).any()


def test_another_seed_is_another_draw() -> None:
    assert (held(IDS, seed="a") != held(IDS, seed="b")).any()


@settings(deadline=None, max_examples=20)
@given(st.permutations(IDS[:50]))
def test_a_members_draw_does_not_depend_on_the_others(ids: list[str]) -> None:
    alone = {member_id: held([member_id], share=0.5)[0] for member_id in IDS[:50]}
    assert dict(zip(ids, held(ids, share=0.5), strict=True)) == alone


def test_a_larger_share_keeps_everybody_who_was_in_the_smaller() -> None:
    assert (held(IDS, share=0.1) >= held(IDS, share=0.05)).all()


def test_ids_in_any_script_are_drawn() -> None:
    assert held(["会员-1", "é"]).shape == (2,)


def test_who_is_held_out_is_assigned_nothing_and_all_others_what_is_recommended() -> None:
    ids = IDS[:200]
    decisions = pd.DataFrame({"member_id": ids, "recommended_incentive": pd.Series(["mail"] * 200, dtype="str")})
    assigned = assign(decisions, as_of=date(2026, 2, 1), holdout_share=0.25, seed="winback")
    out = held(ids, share=0.25)
    assert assigned.loc[out, "assigned_incentive"].isna().all()
    assert (assigned.loc[out, "assigned_by"] == "holdout").all()
    assert (assigned.loc[out, "assigned_probability"] == 0.25).all()
    assert (assigned.loc[~out, "assigned_incentive"] == "mail").all()
    assert (assigned.loc[~out, "assigned_by"] == "policy").all()
    assert (assigned.loc[~out, "assigned_probability"] == 0.75).all()


def test_where_nothing_is_recommended_nothing_is_assigned_by_nobody() -> None:
    decisions = pd.DataFrame({"member_id": IDS[:50], "recommended_incentive": pd.Series([None] * 50, dtype="str")})
    assert assign(decisions, as_of=date(2026, 2, 1), holdout_share=0.5, seed="winback").isna().all(axis=None)
