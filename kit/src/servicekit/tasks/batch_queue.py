"""A bounded queue of items that are sent in batches after the answer was given.

No call waits for it. Items that find the queue full, and those that are not taken within the
patience, are dropped and counted. A crash loses at most the items in the queue.
"""

import asyncio
import contextvars
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge

from servicekit.errors import ServiceError
from servicekit.tasks.supervision import ended, rest
from servicekit.telemetry import get_logger

PATIENCE_SECONDS = 15.0
"""How long an item is resent while the receiver is busy or unreachable."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueueMetrics:
    """Metrics of a queue."""

    kept: Counter
    dropped: Counter
    """By cause: "queue_full", "refused", "shutdown", and `lost` of the queue."""
    waiting: Gauge
    lost: str
    """The cause for items that the receiver did not take within the patience."""


@dataclass(frozen=True)
class BatchRules(Generic[T]):
    """Rules by which queued items are put into batches."""

    key: Callable[[T], Hashable]
    """Identity of an item: an item whose key is queued already is not added; see `newest`."""
    load: Callable[[T], int]
    """Size of an item, in the unit of the queue's `most_load`."""
    group: Callable[[T], Hashable] = lambda _: None
    """A batch holds items of one group only."""
    owner: Callable[[T], Hashable] | None = None
    """Owner of an item, who may hold at most half of the queue's load; None: no such limit."""
    newest: bool = False
    """True if an item takes the place of a queued one of its key, whatever its size."""
    most: int = 100
    """Maximum number of items in a batch."""
    most_load: float = float("inf")
    """Maximum load of a batch of more than one item."""


class BatchQueue(Generic[T]):
    """Queue of items to be sent, oldest first."""

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[object]],
        batches: BatchRules[T],
        counts: QueueMetrics,
        most_load: int,
        *,
        gather: float = 0.0,
        again: Callable[[ServiceError], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_load`: maximum load of the queue. `gather`: seconds that an item waits for others
        before its batch is sent. `again`: whether a batch is resent after this error of `send`, or
        dropped."""
        self._send, self._batches, self._counts = send, batches, counts
        self._most_load, self._gather = most_load, gather
        self._again, self._clock = again, clock
        self._waiting: dict[Hashable, tuple[float, T, int]] = {}
        """By key: when an item came, the item, and its load."""
        self._load = 0
        self._held: Tally[Hashable] = Tally()
        """Load by owner."""
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def offer(self, item: T) -> bool:
        """Add an item; see BatchRules for one whose key is queued already.

        Return False if the queue is full: the item is dropped.
        """
        key, load = self._batches.key(item), self._batches.load(item)
        if (queued := self._waiting.get(key)) is not None:
            if self._batches.newest:
                since, former, size = queued
                self._waiting[key] = (since, item, load)
                self._hold(former, -size)
                self._hold(item, load)
            return True
        if not self._fits(item, load):
            self._counts.dropped.labels("queue_full").inc()
            return False
        self._waiting[key] = (self._clock(), item, load)
        self._hold(item, load)
        self._counts.waiting.set(len(self._waiting))
        if self._task is None or self._task.done():
            # In a separate context: a batch belongs to no single request.
            self._task = asyncio.get_running_loop().create_task(
                self._drain(), context=contextvars.Context()
            )
        return True

    def takes(self, item: T) -> bool:
        """Return whether there is space for an item; False after `close`."""
        return self._fits(item, self._batches.load(item))

    def _fits(self, item: T, load: int) -> bool:
        owner = self._batches.owner
        held = self._held[owner(item)] * 2 if owner else 0
        fits = self._load + load <= self._most_load and held < self._most_load
        return fits and not self._closing.is_set()

    def _hold(self, item: T, load: int) -> None:
        self._load += load
        if self._batches.owner:
            owner = self._batches.owner(item)
            self._held[owner] += load
            if not self._held[owner]:
                del self._held[owner]

    @property
    def count(self) -> int:
        """Number of items that are queued or being sent."""
        return len(self._waiting)

    @property
    def is_empty(self) -> bool:
        """True if no item is queued or being sent."""
        return not self._waiting

    def find(self, key: Hashable) -> T | None:
        """Return the queued item of a key, or None."""
        entry = self._waiting.get(key)
        return None if entry is None else entry[1]

    async def close(self, seconds: float) -> None:
        """Accept no more items, send queued ones for at most `seconds`, drop the rest."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            await ended(self._task)
        self._drop(list(self._waiting), "shutdown")

    async def _drain(self) -> None:
        pause = FIRST_PAUSE
        while self._waiting:
            if len(self._waiting) < self._batches.most:
                await self._gathered()
            if await self._hand_over(self._oldest()):
                pause = FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _gathered(self) -> None:
        """Wait until the oldest item has waited for `gather` seconds; not after `close`."""
        since, _, _ = next(iter(self._waiting.values()))
        if (seconds := since + self._gather - self._clock()) > 0:
            await rest(seconds, self._closing)

    async def _hand_over(self, batch: Sequence[Hashable]) -> bool:
        """Send a batch. Return False if it is to be sent again after a pause."""
        sent = [self._waiting[key] for key in batch]
        try:
            await self._send([item for _, item, _ in sent])
        except ServiceError as error:
            if self._again(error):
                since = self._clock() - PATIENCE_SECONDS
                self._drop([k for k in batch if self._waiting[k][0] < since], self._counts.lost)
                return False
            get_logger().warning("records rejected", reason=error.reason, count=len(batch))
            self._drop(self._left(batch, sent), "refused")
        except Exception as error:  # an item that can't be encoded must not stop the queue
            get_logger().error("records not sent", exc_info=error)
            self._drop(self._left(batch, sent), "refused")
        else:
            self._remove(self._left(batch, sent))
            self._counts.kept.inc(len(batch))
        return True

    def _left(self, batch: Sequence[Hashable], sent: Sequence[object]) -> list[Hashable]:
        """Return the keys whose items were not replaced while they were sent."""
        pairs = zip(batch, sent, strict=True)
        return [key for key, entry in pairs if self._waiting[key] is entry]

    def _oldest(self) -> list[Hashable]:
        of, group = self._batches, None
        batch: list[Hashable] = []
        load = 0
        for key, (_, item, size) in self._waiting.items():
            own = of.group(item)
            if batch and own != group:
                continue
            group = own
            load += size
            if batch and (load > of.most_load or len(batch) == of.most):
                break
            batch.append(key)
        return batch

    def _drop(self, batch: Sequence[Hashable], cause: str) -> None:
        self._remove(batch)
        if batch:
            self._counts.dropped.labels(cause).inc(len(batch))

    def _remove(self, batch: Sequence[Hashable]) -> None:
        for key in batch:
            _, item, load = self._waiting.pop(key)
            self._hold(item, -load)
        self._counts.waiting.set(len(self._waiting))
