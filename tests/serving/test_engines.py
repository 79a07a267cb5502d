"""Spans are worked on side by side, and come out in their order."""

import threading

import pytest

from serving.engines import ahead


def test_results_come_in_the_order_of_the_items():
    assert list(ahead(str, iter([3, 1, 2]))) == ["3", "1", "2"]
    assert list(ahead(str, [])) == []


def test_the_next_item_is_worked_on_while_a_result_is_used():
    second_begins = threading.Event()

    def work(item: int) -> int:
        if item == 2:
            second_begins.set()
        return item

    results = ahead(work, [1, 2])
    assert next(results) == 1
    assert second_begins.wait(timeout=10)


def test_an_error_reaches_who_takes_the_results_and_ends_the_work():
    def work(item: int) -> float:
        return 1 / item

    results = ahead(work, ahead(int, ["1", "0", "2"]))
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
