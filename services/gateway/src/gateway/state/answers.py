"""Asynchronous recording of answers: an answer does not wait for its record."""

import time
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Counter, Gauge

from servicekit import deadlines
from servicekit.errors import Code
from servicekit.tasks.batch_queue import BatchQueue, BatchRules, QueueMetrics
from sightline_core.answer import AnswerRecord

MOST_PRODUCTS = 10_000
"""Maximum number of products in one call, far below the maximum message size."""
CALL_SECONDS = 5.0
GATHER_SECONDS = 0.1
"""Seconds for which records are gathered: a call and its transaction cost the ranker as much as
ranking does."""

COUNTS = QueueMetrics(
    Counter("sightline_gateway_answers_kept_total", "Answer records that the ranker accepted."),
    Counter(
        "sightline_gateway_answers_dropped_total",
        "Answer records that were dropped: the queue was full, or the ranker was unavailable or"
        " rejected them.",
        ("cause",),
    ),
    Gauge(
        "sightline_gateway_answers_waiting",
        "Answer records that wait in the queue.",
        multiprocess_mode="livesum",
    ),
    lost="ranker_unavailable",
)

_AGAIN = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})

Given = tuple[str, AnswerRecord]
"""A catalog and a record."""


class AnswerQueue:
    """Queue of records for the ranker, oldest first."""

    def __init__(
        self,
        record: Callable[[str, Sequence[AnswerRecord]], Awaitable[None]],
        most_products: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_products`: capacity; a record counts as its number of products plus one."""

        async def send(given: Sequence[Given]) -> None:
            with deadlines.within(CALL_SECONDS):
                await record(given[0][0], [each for _, each in given])

        self._queued = BatchQueue(
            send,
            BatchRules[Given](
                key=lambda given: (given[0], given[1].answer_id),
                load=lambda given: len(given[1].order.product_ids) + 1,
                group=lambda given: given[0],
                most_load=MOST_PRODUCTS,
            ),
            COUNTS,
            most_products,
            gather=GATHER_SECONDS,
            again=lambda error: error.code in _AGAIN,
            clock=clock,
        )
        self.close = self._queued.close

    def offer(self, catalog_id: str, record: AnswerRecord) -> bool:
        """Queue a record. Return False if the queue is full: the record is dropped."""
        return self._queued.offer((catalog_id, record))

    def find(self, catalog_id: str, answer_id: str) -> AnswerRecord | None:
        """Return a queued record that was not sent yet; None if there is none."""
        found = self._queued.find((catalog_id, answer_id))
        return None if found is None else found[1]
