"""Results are given again for the very same objects, and for no others."""

from features.remember import _LAST, remembered


class Counting:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.total = remembered(self._total)

    def _total(self, numbers: list[int], *more: list[int]) -> list[int]:
        self.asked += 1
        return [sum(numbers) + sum(map(sum, more))]


def test_the_same_objects_give_the_same_result_without_asking_again():
    counting, numbers, more = Counting(), [1, 2], [3]
    assert counting.total(numbers, more) is counting.total(numbers, more)
    assert counting.asked == 1


def test_what_is_merely_equal_is_asked_about_anew():
    counting, numbers = Counting(), [1, 2]
    assert counting.total(numbers) == counting.total(list(numbers)) == [3]
    assert counting.asked == 2


def test_one_argument_more_is_another_question():
    counting, numbers, more = Counting(), [1, 2], [3]
    assert [counting.total(numbers), counting.total(numbers, more)] == [[3], [6]]


def test_only_the_last_results_are_kept():
    counting = Counting()
    given = [[number] for number in range(_LAST + 1)]
    for numbers in given:
        counting.total(numbers)
    counting.total(given[-1])
    assert counting.asked == len(given)
    counting.total(given[0])
    assert counting.asked == len(given) + 1
