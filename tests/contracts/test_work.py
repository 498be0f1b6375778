"""The yardstick of other tests: the same number on any machine, after any other test."""

import gc

from tests import work


class _Finalised:
    """Part of a cycle; the collector runs lines of Python for it."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(100):
            pass


def test_what_earlier_tests_left_is_not_counted() -> None:
    def step() -> None:
        gc.set_threshold(10)
        left.extend([number] for number in range(1_000))

    before = gc.get_threshold()
    left: list[object] = []
    try:
        gc.collect()
        alone = work.lines(step)
        gc.set_threshold(100_000)
        for _ in range(20):
            _Finalised()
        beside = work.lines(step)
    finally:
        gc.set_threshold(*before)

    assert beside == alone
