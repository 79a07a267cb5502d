"""What the weekly job is measured against computes the same features."""

from __future__ import annotations

from pathlib import Path

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
