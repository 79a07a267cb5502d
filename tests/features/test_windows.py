import math

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from histories import features, of_one, orders, programme

from features.settings_members import Windows
from features.windows import change, event_windows, order_windows, ratio


def test_windows_of_the_programme_join_those_named_features_rely_on():
    windows = Windows(days=(14, 91), short_days=(3,))
    assert order_windows(windows) == (14, 28, 91, 364)
    assert event_windows(windows) == (3, 28, 91)


def test_a_programmes_own_windows_become_features():
    history = orders(("2025-12-20", 1.0), ("2025-12-10", 2.0))
    got = of_one(history, settings=programme(windows={"days": [14], "short_days": [3]}))
    assert (got["value_14d"], got["value_28d"], got["visits_3d"], got["visits_28d"]) == (1, 3, 0, 0)


def test_a_ratio_is_missing_unless_its_base_is_positive():
    frame = ibis.memtable(pa.table({"part": [1.0, 1.0, 1.0], "whole": [4.0, 0.0, -4.0]}))
    got = frame.select(ratio=ratio(frame.part, frame.whole), change=change(frame.part, frame.whole))
    assert got.to_pyarrow().to_pydict() == {"ratio": [0.25, None, None], "change": [-0.75, None, None]}


@pytest.mark.parametrize("as_of", ["2025-12-10T12:00:00", "2025-12-10T12:00:01"])
def test_the_instant_itself_is_already_too_late(as_of):
    history = orders(("2025-12-01", 1.0), ("2025-12-10 12:00:00", 1.0))
    assert features(history, as_of=as_of).loc["m", "order_count"] == (1 if as_of.endswith("00") else 2)


def test_as_of_starts_at_local_midnight():
    shanghai = programme(timezone="Asia/Shanghai")
    got = features(orders(("2025-12-31 23:00", 1.0), ("2026-01-01 00:00", 1.0)), settings=shanghai).loc["m"]
    assert (got["order_count"], got["recency_days"]) == (1, 1)


def test_a_row_recorded_later_than_it_happened_is_known_from_then_on():
    history = orders(("2025-12-01", 1.0), ("2025-12-05", 1.0), recorded_at=["2025-12-01", "2026-01-01"])
    assert features(history).loc["m", "recency_days"] == 31
    assert features(history, as_of="2026-01-02").loc["m", "recency_days"] == 28


def test_a_member_of_no_known_time_was_always_there():
    people = pd.DataFrame({"member_id": ["m", "n", "o"], "joined_at": None, "recorded_at": [None, None, "2026-01-01"]})
    got = features(orders(("2025-12-01", 1.0)), members=people)
    assert list(got["order_count"].items()) == [("m", 1), ("n", 0)]
    assert got["joined_days"].isna().all()


def test_a_member_recorded_later_is_not_there_yet():
    people = pd.DataFrame({"member_id": ["m", "n"], "joined_at": "2025-06-01", "recorded_at": "2026-01-01"})
    history = orders(("2025-12-01", 1.0))
    assert list(features(history, members=people).index) == ["m"]
    assert list(features(history, members=people, as_of="2026-01-02").index) == ["m", "n"]
    assert math.isnan(features(history, members=people).loc["m", "joined_days"])
