"""What is made once for the same objects, and what goes with them."""

import gc

import numpy as np

from speclet_formula.common.recent import Recent


class Made:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def test_the_same_objects_are_used_once_and_others_anew():
    recent, make = Recent[int](2), Made()
    first, second, third = np.zeros(2), np.zeros(2), np.zeros(2)
    assert [recent.of((first, None), make) for _ in range(3)] == [1, 1, 1]
    assert recent.of((first, second), make) == 2
    assert recent.of((first, None), make) == 1
    assert recent.of((third, None), make) == 3  # the oldest makes room
    assert recent.of((first, None), make) == 4
    recent.clear()
    assert recent.of((first, None), make) == 5


def test_nothing_outlives_what_it_was_made_of():
    recent, made = Recent[np.ndarray](2), np.zeros(3)
    array = np.zeros(2)
    recent.of((array,), lambda: made)
    assert len(gc.get_referrers(made)) >= 1
    assert recent._kept
    del array
    gc.collect()
    assert not recent._kept
