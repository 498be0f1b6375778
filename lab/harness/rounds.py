"""Alternating rounds of calls, whose time and processor time are compared."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.harness import processes

ROUNDS, A_ROUND = 40, 6
"""Number of rounds, and of calls in each."""


@dataclass(slots=True)
class RoundFigures:
    """Figures of calls, by their names, one value a round."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    cpu_milliseconds: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of the servers' processor time of a call, by its name, one value a round."""


async def alternate(
    calls: Mapping[str, Callable[[], Awaitable[None]]],
    programs: Sequence[int],
    say: Callable[[str], None],
    *,
    count: int = ROUNDS,
    each: int = A_ROUND,
) -> RoundFigures:
    """Make each call in turn, in `count` rounds after a warm-up, `each` times a round; `programs`
    are the servers' processes, whose children count too."""
    found = RoundFigures()
    for number in range(count + 1):
        say(f"round {number} of {count}" if number else "warming up")
        for name, work in calls.items():
            spent = await _round(work, programs, each)
            if number:
                for into, value in zip(
                    (found.milliseconds, found.cpu_milliseconds), spent, strict=True
                ):
                    into.setdefault(name, []).append(value)
    return found


async def _round(
    work: Callable[[], Awaitable[None]], programs: Sequence[int], calls: int
) -> tuple[float, float]:
    """Return the milliseconds a call: elapsed, and of the servers' processors."""
    cpu, began = processes.of_trees(programs), time.perf_counter()
    for _ in range(calls):
        await work()
    clock = time.perf_counter() - began
    return 1e3 * clock / calls, 1e3 * (processes.of_trees(programs) - cpu) / calls
