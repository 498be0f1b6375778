"""Background loops that outlast their errors.

A loop of a worker is a step that is repeated here: an error of a step is logged and counted, and
the step is repeated after a pause. An error of one row, file or catalog is confined to it, so that
the step goes on with the others.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from prometheus_client import Counter

from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 5.0
LOGGED_SECONDS: Final = 60.0
"""Minimum seconds between two log lines about one row, file or catalog; each failure counts."""
MOST_TOLD: Final = 1_000
UNEXPECTED: Final = "INTERNAL"
_CLOCK_SECONDS: Final = 0.001

FAILURES = Counter(
    "sightline_loop_failures_total",
    "Failed steps of background loops, or of single rows or catalogs in them, by loop and reason;"
    " INTERNAL: an error that is not expected, such as a row that can't be read. The loop goes on.",
    ("loop", "reason"),
)


_told: dict[tuple[object, ...], float] = {}
"""Times until which a failure is not logged again."""


class LoopEnded(Exception):
    """The end of a supervised loop, raised by its step: no failure."""


class Backoff:
    """Seconds to wait after failures in a row: doubling from `first` to `longest`."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """Start again from the first wait, after a success."""
        self._next = self._first

    def fail(self) -> float:
        """Return the seconds to wait after this failure, and double the next wait."""
        seconds = self._next
        self._next = min(self._longest, self._next * 2)
        return seconds


async def ended(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait for their ends, whose errors are raised; None: there is none."""
    for task in filter(None, tasks):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def supervised(
    loop: str,
    step: Callable[[], Awaitable[object]],
    backoff: Backoff | None = None,
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Repeat a step, which waits itself for its next work, until cancelled or until `stop` is set.

    After a failed step, wait as `backoff` says. Raises what the step raises as LoopEnded.
    """
    FAILURES.labels(loop, UNEXPECTED)  # at 0, or an increase would not count the first failure
    backoff = backoff or Backoff()
    while stop is None or not stop.is_set():
        try:
            await step()
        except LoopEnded:
            raise
        except Exception as error:  # of any kind: the loop serves all catalogs
            tell(loop, error)
        else:
            backoff.reset()
            continue
        await rest(backoff.fail(), stop)  # no longer with the error, which holds frames of the step


@contextlib.contextmanager
def confined(loop: str, **place: str) -> Iterator[None]:
    """Log and count an error of the block, which works on one row, file or catalog (`place`), and
    go on after the block."""
    try:
        yield
    except LoopEnded:
        raise
    except Exception as error:
        tell(loop, error, **place)


@contextlib.contextmanager
def first_raised(
    *kinds: type[Exception],
) -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Work on all of several items, and raise the first error of these kinds after the last item.

    Yields what each item's block is put into: `with first_raised(OSError) as item: ...` around
    the loop, `with item(): ...` inside it. Other errors are raised at once.
    """
    errors: list[Exception] = []

    @contextlib.contextmanager
    def item() -> Iterator[None]:
        try:
            yield
        except kinds as error:
            errors.append(error)

    yield item
    try:
        if errors:
            raise errors[0]
    finally:
        errors.clear()  # they have this frame


def tell(loop: str, error: Exception, **place: str) -> None:
    """Log and count a failure in a background loop."""
    expected = isinstance(error, ServiceError)
    reason = error.reason if isinstance(error, ServiceError) else UNEXPECTED
    FAILURES.labels(loop, reason).inc()
    key, now = (loop, reason, *place.values()), time.monotonic()
    if now < _told.get(key, now):
        return
    if len(_told) >= MOST_TOLD:
        _told.clear()
    _told[key] = now + LOGGED_SECONDS
    log = get_logger().bind(loop=loop, **place)
    if expected:
        log.warning("step of a loop failed", reason=reason)
    else:
        log.error("step of a loop failed", exc_info=error)


def until_tick(seconds: float) -> float:
    """Return the seconds until the loop's time is a multiple of `seconds`; 0 if that is 0.

    Loops that may also wait for less wake together so, and an idle process rarely. A tick that is
    a millisecond away counts as this one: uvloop's clock and timers know no less.
    """
    if seconds <= 0:
        return 0.0
    left = seconds - asyncio.get_running_loop().time() % seconds
    return left if left > _CLOCK_SECONDS else left + seconds


async def pause(least: float, wake: asyncio.Event | None, most: float | None) -> None:
    """Wait `least` seconds, then for an event, `most` seconds at the longest; None: no limit.

    `wake`: such as one of the commits of a store; it is clear afterwards. None: nothing else is
    waited for.
    """
    await asyncio.sleep(least)
    if wake is not None:
        await rest(most and until_tick(most), wake)
        wake.clear()


async def rest(seconds: float | None, until: asyncio.Event | None) -> None:
    """Sleep for some seconds, or until an event is set. None: without a limit."""
    if until is None:
        await asyncio.sleep(float("inf") if seconds is None else seconds)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
