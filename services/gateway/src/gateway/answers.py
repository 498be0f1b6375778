"""Hands answer records to the ranker after the answer, through a bounded queue.

An answer never waits for its record. What finds no room, and what the ranker does not take within
the patience, is dropped and counted.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import Counter, Gauge

from gateway.model import AnswerRecord
from gateway.ports import AnswerSink
from servicekit import deadlines
from servicekit.errors import Code, ServiceError
from servicekit.telemetry import get_logger

MOST_RECORDS = 100
"""What the ranker takes in one call."""
MOST_PRODUCTS = 10_000
"""What goes into one call, so that it stays far below the largest message."""
CALL_SECONDS = 5.0
PATIENCE_SECONDS = 15.0
"""How long a record is offered again while the ranker does not answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

KEPT = Counter("sightline_gateway_answers_kept_total", "Answer records that the ranker took.")
DROPPED = Counter(
    "sightline_gateway_answers_dropped_total",
    "Answer records that were dropped: the queue was full, the ranker gone or not willing.",
    ("cause",),
)
WAITING = Gauge("sightline_gateway_answers_waiting", "Answer records that wait in the queue.")

_AGAIN = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})


class AnswerQueue:
    """Records on their way to the ranker, oldest first."""

    def __init__(
        self, sink: AnswerSink, most_products: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`most_products` bounds what waits, a record counting one more than its products."""
        self._sink = sink
        self._most = most_products
        self._clock = clock
        self._waiting: OrderedDict[tuple[str, str], tuple[float, AnswerRecord]] = OrderedDict()
        self._load = 0
        self._some = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def offer(self, catalog_id: str, record: AnswerRecord) -> bool:
        """Take a record; False = no room, and it was dropped."""
        load = _load(record)
        if self._closing or self._load + load > self._most:
            DROPPED.labels("queue_full").inc()
            return False
        self._waiting[catalog_id, record.answer_id] = (self._clock(), record)
        self._load += load
        WAITING.set(len(self._waiting))
        self._some.set()
        return True

    def find(self, catalog_id: str, answer_id: str) -> AnswerRecord | None:
        """A record that was taken and is not handed over yet."""
        entry = self._waiting.get((catalog_id, answer_id))
        return entry[1] if entry is not None else None

    def start(self) -> None:
        """Begin to hand over."""
        self._task = asyncio.create_task(self._run())

    async def close(self, seconds: float) -> None:
        """Take no more, hand over what waits for at most `seconds`, drop the rest."""
        self._closing = True
        self._some.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=seconds)
            if not done:
                self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for key in list(self._waiting):
            self._drop(key, "shutdown")

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while not (self._closing and not self._waiting):
            await self._some.wait()
            if not self._waiting:
                self._some.clear()
                continue
            if await self._hand_over():
                pause = FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _hand_over(self) -> bool:
        """Hand over the oldest records of one catalog; False = try again after a pause."""
        batch = self._oldest()
        try:
            with deadlines.within(CALL_SECONDS):
                await self._sink.record(batch[0][0], [self._waiting[key][1] for key in batch])
        except ServiceError as error:
            if error.code in _AGAIN:
                for key in batch:
                    if self._clock() - self._waiting[key][0] > PATIENCE_SECONDS:
                        self._drop(key, "ranker_unavailable")
                return False
            get_logger().warning("answer records refused", reason=error.reason, count=len(batch))
            self._drop_all(batch)
            return True
        except Exception as error:  # a record that can't be written must not end the hand-over
            get_logger().error("answer records could not be handed over", exc_info=error)
            self._drop_all(batch)
            return True
        for key in batch:
            self._remove(key)
        KEPT.inc(len(batch))
        return True

    def _oldest(self) -> list[tuple[str, str]]:
        catalog_id = next(iter(self._waiting))[0]
        batch: list[tuple[str, str]] = []
        load = 0
        for key, (_, record) in self._waiting.items():
            if key[0] != catalog_id:
                continue
            load += _load(record)
            if batch and (load > MOST_PRODUCTS or len(batch) == MOST_RECORDS):
                break
            batch.append(key)
        return batch

    def _drop_all(self, batch: list[tuple[str, str]]) -> None:
        for key in batch:
            self._drop(key, "refused")

    def _drop(self, key: tuple[str, str], cause: str) -> None:
        self._remove(key)
        DROPPED.labels(cause).inc()

    def _remove(self, key: tuple[str, str]) -> None:
        self._load -= _load(self._waiting.pop(key)[1])
        WAITING.set(len(self._waiting))


def _load(record: AnswerRecord) -> int:
    return len(record.products) + 1
