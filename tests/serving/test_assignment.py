import hashlib
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.settings_incentives import Guardrails
from serving.assignment import assign, in_holdout

IDS = [f"m{number}" for number in range(5_000)]


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


MONDAY = date(2026, 2, 2)
ARMS = ("mail", "text", "gift")


def assigned(
    ids: list[str] = IDS, *, advised: str | None = "mail", may_get: tuple[bool, ...] = (True, True, True),
    last_days: float = np.nan, as_of: date = MONDAY, **rules: float | str,
) -> pd.DataFrame:  # fmt: skip
    """Assign members who are alike."""
    columns = assign(
        pd.Series(ids, dtype="str"),
        arms=ARMS,
        advised=np.array([advised] * len(ids), dtype=object),
        may_get=np.array([may_get] * len(ids)),
        last_assignment_days=np.array([last_days] * len(ids)),
        as_of=as_of,
        guardrails=Guardrails(**{"holdout_share": 0.2, "exploration_share": 0.2, **rules}),
    )
    return pd.DataFrame(columns).astype({"assigned_arm": "str", "assigned_by": "str"})


def frequencies(rows: pd.DataFrame) -> dict[str, float]:
    return rows["assigned_arm"].fillna("control").value_counts(normalize=True).to_dict()


@settings(deadline=None, max_examples=25, phases=[Phase.generate], derandomize=True)
@given(
    advised=st.sampled_from([None, *ARMS]),
    others=st.tuples(*[st.booleans()] * 3),
    holdout=st.floats(0, 0.5),
    exploration=st.floats(0.01, 1),
    last_days=st.sampled_from([np.nan, 200.0, 33.0]),
    seed=st.text(max_size=5),
)
def test_what_is_drawn_over_many_members_is_what_their_probabilities_say(
    advised: str | None, others: tuple[bool, ...], holdout: float, exploration: float, last_days: float, seed: str
) -> None:
    may_get = tuple(open_ or arm == advised for arm, open_ in zip(ARMS, others, strict=True))
    shares = {"holdout_share": holdout, "exploration_share": exploration, "seed": seed}
    rows = assigned(advised=advised, may_get=may_get, last_days=last_days, **shares)
    if not any(may_get):
        assert rows["assigned_by"].isna().all()
        assert (rows["probabilities"].map(len) == 0).all()
        return
    (kind,) = {tuple(sorted(chances.items())) for chances in rows["probabilities"]}
    chances = dict(kind)
    assert set(chances) == {"control", *(arm for arm, open_ in zip(ARMS, may_get, strict=True) if open_)}
    assert sum(chances.values()) == pytest.approx(1, abs=1e-12)
    assert min(chances.values()) >= exploration * (1 - holdout) / len(chances) - 1e-12
    for arm, chance in chances.items():
        error = np.sqrt(chance * (1 - chance) / len(rows))
        assert frequencies(rows).get(arm, 0.0) == pytest.approx(chance, abs=5.5 * error + 1e-9)
    own = rows["assigned_arm"].fillna("control").map(chances)
    pd.testing.assert_series_equal(rows["assigned_probability"], own, check_names=False)


def test_later_in_the_quarter_the_holdout_is_known_and_only_the_others_are_drawn() -> None:
    out = held(IDS, MONDAY, share=0.2)
    rows = assigned(last_days=28.0)
    assert all(chances["control"] == 1 for chances in rows.loc[out, "probabilities"])
    assert (rows.loc[out, "assigned_probability"] == 1).all()
    assert rows.loc[out, "assigned_arm"].isna().all()
    (chances,) = {tuple(chances.items()) for chances in rows.loc[~out, "probabilities"]}
    assert dict(chances) == pytest.approx({"control": 0.05, "mail": 0.85, "text": 0.05, "gift": 0.05})
    for arm, chance in chances:
        assert frequencies(rows[~out])[arm] == pytest.approx(chance, abs=0.02)


def test_a_member_whose_last_assignment_was_in_the_quarter_before_is_drawn_for_the_holdout_anew() -> None:
    (known,), (news,) = (assigned(["m0"], last_days=days)["probabilities"] for days in (32.0, 33.0))
    assert known["control"] == pytest.approx(0.05)
    assert news["control"] == pytest.approx(0.8 * 0.05 + 0.2)


def test_who_is_held_out_is_assigned_nothing_and_without_exploration_all_others_what_is_advised() -> None:
    rows = assigned(exploration_share=0.0)
    out = held(IDS, MONDAY, share=0.2)
    assert rows.loc[out, "assigned_arm"].isna().all()
    assert (rows.loc[out, "assigned_by"] == "holdout").all()
    assert (rows.loc[~out, "assigned_arm"] == "mail").all()
    assert (rows.loc[~out, "assigned_by"] == "policy").all()
    assert rows.loc[~out, "assigned_probability"].to_numpy() == pytest.approx(0.8)


def test_exploration_draws_evenly_among_all_a_member_may_get_and_control() -> None:
    rows = assigned(may_get=(True, False, True), holdout_share=0.0)
    explored = rows[rows["assigned_by"] == "exploration"]
    assert len(explored) / len(rows) == pytest.approx(0.2, abs=0.03)
    assert frequencies(explored) == pytest.approx({"mail": 1 / 3, "gift": 1 / 3, "control": 1 / 3}, abs=0.08)
    assert (rows.loc[rows["assigned_by"] == "policy", "assigned_arm"] == "mail").all()


def test_where_nothing_is_advised_exploration_still_tries_what_may_be_sent() -> None:
    rows = assigned(advised=None)
    assert set(frequencies(rows)) == {"control", *ARMS}
    assert rows.loc[rows["assigned_by"] == "policy", "assigned_arm"].isna().all()


def test_where_nothing_is_advised_and_nothing_explored_nothing_is_assigned_by_nobody() -> None:
    rows = assigned(advised=None, exploration_share=0.0)
    assert rows.drop(columns="probabilities").isna().all(axis=None)
    assert (rows["probabilities"].map(len) == 0).all()


def test_the_same_inputs_draw_the_same_and_another_week_or_seed_draws_anew() -> None:
    pd.testing.assert_frame_equal(assigned(), assigned())
    for other in (assigned(as_of=date(2026, 2, 9)), assigned(seed="other")):
        assert (other["assigned_arm"].fillna("") != assigned()["assigned_arm"].fillna("")).any()


def test_a_members_assignment_does_not_depend_on_the_others() -> None:
    together = assigned(IDS[:40])
    for place in range(40):
        alone = assigned(IDS[place : place + 1])
        pd.testing.assert_frame_equal(alone, together.iloc[[place]].reset_index(drop=True))
