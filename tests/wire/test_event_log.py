"""Events that wait in a log before they come to the record: over real gRPC, through a cluster of
the Kafka protocol (tests/kafka.py)."""

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from ranker.adapters.kafka import Access, EventLog, KafkaSink
from ranker.domain.events import Written
from ranker.record.events import EventRecord
from ranker.record.tables import EVENTS
from ranker.workers.landing import Landing
from servicekit.clock import now_micros
from servicekit.keys.keyring import KeyRing
from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import event_service_pb2 as pb
from tests.fakes.ranker import stored as stored_event
from tests.kafka import Cluster, cluster
from tests.stores import address, only_sqlite
from tests.waiting import SECONDS, until
from tests.wire.ranker_suite import ANN, Suite, at_work, event, refusal, suite

__all__ = ["suite"]

GROUP = "sightline-ranker"
RING = KeyRing([b"k" * 32])
SHORT = {"session.timeout.ms": 5000, "heartbeat.interval.ms": 500}
"""Short timeouts, so that the partitions of a killed worker soon get another one."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def topic(kafka: Cluster) -> Access:
    """Return a new topic for the test."""
    return Access(kafka.brokers, f"events-{uuid.uuid4().hex}", keys=lambda: RING)


@pytest.fixture
async def event_sink(topic: Access) -> AsyncIterator[KafkaSink]:
    sink = KafkaSink(topic, SECONDS)
    await asyncio.to_thread(sink._producer.list_topics, topic.topic, 30)  # it is made
    yield sink
    await asyncio.to_thread(sink.close, 5)


@asynccontextmanager
async def landing(suite: Suite, topic: Access) -> AsyncIterator[None]:
    """Run a worker that copies events from the log to the record."""
    stop, log = asyncio.Event(), EventLog(topic, GROUP, more=SHORT)
    append = EventRecord(suite.database, late=True).append
    task = asyncio.create_task(Landing(log, append, now_micros, topic.signatures.check).run(stop))
    yield
    stop.set()
    await task


async def stored(suite: Suite) -> dict[str, list[str]]:
    """Return the ids of the events in the record by shopper, in its order."""
    t = EVENTS.c
    statement = sa.select(t.actor, t.event_id).order_by(t.sequence)
    found = defaultdict(list)
    for actor, event_id in await suite.database.read(lambda c: c.execute(statement).all()):
        found[actor].append(event_id)
    return found


async def count(suite: Suite) -> int:
    return sum(map(len, (await stored(suite)).values()))


def landed(outcome: str) -> float:
    name = "sightline_ranker_sink_events_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


def crowd(number: int, people: int = 5) -> list[event_pb2.Event]:
    """Return views by several people in turn."""
    shoppers = [event_pb2.Shopper(user_id=f"u{n}") for n in range(people)]
    return [event(event_id=f"e{n:04d}", shopper=shoppers[n % people], ago=n) for n in range(number)]


@only_sqlite
async def test_events_come_to_the_record_once_each_and_in_each_shoppers_order(
    suite: Suite, topic: Access
) -> None:
    given = crowd(600)
    answer = await suite.append(*given[:400])
    assert (answer.written_count, {one.code for one in answer.statuses}) == (400, {0})
    assert await count(suite) == 0  # they wait
    duplicates, conflicts = landed("DUPLICATE"), landed("CONFLICT")
    async with landing(suite, topic):
        await suite.append(*given[300:])
        changed = event("r5", event_id="e0000", shopper=given[0].shopper)
        await suite.append(changed, event(event_id="last"))
        await until(lambda: landed("CONFLICT") == conflicts + 1)
        await until(lambda: landed("DUPLICATE") == duplicates + 100)
    found = await stored(suite)
    assert sorted(map(len, found.values())) == [1, 120, 120, 120, 120, 120]
    for ids in found.values():
        assert ids == sorted(ids)


@pytest.mark.full
@only_sqlite
async def test_an_event_is_in_the_next_answer_soon_after_it_was_acknowledged(
    suite: Suite, topic: Access
) -> None:
    async with landing(suite, topic):
        await suite.append(event("r1", event_id="click"))

        async def known() -> bool:
            answer = await suite.events.GetEvents(pb.GetEventsRequest(shopper=ANN))
            return [one.event_id for one in answer.events] == ["click"]

        await until(known)
        lag = REGISTRY.get_sample_value("sightline_ranker_sink_lag_seconds")
        assert lag is not None
        assert lag < SECONDS


DYING = """
import asyncio, os, signal, sys
from ranker.adapters.kafka import Access, EventLog
from ranker.domain.events import Written
from ranker.record.events import EventRecord
from ranker.record.tables import MIGRATIONS
from ranker.workers.landing import Landing
from servicekit.clock import now_micros
from servicekit.keys.keyring import KeyRing
from servicekit.sql.database import Database

class Dying(EventLog):
    def commit(self):
        os.kill(os.getpid(), signal.SIGKILL)

url, brokers, topic, group = sys.argv[1:]
more = {"session.timeout.ms": 5000, "heartbeat.interval.ms": 500}
log = Dying(Access(brokers.split(","), topic), group, more=more)
append = EventRecord(Database(url, migrations=MIGRATIONS), late=True).append
asyncio.run(Landing(log, append, now_micros, lambda *_: None).run(asyncio.Event()))
"""


@pytest.mark.full
async def test_a_worker_that_dies_before_it_commits_offsets_leaves_no_duplicates(
    suite: Suite, topic: Access
) -> None:
    await suite.append(*crowd(50))
    place = (address(suite.database), ",".join(topic.brokers), topic.topic, GROUP)
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DYING, *place], check=False
    )
    assert died.returncode == -signal.SIGKILL
    before = await count(suite)
    assert before > 0
    duplicates = landed("DUPLICATE")
    async with landing(suite, topic):
        await until(lambda: landed("DUPLICATE") >= duplicates + before)
        await until(lambda: _all(suite, 50))
    assert await count(suite) == 50


async def _all(suite: Suite, number: int) -> bool:
    return await count(suite) >= number


@pytest.mark.full
@only_sqlite
async def test_no_event_is_acknowledged_while_the_brokers_are_away_and_none_is_lost(
    suite: Suite, topic: Access, kafka: Cluster, event_sink: KafkaSink
) -> None:
    if kafka.process is None:
        pytest.skip("NOT MEASURED: this broker is not ours to stop")
    await suite.append(event(event_id="before"))
    began, event_sink._seconds = time.monotonic(), 0.5
    with kafka.away():
        error = await refusal(suite.append(event(event_id="meanwhile")))
    assert (error.reason, error.code) == ("EVENT_LOG_UNAVAILABLE", "UNAVAILABLE")
    assert error.retry_after is not None
    assert time.monotonic() - began < SECONDS / 2
    event_sink._seconds = SECONDS
    await suite.append(event(event_id="meanwhile"))
    async with landing(suite, topic):
        await until(lambda: _all(suite, 2))
    (ids,) = (await stored(suite)).values()
    assert ids == ["before", "meanwhile"]


@pytest.mark.full
@only_sqlite
async def test_forged_and_unsigned_entries_never_come_to_the_record(
    suite: Suite, topic: Access
) -> None:
    """Write as a producer that may write into the topic, and has read a ranker's entries."""
    await suite.append(event(event_id="genuine"))
    forged, ring = landed("FORGED"), KeyRing([b"o" * 32])
    intruders = [KafkaSink(replace(topic, keys=keys), SECONDS) for keys in (None, lambda: ring)]
    for place, intruder in enumerate(intruders):
        assert await intruder.append([stored_event(f"forged{place}")]) == (Written.NEW,)
        await asyncio.to_thread(intruder.close, 5)
    async with landing(suite, topic):
        await until(lambda: landed("FORGED") == forged + 2)
        await suite.append(event(event_id="later"))
        await until(lambda: _all(suite, 2))
    (ids,) = (await stored(suite)).values()
    assert ids == ["genuine", "later"]


@pytest.mark.full
@only_sqlite
async def test_a_purge_wins_over_events_that_still_wait(suite: Suite, topic: Access) -> None:
    await suite.append(event(event_id="old"), *crowd(5))
    request = gateway_pb.PurgeEventsRequest(shopper=ANN, force=True)
    answer = await suite.events.PurgeEvents(request)
    assert answer.event_count == 0  # it counts what is in the record
    await suite.append(event(event_id="new"))
    async with landing(suite, topic), at_work(suite):
        await until(lambda: _all(suite, 6))
    found = {one for ids in (await stored(suite)).values() for one in ids}
    assert found == {*(f"e000{n}" for n in range(5)), "new"}


@pytest.mark.full
@only_sqlite
async def test_a_purge_deletes_what_came_to_the_record_while_it_was_asked_for(
    suite: Suite, topic: Access
) -> None:
    """Add events after the purge was counted, and before its job is visible."""
    await suite.append(event(event_id="old"))
    await suite.events.PurgeEvents(gateway_pb.PurgeEventsRequest(shopper=ANN, force=True))
    straight = EventRecord(suite.database).append  # as if no job had been there
    log = EventLog(topic, GROUP, more=SHORT)
    one = Landing(log, straight, now_micros, topic.signatures.check)

    async def read() -> bool:
        await one.look()
        return await count(suite) == 1

    await until(read)
    async with at_work(suite):
        await until(lambda: _none(suite))
    await asyncio.to_thread(log.close)


async def _none(suite: Suite) -> bool:
    return await count(suite) == 0
