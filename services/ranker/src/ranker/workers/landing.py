"""Copies events from the log into the record, in batches.

The offsets of a batch are committed after its transaction: after a crash the batch is read again,
and its events are recognised as duplicates by their ids. While the record is down the batch is
kept.
"""

import asyncio
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from prometheus_client import Counter, Gauge

from ranker.domain.events import Identity, Shopper, StoredEvent, Written
from ranker.domain.logged import SIGNATURE, Forged, Illegible, unpacked
from ranker.events.intake import check
from servicekit import telemetry
from servicekit.tasks.loops import Loop

BATCH = 2000
"""Events per transaction."""
WAIT_SECONDS = 0.5
AGAIN_SECONDS = 1.0
LANDING = "event log"
"""Name of the loop; see servicekit.liveness."""
FAILED = "events not copied from the log"
"""Name for servicekit.tasks.supervision."""

LANDED = Counter(
    "sightline_ranker_sink_events_total",
    "Events read from the log, by outcome: NEW, DUPLICATE, CONFLICT (another event has the"
    " id), PURGED while they waited, ILLEGIBLE, FORGED (no ranker signed the entry).",
    ("outcome",),
)
LAG = Gauge(
    "sightline_ranker_sink_lag_seconds",
    "Age, since its receipt, of the oldest event in the batch that is being copied from the log to"
    " the record; 0 if none waits.",
)


HeaderValue: TypeAlias = str | bytes | None
Headers: TypeAlias = Mapping[str, HeaderValue] | Sequence[tuple[str, HeaderValue]] | None


class LogMessage(Protocol):
    """A message of the log."""

    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers: ...


class EventSource(Protocol):
    """Interface of ranker.adapters.kafka.EventLog."""

    def next(self, most: int, seconds: float) -> Sequence[LogMessage]: ...
    def commit(self) -> None: ...
    def close(self) -> None: ...


@dataclass(eq=False)
class Landing:
    log: EventSource
    append: Callable[[Sequence[StoredEvent]], Awaitable[tuple[Written, ...]]]
    now_micros: Callable[[], int]
    check: Callable[[bytes, str], None]
    """LogSignatures.check."""
    _held: Sequence[LogMessage] = field(init=False, default=())

    def __post_init__(self) -> None:
        LANDED.labels("FORGED")  # 0 until the first one, so that its alert sees the increase

    async def run(self, stop: asyncio.Event) -> None:
        """Copy events until `stop` is set, with retries while the log or the record is
        unavailable."""
        try:
            await Loop(FAILED, self.look, AGAIN_SECONDS, alive=LANDING).run(stop)
        finally:
            await asyncio.to_thread(self.log.close)

    async def look(self) -> bool:
        """Store one batch: the one held for a retry, else the next. Return True: the next one is
        waited for at once."""
        self._held = self._held or await asyncio.to_thread(self.log.next, BATCH, WAIT_SECONDS)
        if not self._held:
            LAG.set(0)
            return True
        events = [event for one in self._signed() if (event := _event(one)) is not None]
        if events:
            oldest = min(event.received_micros for event in events)
            LAG.set(max(self.now_micros() - oldest, 0) / 1e6)
            for outcome, count in Count(await self.append(events)).items():
                LANDED.labels(outcome.value).inc(count)
        self._held = ()
        await asyncio.to_thread(self.log.commit)
        return True

    def _signed(self) -> list[LogMessage]:
        """Return the messages of the batch that rankers signed; the others are counted, and logged
        once a batch."""
        signed, forged = [], []
        for message in self._held:
            try:
                self.check(message.value() or b"", _signature(message))
                signed.append(message)
            except Forged as error:
                forged.append((message, str(error)))
        if forged:
            first, why = forged[0]
            place = {"partition": first.partition(), "offset": first.offset()}
            telemetry.get_logger().error("events rejected", count=len(forged), why=why, **place)
            LANDED.labels("FORGED").inc(len(forged))
        return signed


def _signature(message: LogMessage) -> str:
    """Return a message's signature; empty: it has none."""
    found = message.headers() or ()
    for name, value in found.items() if isinstance(found, Mapping) else found:
        if name == SIGNATURE and value:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return ""


def _event(message: LogMessage) -> StoredEvent | None:
    """Return the message's event; log and return None if it is invalid. Raise OfLaterRelease; the
    partition then waits for a newer worker."""
    try:
        stored = unpacked(message.value() or b"")
        someone = Shopper(Identity.USER, stored.actor)
        if wrong := check(replace(stored.event, shopper=someone), stored.received_micros):
            raise Illegible(wrong.reason)  # noqa: TRY301
    except Illegible as error:
        place = {"partition": message.partition(), "offset": message.offset()}
        telemetry.get_logger().warning("event not readable", why=str(error), **place)
        LANDED.labels("ILLEGIBLE").inc()
        return None
    return stored
