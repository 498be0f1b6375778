"""Deliveries of alerts to webhooks: age when receivers accept them, cost, receivers that hang."""

import asyncio
import multiprocessing
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from ipaddress import ip_network
from multiprocessing.connection import Connection
from typing import TypeAlias

import sqlalchemy as sa

from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.statistics import percentile
from servicekit.clock import now_micros
from servicekit.keys.keyring import KeyRing
from servicekit.outbound.fetch import FetchPolicy
from servicekit.outbound.posting import Poster
from servicekit.sql.database import Database
from tests.fakes.watch_alerts import made_alert, raise_alert
from tests.waiting import until
from vision.delivery.deliverer import Deliverer
from vision.domain import webhooks
from vision.domain.deliveries import Delivery, DeliveryStep, LaneState
from vision.domain.watch_json import dumped_alert
from vision.domain.webhooks import MOST_WEBHOOKS, Webhook
from vision.record import Record
from vision.record.tables import watch_alerts

Say: TypeAlias = Callable[[str], None]

ONE_BY_ONE, GAP_SECONDS = 200, 0.05
AT_ONCE, WATCHES = 2_000, 20
HANGING, HANGING_SECONDS = 6, 2.0
"""Receivers that accept connections and never answer, and the time limit of an attempt."""
STORED, LOOKS = 200_000, 50
MOST_AGE, MOST_PROCESSOR, MOST_LOOK = 1_000.0, 20.0, 100.0
"""Milliseconds."""
HOST = "127.0.0.1"
KEYS = KeyRing([secrets.token_bytes(32)])


class TimedRecord(Record):
    """The record, with the age of each alert when its delivery is stored."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.ages: dict[str, list[float]] = {}
        """Milliseconds, by webhook."""

    async def settle_delivery(
        self, delivery: Delivery, step: DeliveryStep, state: LaneState
    ) -> None:
        await super().settle_delivery(delivery, step, state)
        if step is DeliveryStep.DELIVERED:
            age = (now_micros() - delivery.alert.create_micros) / 1_000
            self.ages.setdefault(delivery.lane.webhook_id, []).append(age)


def run(say: Say) -> BenchResult:
    """Measure with a record on SQLite and receivers in another process."""
    with _receivers() as ports:
        say("one alert at a time")
        alone = asyncio.run(_one_by_one(ports[:1]))
        say(f"beside {HANGING} receivers that hang")
        beside = asyncio.run(_one_by_one(ports))
        say(f"{AT_ONCE:,} alerts at once")
        seconds, processor = asyncio.run(_at_once(ports[0]))
    say(f"looks at {STORED:,} stored alerts")
    looks = asyncio.run(_looks())
    return _result(alone, beside, seconds, processor, looks)


async def _one_by_one(ports: Sequence[int]) -> list[float]:
    """Return the ages of alerts that the first receiver accepted; the others hang."""
    async with _delivering(ports) as (record, db):
        if len(ports) > 1:  # each of them fails once before
            for number in range(WATCHES):
                await raise_alert(db, f"watch{number}")
            await asyncio.sleep(3 * HANGING_SECONDS)
        before = len(record.ages.get("w0", ()))
        for number in range(ONE_BY_ONE):
            await raise_alert(db, f"watch{number % WATCHES}")
            await asyncio.sleep(GAP_SECONDS)
        await _until(record, before + ONE_BY_ONE)
        return record.ages["w0"][before:]


async def _at_once(port: int) -> tuple[float, float]:
    """Return the seconds that many alerts took, and the seconds of processor time, of this process
    alone."""
    async with _delivering([port], running=False) as (record, db):
        for number in range(AT_ONCE):
            await raise_alert(db, f"watch{number % WATCHES}")
        begun, spent = time.perf_counter(), time.process_time()
        task = asyncio.create_task(_deliverer(record, [port]).run())
        await _until(record, AT_ONCE)
        found = time.perf_counter() - begun, time.process_time() - spent
        await _cancel(task)
        return found


async def _looks() -> list[float]:
    """Return the milliseconds of looks at a record of many delivered alerts."""
    async with _record() as (record, db):
        for number in range(100):
            await raise_alert(db, f"watch{number}")
        await db.write(_stored)
        for number in range(MOST_WEBHOOKS):
            await record.create_webhook("default", _webhook(number, 1))
        await raise_alert(db, "watch0")
        found = []
        for _ in range(LOOKS):
            begun = time.perf_counter()
            lanes, _later = await record.due_lanes(
                now_micros(), 2**62, (), 5_000, catalogs=("default",)
            )
            found.append((time.perf_counter() - begun) * 1_000)
            assert len(lanes) == MOST_WEBHOOKS
        return found


def _stored(connection: sa.Connection) -> None:
    """Store alerts of a hundred watches."""
    for first in range(0, STORED, 10_000):
        rows = []
        for number in range(first, first + 10_000):
            alert = made_alert(f"watch{number % 100}", -1 - number, 1)
            rows.append(
                {
                    "catalog_id": "default",
                    "sequence": alert.sequence,
                    "watch_id": alert.watch_id,
                    "alert_id": f"old{number}",
                    "create_time": 1,
                    "rule_id": alert.rule_id,
                    "kind": alert.kind.value,
                    "score": alert.score,
                    "frame_time": 1,
                    "image_id": "",
                    "body": dumped_alert(alert),
                }
            )
        connection.execute(sa.insert(watch_alerts), rows)


@asynccontextmanager
async def _record() -> AsyncIterator[tuple[TimedRecord, Database]]:
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/record.db", migrations="vision.record.migrations")
        await asyncio.to_thread(db.migrate)
        try:
            yield TimedRecord(db), db
        finally:
            db.close()


@asynccontextmanager
async def _delivering(
    ports: Sequence[int], *, running: bool = True
) -> AsyncIterator[tuple[TimedRecord, Database]]:
    """Deliver to a webhook for each port."""
    async with _record() as (record, db):
        for number, port in enumerate(ports):
            await record.create_webhook("default", _webhook(number, port))
        task = asyncio.create_task(_deliverer(record, ports).run()) if running else None
        try:
            yield record, db
        finally:
            if task is not None:
                await _cancel(task)


def _deliverer(record: TimedRecord, ports: Sequence[int]) -> Deliverer:
    policy = FetchPolicy(
        hosts=tuple(f"{HOST}:{port}" for port in ports),
        schemes=("http",),
        seconds=HANGING_SECONDS,
        concurrency=32,
        per_host=16,
        private=(ip_network("127.0.0.0/8"),),
    )
    return Deliverer(("default",), record, Poster(policy), Poster(policy), lambda: KEYS)


def _webhook(number: int, port: int) -> Webhook:
    secret = webhooks.new_secret(KEYS, 1)
    return Webhook(f"w{number}", f"http://{HOST}:{port}/", (), (secret,), 1)


async def _until(record: TimedRecord, count: int) -> None:
    await until(lambda: len(record.ages.get("w0", ())) >= count)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@contextmanager
def _receivers() -> Iterator[list[int]]:
    """Run receivers in another process. Yield their ports; the first one answers."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _receive(ports: Connection) -> None:
    asyncio.run(_serve(ports))


async def _serve(ports: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    servers = [await asyncio.start_server(answer, HOST, 0)]
    servers += [await asyncio.start_server(hang, HOST, 0) for _ in range(HANGING)]
    ports.send([each.sockets[0].getsockname()[1] for each in servers])
    await asyncio.Event().wait()


def _result(
    alone: Sequence[float],
    beside: Sequence[float],
    seconds: float,
    processor: float,
    looks: Sequence[float],
) -> BenchResult:
    each = processor / AT_ONCE * 1_000
    ages = BenchTable(
        "Age of alerts when their delivery is stored",
        ("receivers that hang", "median, ms", "95th percentile, ms"),
        tuple(
            (f"{count}", _shown(percentile(found, 0.5)), _shown(percentile(found, 0.95)))
            for count, found in ((0, alone), (HANGING, beside))
        ),
        f"{ONE_BY_ONE} alerts of {WATCHES} watches, one each {GAP_SECONDS * 1_000:g} ms, to a"
        " receiver that answers at once. The others had failed before.",
        section=None,
    )
    costs = BenchTable(
        "Cost of deliveries",
        ("alerts a second", "processor ms an alert", "look, median ms"),
        ((f"{AT_ONCE / seconds:,.0f}", f"{each:.1f}", _shown(percentile(looks, 0.5))),),
        f"{AT_ONCE:,} alerts of {WATCHES} watches at once, to one receiver in another process. Each"
        f" is stored durably as delivered. A look finds the lanes of {MOST_WEBHOOKS} webhooks and"
        f" 100 watches with {STORED:,} stored alerts.",
        section=None,
    )
    return BenchResult(
        tables=(ages, costs),
        figures={
            "ages_ms": {"0": list(alone), str(HANGING): list(beside)},
            "alerts_per_second": AT_ONCE / seconds,
            "processor_ms": each,
            "looks_ms": list(looks),
        },
        goals=(
            Goal("age, 95th percentile", MOST_AGE, "ms", percentile(alone, 0.95)),
            Goal(
                f"age beside {HANGING} receivers that hang, 95th percentile",
                MOST_AGE,
                "ms",
                percentile(beside, 0.95),
            ),
            Goal("processor time of a delivery", MOST_PROCESSOR, "ms", Interval(each, each, each)),
            Goal("look at 200,000 stored alerts, median", MOST_LOOK, "ms", percentile(looks, 0.5)),
        ),
    )


def _shown(found: Interval) -> str:
    return f"{found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f})"
