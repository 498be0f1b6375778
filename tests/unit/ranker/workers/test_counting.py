"""The worker's counting."""

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from ranker.domain.events import Identity, Shopper
from ranker.domain.features import Product
from ranker.domain.recommenders import CountScope, CountsQuery
from ranker.domain.signals import DEFAULTS
from ranker.record import counting
from ranker.record.count_groups import GroupRecord
from ranker.record.counts import CountRecord
from ranker.record.events import EventRecord
from ranker.record.tables import MIGRATIONS
from ranker.workers.counting import Grouper, count
from servicekit.errors import Unavailable
from servicekit.sql.database import Database
from tests.fakes.ranker import NOW, product, stored
from tests.stores import only_sqlite
from tests.unit.ranker.record.test_counting import found, recount
from tests.waiting import until


async def counted(db: Database) -> None:
    await count(db, DEFAULTS, asyncio.Event())


async def test_an_event_is_counted_in_the_next_look_and_the_lag_says_so(db: Database) -> None:
    events, reader = EventRecord(db), CountRecord(db)
    lag = "sightline_ranker_count_lag_seconds"
    await events.append([stored("1"), stored("2", product_id="p2")])
    assert (await reader.counted("default", CountsQuery(best=1))).lag_micros > 0
    before = REGISTRY.get_sample_value("sightline_ranker_counted_days_total") or 0.0
    await counted(db)
    assert REGISTRY.get_sample_value("sightline_ranker_counted_days_total") == before + 1
    now = await reader.counted("default", CountsQuery(trending=9))
    assert now.lag_micros == 0
    assert {item for item, _, _ in now.trending} == {"p1", "p2"}
    assert REGISTRY.get_sample_value(lag) == 0


class Retriever:
    """Retriever that knows only p1, and may be unavailable."""

    def __init__(self) -> None:
        self.away, self.asked = False, list[Sequence[str]]()
        self.one = product("p1", "Wine > Red")

    async def __call__(self, catalog_id: str, ids: Sequence[str]) -> Mapping[str, Product]:
        self.asked.append(ids)
        if self.away:
            raise Unavailable("away", reason="RETRIEVER_AWAY")
        return {"p1": self.one} if "p1" in ids else {}


async def within(db: Database, group: str) -> set[str]:
    asked = CountsQuery(scope=CountScope((group,)), trending=9)
    return {item for item, _, _ in (await CountRecord(db).counted("default", asked)).trending}


async def test_products_are_grouped_once_the_retriever_is_there_and_again_when_they_change(
    db: Database,
) -> None:
    retriever, now = Retriever(), [NOW]
    grouper = Grouper(GroupRecord(db), ("default",), retriever, 60, clock=lambda: now[0])
    await EventRecord(db).append([stored("1"), stored("2", product_id="p2")])
    await counted(db)
    retriever.away = True
    await grouper.look()
    await grouper.look()
    assert len(retriever.asked) == 1, "it is not asked at every look"
    assert await within(db, "") == {"p1", "p2"}
    assert await within(db, "category=Wine") == set()
    retriever.away, grouper._not_before = False, 0.0
    await grouper.look()
    await grouper.look()
    assert len(retriever.asked) == 2, "what is known is not asked again"
    assert await within(db, "category=Wine") == {"p1"}
    retriever.one = product("p1", "Beer")
    now[0] += 61_000_000
    await grouper.look()
    assert await within(db, "category=Wine") == set()
    assert await within(db, "category=Beer") == {"p1"}
    await EventRecord(db).append([stored("3", shopper=Shopper(Identity.USER, "bob"))])
    await counted(db)
    assert await found(db) == await recount(db, 1)


def _work(url: str) -> None:
    """Run a worker until it is killed: nearly always in a transaction, because it waits there."""
    apply = counting._apply

    def slowly(*given: Any) -> None:
        apply(*given)
        time.sleep(0.1)

    counting._apply = slowly

    async def live() -> None:
        db = Database(url, migrations=MIGRATIONS)
        while True:
            await counted(db)

    asyncio.run(live())


@pytest.mark.full
@pytest.mark.slow
@only_sqlite
async def test_counts_are_exact_after_kill_9(db: Database) -> None:
    draw, events = random.Random(3), EventRecord(db)
    some = [
        stored(
            f"{n}",
            at=-draw.randrange(50),
            product_id=f"p{draw.randrange(40)}",
            shopper=Shopper(Identity.USER, f"u{draw.randrange(300)}"),
        )
        for n in range(2000)
    ]
    for start in range(0, len(some), 50):
        await events.append(some[start : start + 50])
    url = str(db.engine.url)
    for _ in range(2):
        worker = multiprocessing.get_context("spawn").Process(target=_work, args=(url,))
        worker.start()
        behind = await CountRecord(db).counted("default", CountsQuery())
        assert behind.lag_micros, "there is something left to be killed in"
        left = await waiting(db)

        async def begun(left: int = left) -> bool:
            return await waiting(db) < left

        await until(begun)
        await asyncio.sleep(draw.random() * 0.05)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
    await counted(db)
    assert await found(db) == await recount(db, 500)


async def waiting(db: Database) -> int:
    def rows(connection: object) -> int:
        return int(connection.exec_driver_sql("SELECT count(*) FROM count_queue").scalar())  # type: ignore[attr-defined]

    return await db.read(rows)
