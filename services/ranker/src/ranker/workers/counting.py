"""Counts events shortly after they arrive, and reads the groups of products."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from ranker.domain.counting import groups
from ranker.domain.features import Product
from ranker.domain.signals import Signals
from ranker.record.count_groups import GroupRecord
from ranker.record.counting import BATCH, Uncounted, fold, waits
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.liveness import LIVENESS
from servicekit.sql.database import Database
from servicekit.tasks.supervision import confined

LONGEST_PAUSE = 0.1
PRODUCTS = 500
"""Products read in one call."""
COUNTING, GROUPING = "counting", "grouping"
"""Names of the loops; see servicekit.liveness."""
AGAIN_SECONDS = 30.0
"""Seconds between retries of a retriever that does not respond."""

COUNTED = Counter(
    "sightline_ranker_counted_days_total",
    "Shoppers' days that were counted for recommenders; each new event makes its day count again.",
)
LAG = Gauge(
    "sightline_ranker_count_lag_seconds",
    "Waiting time of the oldest event in the last counted batch; 0 if none waits.",
)

Read = Callable[[str, Sequence[str]], Awaitable[Mapping[str, Product]]]
"""(catalog, ids): reads the products that exist."""


async def count(database: Database, signals: Signals, stop: asyncio.Event) -> None:
    """Count all queued days, in small transactions with pauses, so that events can be written
    meanwhile. The days of a catalog that can't be counted are left for the next call."""
    aside = set[str]()
    while not stop.is_set():
        LIVENESS.report(COUNTING)
        began = time.monotonic()
        if not await database.read(lambda connection: waits(connection, aside)):
            if not aside:
                LAG.set(0)
            return
        try:
            done = await database.write(lambda c: fold(c, signals, without=aside))
        except Uncounted as error:
            aside.add(error.catalog_id)
            with confined(COUNTING, catalog=error.catalog_id):
                raise
            continue
        if done.oldest_micros is None:
            return  # another worker counts
        COUNTED.inc(done.units)
        LAG.set(max(now_micros() - done.oldest_micros, 0) / 1e6)
        if done.units >= BATCH:
            await asyncio.sleep(min(time.monotonic() - began, LONGEST_PAUSE))


@dataclass(eq=False)
class Grouper:
    """Reader of categories and price bands of counted products from the retriever: immediately for
    new ones, periodically for all, because prices change."""

    record: GroupRecord
    catalogs: Collection[str]
    products: Read
    refresh_seconds: float
    clock: Callable[[], int] = now_micros
    _not_before: float = field(init=False, default=0.0)

    async def look(self) -> None:
        """Read the groups of counted products; failures of the retriever are logged, and counting
        continues."""
        if time.monotonic() < self._not_before:
            return
        LIVENESS.report(GROUPING)
        for catalog_id in await self.record.catalogs_due(list(self.catalogs), self._old()):
            with confined(GROUPING, catalog=catalog_id):
                await self._group(catalog_id)

    async def _group(self, catalog_id: str) -> None:
        try:
            while await self._learn(catalog_id) == PRODUCTS:
                pass
        except ServiceError:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            raise

    async def _learn(self, catalog_id: str) -> int:
        LIVENESS.report(GROUPING)
        now = self.clock()
        items = await self.record.due(catalog_id, self._old(), PRODUCTS)
        if items:
            found = await self.products(catalog_id, items)
            theirs = {item: groups(found[item]) if item in found else () for item in items}
            await self.record.keep(catalog_id, theirs, now)
        return len(items)

    def _old(self) -> int:
        """Return the time (microseconds) before which stored groups are outdated."""
        return self.clock() - int(self.refresh_seconds * 1e6)
