"""Rate of events through each sink of the ranker: `python -m lab.event_sinks [sqlite]`.

It has no goals: the Kafka cluster is that of tests/kafka.py, in memory and without replicas, so
that this measures the ranker and not brokers. In alternation, each with a new database: eight
callers with calls of 100 views write into the record and into a topic, as AppendEvents does; then
the worker's loop moves the topic into the record; then single events are timed from their
acknowledgement until the record has them.
"""

import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryDirectory

from ranker.adapters.kafka import Access, EventLog, KafkaSink
from ranker.domain.events import Event, EventType, Identity, Shopper, StoredEvent, Written
from ranker.domain.logged import LogSignatures
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import append
from ranker.ports import EventSink
from ranker.record.events import EventRecord
from ranker.record.tables import MIGRATIONS
from ranker.workers.landing import Landing
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests.kafka import Cluster, cluster
from tests.postgres import PostgreSQL, postgresql

UNSIGNED = LogSignatures("").check
KEY = Pseudonyms(bytes(range(32)))
ROUNDS, CALLERS, CALLS, A_CALL = 3, 8, 25, 100
EVENTS = CALLERS * CALLS * A_CALL
SINGLE = 40


def views(count: int) -> list[Event]:
    shoppers = [Shopper(Identity.USER, f"u{n}") for n in range(200)]
    return [
        Event(uuid.uuid4().hex, shoppers[n % 200], EventType.VIEW, f"p{n % 997}")
        for n in range(count)
    ]


async def take_in(sink: EventSink) -> float:
    """Append events by several callers. Return events a second."""

    async def caller(calls: list[list[Event]]) -> None:
        for call in calls:
            done = await append("default", call, KEY, sink.append, now_micros)
            assert done.written_count == A_CALL

    work = [[views(A_CALL) for _ in range(CALLS)] for _ in range(CALLERS)]
    began = time.monotonic()
    await asyncio.gather(*map(caller, work))
    return EVENTS / (time.monotonic() - began)


async def land(log: EventLog, record: EventRecord) -> float:
    """Move events from the log to the record. Return events a second, from the first batch on."""
    landed = 0

    async def counted(events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        nonlocal landed
        landed += len(events)
        return await record.append(events)

    landing = Landing(log, counted, now_micros, UNSIGNED)
    while not landed:  # the consumer group takes seconds to form
        await landing.look()
    first, began = landed, time.monotonic()
    while landed < EVENTS:
        await landing.look()
    return (EVENTS - first) / (time.monotonic() - began)


async def lags(sink: KafkaSink, log: EventLog, record: EventRecord) -> list[float]:
    """Return the milliseconds from each acknowledgement until the record has the event."""
    stop, found = asyncio.Event(), list[float]()
    landed = asyncio.Queue[float]()

    async def reported(events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        outcomes = await record.append(events)
        landed.put_nowait(time.monotonic())
        return outcomes

    task = asyncio.create_task(Landing(log, reported, now_micros, UNSIGNED).run(stop))
    for one in views(SINGLE):
        await append("default", [one], KEY, sink.append, now_micros)
        began = time.monotonic()
        found.append((await landed.get() - began) * 1000)
    stop.set()
    await task
    return found[1:]  # the consumer group takes seconds to form


@contextmanager
def database(server: PostgreSQL | None) -> Iterator[Database]:
    """Yield an empty record, on PostgreSQL if a server is given, else on SQLite."""
    with TemporaryDirectory(dir=".cache") as folder:
        url, name = f"sqlite:///{folder}/ranker.db", f"b{uuid.uuid4().hex}"
        if server is not None:
            server.execute(f"CREATE DATABASE {name}")
            url = server.url(name)
        with closing(Database(url, migrations=MIGRATIONS)) as made:
            made.migrate()
            yield made


async def by_turns(server: PostgreSQL | None, brokers: Cluster) -> None:
    rows: list[tuple[float, float, float]] = []
    waits: list[float] = []
    for _ in range(ROUNDS):
        with database(server) as db:
            direct = await take_in(EventRecord(db))
        with database(server) as db:
            access, record = Access(brokers.brokers, uuid.uuid4().hex), EventRecord(db, late=True)
            sink = KafkaSink(access, 30)
            await asyncio.to_thread(sink._producer.list_topics, access.topic, 30)  # creates it
            accepted = await take_in(sink)
            with closing(EventLog(access, "bench")) as log:
                rows.append((direct, accepted, await land(log, record)))
            waits += await lags(sink, EventLog(access, "bench"), record)
            sink.close(5)
        print("events a second: {:,.0f} / {:,.0f} / {:,.0f}".format(*rows[-1]))
    middle = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(
        "median: {:,.0f} into the record, {:,.0f} into the topic, {:,.0f} out of it".format(*middle)
    )
    deciles = statistics.quantiles(waits, n=20)
    print(f"lag, ms: p50 {statistics.median(waits):.0f}, p95 {deciles[-1]:.0f}")


def main() -> None:
    with ExitStack() as stack:
        sqlite = sys.argv[1:] == ["sqlite"]
        server = None if sqlite else stack.enter_context(postgresql(durable=True))
        asyncio.run(by_turns(server, stack.enter_context(cluster())))


if __name__ == "__main__":
    main()
