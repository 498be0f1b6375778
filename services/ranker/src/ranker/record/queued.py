"""Keeps answers after they were given: an answer never waits for its record."""

import time
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Gauge

from ranker.record.answers import Answer, AnswerLog
from servicekit.queued import Batches, Counts, Queued

GATHER_SECONDS = 0.1
"""How long answers gather: a transaction costs as much as the rest of an answer."""
MOST_BYTES = 64 * 1024 * 1024
"""What may wait: the records of some 5,000 answers of 100 products."""

COUNTS = Counts(
    Counter("sightline_ranker_answers_kept_total", "Answer records that were stored."),
    Counter(
        "sightline_ranker_answers_dropped_total",
        "Answer records that were dropped: the queue was full, the store away or not willing.",
        ("cause",),
    ),
    Gauge("sightline_ranker_answers_waiting", "Answer records that wait to be stored."),
    lost="store_unavailable",
)


def _key(answer: Answer) -> tuple[str, str]:
    return answer.catalog_id, answer.answer_id


class AnswerQueue:
    """Answers on their way to the store, oldest first; and those that are there."""

    def __init__(
        self,
        log: AnswerLog,
        now_micros: Callable[[], int],
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._now = log, now_micros
        self._queued = Queued(
            lambda answers: log.write(answers, now_micros()),
            Batches[Answer](key=_key, load=lambda answer: len(answer.content)),
            COUNTS,
            most_bytes,
            gather=GATHER_SECONDS,
            clock=clock,
        )
        self.offer, self.close = self._queued.offer, self._queued.close

    async def write(self, answers: Sequence[Answer]) -> int:
        """Store answers at once; the first content of an id stays. Returns how many were new."""
        new = [one for one in answers if self._queued.find(_key(one)) is None]
        return await self._log.write(new, self._now())

    async def read(self, catalog_id: str, answer_id: str) -> bytes | None:
        """The content, stored or not yet; None when there is none or it has expired."""
        waiting = self._queued.find((catalog_id, answer_id))
        if waiting is not None:
            return waiting.content if waiting.expires_micros > self._now() else None
        return await self._log.read(catalog_id, answer_id, self._now())
