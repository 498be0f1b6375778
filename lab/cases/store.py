"""The ranker's store on each database: events a second and reads of histories, at a million events.

Writes use the whole use case: checks, pseudonyms, duplicates, popularity. In alternation, a bare
executemany writes the same rows into the same tables of another database, with the same durability.
Reads are those of every request.
"""

import asyncio
import contextlib
import functools
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Connection

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile, ratio
from ranker.domain.events import Event, EventType, Identity, Shopper, StoredEvent, Written
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events import intake as taking
from ranker.record.events import EventRecord, kind_of
from ranker.record.tables import CHECKPOINT_PAGES, EVENTS, MIGRATIONS
from servicekit.clock import now_micros
from servicekit.sql.database import Database
from tests.postgres import NoPostgreSQL, postgresql

Say: TypeAlias = Callable[[str], None]

SQLITE, POSTGRESQL = ENGINES = ("SQLite", "PostgreSQL")
SEED = 11
STORED = 1_000_000
BATCH = 1_000
BATCHES = 40
"""Number of timed batches of BATCH events, ours and bare ones in alternation."""
CALLERS = 16
SMALL = {1: 1_600, 10: 8_000}
"""Events of a small batch, and the number of events timed with CALLERS concurrent callers."""
READS = 400
SHOPPERS = (50, 1_000)
"""Number of events of the shoppers whose histories are read."""
AT_LEAST, AT_MOST_MS = 5_000, 1.0
FILLING = 20_000

KEY = Pseudonyms(bytes(range(32)))
TYPES = (EventType.IMPRESSION,) * 8 + (EventType.VIEW,) * 6 + (EventType.CLICK,) * 3
MORE_TYPES = (*TYPES, EventType.ADD_TO_CART, EventType.PURCHASE, EventType.RATING)
DAY_SECONDS = 86_400


@dataclass
class StoreFigures:
    """Figures of one database."""

    engine: str
    ours: list[float] = field(default_factory=list)
    """Seconds of each batch of BATCH events."""
    bare: list[float] = field(default_factory=list)
    small: dict[int, float] = field(default_factory=dict)
    """Events a second, by size of batch."""
    history: dict[int, list[float]] = field(default_factory=dict)
    """Seconds of each read, by number of the shopper's events."""


def run(say: Say) -> BenchResult:
    """Measure each available database."""
    found = {}
    for engine in ENGINES:
        try:
            with _urls(engine) as urls:
                found[engine] = asyncio.run(_measure(engine, urls, say))
        except NoPostgreSQL as error:
            say(str(error))
    return BenchResult(
        tables=(_writes(found.values()), _reads(found.values())),
        figures={"seed": SEED, "stored": STORED, "engines": [vars(one) for one in found.values()]},
        goals=_goals(found),
    )


@contextlib.contextmanager
def _urls(engine: str) -> Iterator[Sequence[str]]:
    """Yield the URLs of two empty databases: ours, and one for bare writes."""
    with tempfile.TemporaryDirectory(prefix="sightline-store-") as folder:
        if engine == SQLITE:
            yield [f"sqlite:///{Path(folder) / name}.db" for name in ("ours", "bare")]
            return
        with postgresql() as server:
            for name in ("ours", "bare"):
                server.execute(f"CREATE DATABASE {name}")
            yield [server.url(name) for name in ("ours", "bare")]


async def _measure(engine: str, urls: Sequence[str], say: Say) -> StoreFigures:
    found = StoreFigures(engine)
    ours, bare = (
        Database(url, migrations=MIGRATIONS, checkpoint_pages=CHECKPOINT_PAGES) for url in urls
    )
    for database in (ours, bare):
        database.migrate()
    say(f"{STORED:,} events into {engine}")
    for database in (ours, bare):
        for start in range(0, STORED, FILLING):
            await _append(_made("stored", FILLING, start), BareWrites(database))
    await ours.write(_analyze)
    say(f"batches of {BATCH:,} and small ones of {CALLERS} callers, on {engine}")
    record, other = EventRecord(ours), BareWrites(bare)
    for number in range(BATCHES + 2):
        batch = _made("timed", BATCH, number * BATCH)
        writers = (record, other) if number % 2 else (other, record)
        seconds = {writer: await _timed(batch, writer) for writer in writers}
        if number >= 2:  # the first ones fill the caches
            found.ours.append(seconds[record])
            found.bare.append(seconds[other])
    for size, count in SMALL.items():
        found.small[size] = await _together(record, size, count)
    for count in SHOPPERS:
        found.history[count] = await _histories(record, count)
    for database in (ours, bare):
        database.close()
    return found


class BareWrites:
    """Writes of rows only, without checks for duplicates and without popularity."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def append(self, events: Sequence[StoredEvent]) -> tuple[Written, ...]:
        """Store them in one transaction."""
        rows = [_row(one) for one in events]
        await self._db.write(functools.partial(_insert, rows))
        return (Written.NEW,) * len(events)


def _insert(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    statement = sa.insert(EVENTS).compile(dialect=connection.dialect, column_keys=list(rows[0]))
    given: Any = [tuple(row.values()) for row in rows] if statement.positional else rows
    connection.exec_driver_sql(str(statement), given)


def _row(stored: StoredEvent) -> dict[str, Any]:
    event = stored.event
    assert event.type is not None  # checked by the caller
    return {
        "catalog_id": stored.catalog_id,
        "event_id": event.event_id,
        "digest": stored.digest,
        "key_id": stored.key_id,
        "actor": stored.actor,
        "session": stored.session,
        "type": event.type.value,
        "kind": kind_of(event.type),
        "product_id": event.product_id,
        "time_micros": event.time_micros,
        "received_micros": stored.received_micros,
        "value": event.value,
        "quantity": event.quantity,
        "unit_price_currency": "",
        "order_id": event.order_id,
        "position": event.position,
        "scene": event.scene,
        "attribution_token": event.attribution_token,
        "query": event.query,
    }


def _analyze(connection: Connection) -> None:
    """Update PostgreSQL's statistics, as it does by itself within a minute.

    SQLite has no such step.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE")


def _made(name: str, count: int, start: int) -> list[Event]:
    """Make events of 20,000 customers with 3,000 products, in the last 90 days."""
    draw = random.Random(f"{SEED}/{name}/{start}")
    now = now_micros() // 1_000_000
    return [
        Event(
            event_id=f"{name}-{start + number}",
            shopper=Shopper(Identity.USER, f"customer-{draw.randrange(20_000)}"),
            type=(kind := draw.choice(MORE_TYPES)),
            product_id=f"product-{draw.randrange(3_000)}",
            session_id=f"session-{(start + number) // 8}",
            time_micros=(now - draw.randrange(90 * DAY_SECONDS)) * 1_000_000,
            value=draw.uniform(1, 5) if kind is EventType.RATING else None,
        )
        for number in range(count)
    ]


async def _append(events: Sequence[Event], writer: EventRecord | BareWrites) -> None:
    done = await taking.append("default", events, KEY, writer.append, now_micros)
    if done.written_count != len(events):
        raise RuntimeError(f"{done.written_count} of {len(events)} events were taken in")


async def _timed(events: Sequence[Event], writer: EventRecord | BareWrites) -> float:
    since = time.perf_counter()
    await _append(events, writer)
    return time.perf_counter() - since


async def _together(record: EventRecord, size: int, count: int) -> float:
    """Return the events a second of many callers with small batches."""
    made = _made(f"small-{size}", count, 0)
    batches = iter([made[start : start + size] for start in range(0, count, size)])

    async def caller() -> None:
        for batch in batches:
            await _append(batch, record)

    since = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return count / (time.perf_counter() - since)


async def _histories(record: EventRecord, count: int) -> list[float]:
    """Return the seconds of reading a shopper's history as `Rank` does."""
    who = Shopper(Identity.USER, f"regular-{count}")
    now = now_micros()
    await _append(
        [
            Event(
                event_id=f"regular-{count}-{number}",
                shopper=who,
                type=EventType.HIDE if number % 100 == 0 else EventType.VIEW,
                product_id=f"product-{number % 700}",
                time_micros=now - number * 60_000_000,
            )
            for number in range(count)
        ],
        record,
    )
    actor, seconds = KEY.of("default", who), []
    for _ in range(READS):
        since = time.perf_counter()
        await record.history("default", actor, limit=50, with_seen=False)
        seconds.append(time.perf_counter() - since)
    return seconds


def _goals(found: dict[str, StoreFigures]) -> list[Goal]:
    goals = []
    for engine in ENGINES:
        one = found.get(engine)
        rates = percentile([BATCH / each for each in one.ours], 0.5) if one else None
        name = f"events written per second on {engine}, {STORED:,} stored, batches of {BATCH:,}"
        goals.append(Goal(name, None, "events/s", rates, at_least=AT_LEAST))
        for count in SHOPPERS:
            read = percentile([each * 1e3 for each in one.history[count]], 0.5) if one else None
            name = f"a history of {count:,} events among {STORED:,} on {engine}, p50"
            goals.append(Goal(name, AT_MOST_MS, "ms", read))
    return goals


def _writes(found: Iterable[StoreFigures]) -> BenchTable:
    rows = []
    for one in found:
        rates = percentile([BATCH / each for each in one.ours], 0.5)
        bare = percentile([BATCH / each for each in one.bare], 0.5)
        times = ratio(list(zip(one.ours, one.bare, strict=True)))
        rows.append((one.engine, f"{BATCH:,}", "1", _shown(rates), _shown(bare), _shown(times, 2)))
        rows += [
            (one.engine, str(size), str(CALLERS), f"{rate:,.0f}", "", "")
            for size, rate in one.small.items()
        ]
    return BenchTable(
        title=f"Events written, {STORED:,} stored",
        headers=(
            "store",
            "a batch",
            "callers",
            "events/s",
            "bare executemany",
            "time, ours / bare",
        ),
        rows=tuple(rows),
        caption="Checks, pseudonyms, duplicates and popularity included; batches of both alternate."
        " Median with its 95% interval. Durable: SQLite synchronous=FULL, PostgreSQL fsync.",
    )


def _reads(found: Iterable[StoreFigures]) -> BenchTable:
    rows = []
    for one in found:
        for count, seconds in one.history.items():
            milliseconds = [each * 1e3 for each in seconds]
            spread = (percentile(milliseconds, share) for share in (0.5, 0.95))
            rows.append((one.engine, f"{count:,}", *(_shown(each, 2) for each in spread)))
    return BenchTable(
        title=f"Histories read, {STORED:,} events stored",
        headers=("store", "the shopper's events", "p50 ms", "p95 ms"),
        rows=tuple(rows),
        caption="The reads of one request: the newest 50 events, hides, attributes.",
    )


def _shown(figure: Interval, digits: int = 0) -> str:
    value, low, high = (f"{each:,.{digits}f}" for each in (figure.value, figure.low, figure.high))
    return f"{value} ({low}–{high})"
