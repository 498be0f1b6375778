"""Snapshots of popular and new products, refreshed in the background, one for each catalog.

They are used while the record can't be read. They are read from the record only, never from
answers, so that a degraded answer never ends up in them.
"""

import asyncio
import contextvars
import random
import time
from collections.abc import Callable, Collection

from prometheus_client import Counter, Gauge

from gateway.model.snapshot import CatalogSnapshot
from gateway.state.snapshots.files import SnapshotFiles
from gateway.state.snapshots.reading import SnapshotSource
from servicekit import deadlines
from servicekit.catalogs.known import CatalogChange
from servicekit.errors import ServiceError
from servicekit.tasks.supervision import confined, ended, rest, supervised
from servicekit.telemetry import get_logger

READ_SECONDS = 30.0
"""Timeout of reading one catalog, in seconds."""
AGAIN_SECONDS = 5.0
"""Maximum seconds until the next try after a catalog could not be read or was empty."""
JITTER = 0.1
"""Random share of the interval, so that replicas do not read simultaneously."""
READING = "snapshots"
"""Name for servicekit.tasks.supervision."""
AHEAD_MICROS = 60_000_000
"""Allowed difference to the clock of a file's writer, in microseconds."""

TIME = Gauge(
    "sightline_gateway_snapshot_timestamp_seconds",
    "Time when the oldest snapshot of a catalog's popular and new products was read, in seconds"
    " since 1970; 0: a catalog has none.",
    multiprocess_mode="livemin",
)
PRODUCTS = Gauge(
    "sightline_gateway_snapshot_products",
    "Products in the snapshots of all catalogs.",
    multiprocess_mode="livemax",
)
READS = Counter(
    "sightline_gateway_snapshot_reads_total",
    "Reads of a catalog's snapshot: read, or failed, in which case the previous one stays.",
    ("outcome",),
)


class Snapshots:
    """The current snapshots."""

    def __init__(
        self,
        source: SnapshotSource,
        catalogs: Collection[str],
        *,
        seconds: float,
        most_age_seconds: float,
        files: SnapshotFiles | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`catalogs`: a live collection. `seconds`: time between two reads; 0: no reads.
        `most_age_seconds`: maximum age of a usable snapshot. `files`: store of snapshots; None: in
        memory only."""
        self._source, self._catalogs, self._files = source, catalogs, files
        self._seconds, self._most_age = seconds, most_age_seconds
        self._clock = clock
        self._held: dict[str, CatalogSnapshot] = {}
        self._task: asyncio.Task[None] | None = None
        self._due: dict[str, float] = {}
        """By catalog: when it is read next, seconds of the event loop's clock."""
        self._added = asyncio.Event()

    def get(self, catalog_id: str) -> CatalogSnapshot | None:
        """Return the catalog's snapshot; None if there is none or it is too old."""
        held = self._held.get(catalog_id)
        if held is None:
            return None
        age_micros = self._clock() * 1e6 - held.time_micros
        return held if -AHEAD_MICROS <= age_micros <= self._most_age * 1e6 else None

    def start(self) -> None:
        """Load stored snapshots, then refresh them in the background. Requires a running event
        loop."""
        if self._seconds:
            # Start at 0: otherwise rates miss the first failure.
            READS.labels("failed")
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._run(), context=contextvars.Context())

    async def close(self) -> None:
        """Stop the reads."""
        await ended(self._task)

    def follow(self, change: CatalogChange) -> None:
        """Drop the snapshots of removed catalogs, with their files, and read those of added
        ones."""
        for catalog_id in change.removed:
            self._held.pop(catalog_id, None)
            self._due.pop(catalog_id, None)
            if self._files is not None:
                self._files.delete(catalog_id)
        self._count()
        self._added.set()

    async def _run(self) -> None:
        for catalog_id in sorted(self._catalogs):
            with confined(READING, catalog=catalog_id):
                await self.load(catalog_id)
        await supervised(READING, self._turn)

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time
        self._added.clear()
        for catalog_id in sorted(self._catalogs):
            if self._due.get(catalog_id, 0.0) <= now():
                self._due[catalog_id] = now() + AGAIN_SECONDS
                with confined(READING, catalog=catalog_id):
                    self._due[catalog_id] = now() + await self._next(catalog_id)
        next_read = min(self._due.values(), default=now() + AGAIN_SECONDS)
        await rest(max(0.0, next_read - now()), self._added)

    async def _next(self, catalog_id: str) -> float:
        """Refresh the catalog's snapshot. Return the seconds until the next refresh."""
        read, held = await self.refresh(catalog_id), self._held.get(catalog_id)
        full = read and held is not None and held.rows
        seconds = self._seconds if full else min(self._seconds, AGAIN_SECONDS)
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311

    async def load(self, catalog_id: str) -> None:
        """Load the catalog's stored snapshot."""
        if self._files is not None:
            held = await asyncio.to_thread(self._files.load, catalog_id)
            if held is not None:
                self._hold(catalog_id, held)

    async def refresh(self, catalog_id: str) -> bool:
        """Refresh the catalog's snapshot. Return False if it could not be read: the previous one
        stays."""
        try:
            with deadlines.within(READ_SECONDS):
                made = await self._source.read(catalog_id, self._held.get(catalog_id))
        except ServiceError as error:
            READS.labels("failed").inc()
            get_logger().info("snapshot not read", catalog_id=catalog_id, reason=error.reason)
            return False
        except Exception as error:  # no error may end the reads
            READS.labels("failed").inc()
            get_logger().error("snapshot not read", catalog_id=catalog_id, exc_info=error)
            return False
        READS.labels("read").inc()
        self._hold(catalog_id, made)
        if self._files is not None and catalog_id in self._held:
            await asyncio.to_thread(self._files.save, catalog_id, made)
        return True

    def _hold(self, catalog_id: str, snapshot: CatalogSnapshot) -> None:
        if catalog_id in self._catalogs:  # it may have been removed while it was read
            self._held[catalog_id] = snapshot
        self._count()

    def _count(self) -> None:
        times = [each.time_micros for each in self._held.values()]
        TIME.set(min(times) / 1e6 if times and len(times) == len(self._catalogs) else 0)
        PRODUCTS.set(sum(len(each.rows) for each in self._held.values()))
