"""Counts of cases: the least of several windows, without what idle windows have."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.calls.profilers import Counted, Profiler, Window

WARM, ROUNDS = 6, 7
SETTLE_SECONDS = 0.02
"""Seconds after an answer, and the writing of its record, that are counted too."""
QUIET_SECONDS, QUIET_WINDOWS, QUIET = 0.2, 3, 4_000
"""Nothing is read ahead, or brought up to date, if as many windows in a row of these seconds have
at most this number of calls or bytecodes."""
QUIET_WITHIN = 20.0

Say = Callable[[str], None]
Found = dict[str, dict[str, Counted]]
"""Work of each case by process."""
Profilers = Mapping[str, Profiler]
Cases = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Shown:
    """Options of the lists that are printed beside the counts."""

    top: int = 0
    """Number of files and functions with most work; 0: none."""
    callers: str = ""
    """Part of the names of functions whose callers are printed; empty: of none."""
    bytecodes: bool = False
    """If true, lists have bytecodes instead of calls."""

    def of(self, window: Window) -> Iterator[tuple[str, Counter[str]]]:
        """Yield lists of work, each with its title."""
        if self.top:
            yield "files", window.files
            yield "functions", window.functions
        for name, callers in window.callers.items():
            if self.callers and self.callers in name:
                yield f"callers of {name}", callers


def _windows(
    profilers: Profilers, call: Callable[[], object], settle: float = SETTLE_SECONDS
) -> dict[str, Window]:
    """Return the work of each process from the start of `call` until `settle` seconds after its
    end."""
    for each in profilers.values():
        each.start()
    try:
        call()
        time.sleep(settle)
    finally:
        found = {name: each.stop() for name, each in profilers.items()}
    return found


def _least(profilers: Profilers, call: Callable[[], object]) -> dict[str, Window]:
    """Return the least of several windows of each process: what runs beside the answer only adds to
    it."""
    windows = [_windows(profilers, call) for _ in range(ROUNDS)]
    return {
        name: min((each[name] for each in windows), key=lambda each: each.functions.total())
        for name in profilers
    }


def _wait_until_quiet(profilers: Profilers) -> None:
    """Wait for the end of what earlier calls have begun beside answers, such as reading products
    ahead, at most QUIET_WITHIN."""
    quiet, until = 0, time.monotonic() + QUIET_WITHIN
    while quiet < QUIET_WINDOWS and time.monotonic() < until:
        windows = _windows(profilers, lambda: None, QUIET_SECONDS).values()
        quiet = quiet + 1 if all(each.functions.total() < QUIET for each in windows) else 0


def measured(profilers: Profilers, cases: Cases, shown: Shown, say: Say) -> Found:
    """Count all cases, with caches filled."""
    for each in profilers.values():
        each.quiet()
    for call in cases.values():
        call()
    _wait_until_quiet(profilers)
    idle = _least(profilers, lambda: None)
    found: Found = {}
    for name, call in cases.items():
        for _ in range(WARM):
            call()
        windows = _least(profilers, call)
        found[name] = {
            process: window.counted - idle[process].counted for process, window in windows.items()
        }
        for process, window in windows.items():
            for title, counts in shown.of(window):
                say(f"\n{name}, {process}: {title}")
                for what, times in counts.most_common(shown.top or None):
                    say(f"{times:6} {what}")
    return found
