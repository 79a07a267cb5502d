"""Benchmarks measure what they say: the same features by other hands, programmes that learn as the product does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.build import build_features
from features.catalogue import feature_names
from features.sources import load_tables

ROOT = Path(__file__).parents[1]


def test_features_by_hand_and_in_pandas_are_those_of_the_programme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    crowd, floor, in_pandas = map(__import__, ("crowd", "floor", "pandas_features"))
    settings = (ROOT / "programme.toml").read_text(encoding="utf-8")
    programme = crowd.write_crowd(tmp_path, 200, settings[settings.index("[horizons]") :])
    names = list(feature_names(programme.windows))
    features = build_features(load_tables(programme).tables, programme.instant(crowd.AS_OF), programme)

    floor.write_features(tmp_path, crowd.AS_OF, names, tmp_path / "floor.parquet", threads=1, memory="1GB")
    by_hand = pd.read_parquet(tmp_path / "floor.parquet").set_index("member_id")
    plain = in_pandas.features(in_pandas.sample(tmp_path, 200), pd.Timestamp(crowd.AS_OF))

    ours = features.set_index("member_id")[names]
    for theirs in (by_hand, plain):
        pd.testing.assert_frame_equal(theirs.loc[ours.index, names], ours, check_names=False, rtol=1e-6, atol=2e-6)


def test_a_programme_that_learns_sends_by_lot_first_and_then_by_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    adaptive, logs = map(__import__, ("adaptive", "offer_logs"))
    monkeypatch.setattr(adaptive, "WEEKS", 6)
    best = dict.fromkeys(adaptive.NOTHING, adaptive.DEEPEST)
    monkeypatch.setattr(adaptive, "advice", lambda weeks, settings: best if len(weeks) > 1 else adaptive.NOTHING)
    rng = np.random.default_rng(5)
    settings = logs.programme(seed="5", exploration_share=adaptive.EXPLORATION)
    lived = adaptive.live(rng, logs.draw_truth(rng), settings, 600)
    shares = pd.crosstab(lived.log["week"], lived.log["incentive_id"], normalize="index")
    assert shares.iloc[0].between(0.1, 0.3).all()
    assert shares.iloc[-1][adaptive.DEEPEST] > 0.6
    assert lived.log["propensity"].between(0, 1, inclusive="right").all()


def test_members_of_a_segment_differ_only_in_programmes_meant_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    members, logs = map(__import__, ("members", "offer_logs"))
    rng = np.random.default_rng(3)
    truth = logs.draw_truth(rng)
    base = logs.draw_base(rng, truth, 60_000)
    alike = logs.Base(base.member, base.segment, np.zeros(60_000), np.full(60_000, np.exp(0.5**2 / 2)))
    spread = {}
    for kind, drawn in (("alike", alike), ("differing", base)):
        log, net = members._drawn(rng, truth, drawn, kind)
        spread[kind] = pd.DataFrame(net).groupby(log.offers["policy_segment"].to_numpy()).std().to_numpy()
        made = log.offers.groupby("incentive_id")["net"].agg(["mean", "sem"])
        for number, arm in enumerate(logs.COSTS):
            error = np.hypot(made.loc[arm, "sem"], made.loc["control", "sem"])
            assert abs(made.loc[arm, "mean"] - made.loc["control", "mean"] - net[:, number].mean()) < 4 * error
    assert (spread["alike"] < 1e-9).all()
    assert spread["differing"].mean() > 0.5
