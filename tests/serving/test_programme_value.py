"""Programme value: members x repurchase rate x spend."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from builders import AS_OF, Frames, small_frames, small_programme

from features.sources import load_tables
from serving.report.programme_value import ProgrammeValue, programme_values


def orders_of(*rows: tuple[str, str, float]) -> Frames:
    orders = pd.DataFrame(rows, columns=["member_id", "ordered_at", "net_amount"])
    ids = [f"o{number}" for number in range(len(rows))]
    return {"orders": orders.assign(order_id=ids, is_return=orders["net_amount"] < 0)}


def last_period(folder: Path, frames: Frames) -> ProgrammeValue:
    programme = small_programme(folder, frames)
    return programme_values(load_tables(programme).tables, programme.instant(AS_OF), programme)[-1]


def test_the_three_factors_multiply_to_the_sales_to_known_members(tmp_path: Path) -> None:
    frames = small_frames()
    found = last_period(tmp_path, frames)
    assert found.members * found.repurchase_rate * found.spend_per_member == pytest.approx(found.spend)
    orders = frames["orders"]
    start = pd.Timestamp(AS_OF) - pd.Timedelta(days=91)
    first = orders.groupby("member_id")["ordered_at"].min()
    known = first.index[first < start]
    within = orders[(orders["ordered_at"] >= start) & orders["member_id"].isin(known)]
    assert (found.members, found.repurchasing) == (len(known), within["member_id"].nunique())
    assert found.spend == pytest.approx(within["net_amount"].sum())


def test_a_member_new_in_the_period_is_no_repurchase(tmp_path: Path) -> None:
    frames = orders_of(
        ("old", "2025-06-01T12:00", 10.0), ("old", "2025-12-01T12:00", 20.0), ("new", "2025-12-01T12:00", 99.0)
    )
    found = last_period(tmp_path, frames)
    assert (found.members, found.repurchasing, found.spend) == (1, 1, 20.0)


def test_a_return_takes_its_money_off(tmp_path: Path) -> None:
    frames = orders_of(
        ("a", "2025-06-01T12:00", 10.0), ("a", "2025-12-01T12:00", 20.0), ("a", "2025-12-05T12:00", -5.0)
    )
    found = last_period(tmp_path, frames)
    assert (found.repurchasing, found.spend) == (1, 15.0)


def test_nothing_from_after_the_as_of_counts_and_periods_follow_one_another(tmp_path: Path) -> None:
    frames = orders_of(("a", "2024-01-01T12:00", 10.0), ("a", "2026-01-05T12:00", 20.0))
    programme = small_programme(tmp_path, frames)
    found = programme_values(load_tables(programme).tables, programme.instant(AS_OF), programme)
    assert [period.spend for period in found] == [0.0] * 5
    assert found[-1].end.isoformat() == "2026-01-04"
    assert all((after.start - before.end).days == 1 for before, after in pairwise(found))
    assert found[-1].spend_per_member == 0.0


def test_periods_before_the_first_member_are_left_out(tmp_path: Path) -> None:
    frames = orders_of(("a", "2025-09-01T12:00", 10.0))
    programme = small_programme(tmp_path, frames)
    (found,) = programme_values(load_tables(programme).tables, programme.instant(AS_OF), programme)
    assert (found.members, found.repurchase_rate) == (1, 0.0)
