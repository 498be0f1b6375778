"""An event loop whose clock jumps to the next timer as soon as no other work is left.

For code that waits for no other process: its time limits then cost no time, and do not depend on
how fast the machine is. The clock stands still while a thread works.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

from tests.waiting import SECONDS

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    """Selector that moves the clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()
        self.threads = 0
        """Calls in threads that have not returned."""

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or (timeout > 0 and self.threads):
            return super().select(SECONDS)
        found = super().select(0)
        if not found:
            self.now += max(0.0, timeout)
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self._clock.threads += 1
        called = super().run_in_executor(executor, func, *args)
        called.add_done_callback(self._returned)
        return called

    def _returned(self, _: object) -> None:
        self._clock.threads -= 1


def run(work: Coroutine[Any, Any, Result]) -> tuple[Result, float]:
    """Run `work` to its end. Return its result and the seconds that passed on the virtual clock."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        loop = runner.get_loop()
        begun = loop.time()
        clocks = mock.patch.multiple(time, monotonic=loop.time, perf_counter=loop.time)
        with clocks:
            result = runner.run(work)
        return result, loop.time() - begun
