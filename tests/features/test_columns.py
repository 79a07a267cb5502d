"""Rows are put together by what they have in common."""

from __future__ import annotations

import numpy as np
import pytest

from features.columns import Column, Groups

ALIKE = Column(np.array(["m", "m", "m"]))
VARIED = Column(np.array([7, 5, 7]))
MISSING = Column(np.array([5, 5, 7]), np.array([True, False, True]))


@pytest.mark.parametrize("keys", [(ALIKE, VARIED), (VARIED, ALIKE), (VARIED,)])
def test_a_key_that_all_rows_share_does_not_part_them(keys: tuple[Column, ...]) -> None:
    groups = Groups.by(*keys)
    assert (groups.count, groups.of_row.tolist(), groups.first.tolist()) == (2, [1, 0, 1], [1, 0])


def test_rows_that_share_every_key_are_one_group() -> None:
    groups = Groups.by(ALIKE)
    assert (groups.count, groups.of_row.tolist(), groups.first.tolist()) == (1, [0, 0, 0], [0])


def test_no_rows_are_no_groups() -> None:
    groups = Groups.by(Column(np.array([], dtype=np.str_)))
    assert (groups.count, groups.of_row.tolist(), groups.first.tolist()) == (0, [], [])


def test_a_missing_key_is_not_the_value_that_stands_in_its_place() -> None:
    groups = Groups.by(MISSING)
    assert (groups.count, groups.of_row.tolist()) == (3, [1, 0, 2])
