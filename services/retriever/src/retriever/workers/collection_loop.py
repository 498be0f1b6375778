"""The loop that maintains collections: opens, updates, compares and flushes them."""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from prometheus_client import Counter

from retriever.domain.collection_names import shaped
from retriever.domain.generation import Generation, Outstanding
from retriever.indexing.collections import drop_former, has_present_shape, open_collection, reshape
from retriever.indexing.outbox import LOST, apply_outbox
from retriever.indexing.reconcile import reconcile
from retriever.workers.context import Wakes, Worker
from retriever.workers.tasks import KeyedBackoff, Tasks
from servicekit.liveness import LIVENESS
from servicekit.telemetry import get_logger

ENGINE_LOOK_SECONDS = 10.0
"""Seconds between two checks whether a collection is loaded in the engine. A restart unloads all of
them, so one is checked, and if it is not loaded, all others are checked. An interrupted connection
is followed by a check at once; a proxy may hide a restart."""
ENGINE_TURN_LOOKS = 3
"""Number of checks in which each collection is checked once: if there are more collections, several
are checked at a time."""
FORMER_SECONDS = 60.0
"""Seconds for which a collection of an earlier shape is kept for running searches."""
BUSY_SECONDS = 0.25
"""Minimum seconds between two applications of changes while more items are pending than fit one
embedding call: a step costs 10 ms for one row or a hundred."""
INDEXING = "index"
"""Name of the loop for servicekit.liveness."""

APPLIED = Counter("sightline_index_applied_rows_total", "Rows written or deleted.", ("space",))
DRIFT = Counter(
    "sightline_index_drift_rows_total",
    "Rows that a reconciliation found missing, stale (kind=upserted) or extra (kind=deleted).",
    ("space", "kind"),
)

log = get_logger()


@dataclass(slots=True)
class CollectionStatus:
    """The worker's state of a collection. Times are of time.monotonic()."""

    wants_check: bool = True
    looked: float = 0.0
    """Time of the last check of its state; 0: a check is due."""
    checked: float = 0.0
    flushed: float = 0.0
    unflushed: int = 0
    """Rows written since the last flush."""
    written: float = 0.0
    applied: float = 0.0
    """Time of the last application of changes. 0 if more changes may be waiting."""
    since: float = field(default_factory=time.monotonic)
    compared: float = 0.0
    """Start time of the last successful comparison with the record."""
    fixed: int = 0
    """Rows that this comparison wrote or deleted."""
    former_dropped: bool = False
    """True if collections of earlier shapes are out of the engine."""
    check: asyncio.Task[None] | None = None
    """Running comparison with the record; no other work is done on the collection meanwhile."""

    def wants_flush(self, now: float, seconds: float, *, quiet: bool) -> bool:
        """Return whether a flush is due: `seconds` after the last one or, `quiet`, the last
        write."""
        since = self.written if quiet else self.flushed
        return self.unflushed > 0 and now - since > seconds


@dataclass(slots=True)
class IndexLoop:
    """Steps of bringing collections up to date."""

    worker: Worker
    wakes: Wakes
    tasks: Tasks
    embedding_busy: AbstractSet[str]
    """Versions with more pending items than fit one embedding call."""
    failures: KeyedBackoff = field(default_factory=lambda: KeyedBackoff(INDEXING, 0.1, 2.0))
    _statuses: dict[str, CollectionStatus] = field(default_factory=dict)
    """The state of each collection, by its name."""
    _looked: float = 0.0
    """Time of the last check of the engine."""

    async def step(self) -> bool:
        """Make a step for each collection. Return whether there may be more to do.

        If nothing was written, a step reads the record once, and checks the engine at most once
        per second.
        """
        worked = False
        ready = []
        for outstanding in await self.worker.record.outstanding(list(self.worker.catalogs)):
            key = outstanding.generation.collection
            status = self._statuses.setdefault(key, CollectionStatus())
            if self.failures.ready(key) and (status.check is None or status.check.done()):
                ready.append((key, outstanding, status))
        self._take_turns([status for _, _, status in ready])
        for key, outstanding, status in ready:
            worked |= await self._try(key, status, self.follow(outstanding, status))
        return worked

    def _take_turns(self, statuses: Sequence[CollectionStatus]) -> None:
        """Mark the collections whose state is to be checked next."""
        if (now := time.monotonic()) - self._looked > ENGINE_LOOK_SECONDS:
            self._looked = now
            some = 1 + len(statuses) // ENGINE_TURN_LOOKS
            for status in heapq.nsmallest(some, statuses, key=lambda each: each.looked):
                status.looked = 0.0

    async def follow_engine(self) -> None:
        """Check all collections when the connection to the engine was interrupted."""
        await self.worker.index.interrupted()
        for each in self._statuses.values():
            each.looked = 0.0
        self.wakes.changes.set()

    def _suspect(self, status: CollectionStatus) -> None:
        """Schedule a comparison of a collection that was missing, and checks of all collections."""
        status.wants_check = True
        for each in self._statuses.values():
            each.looked = 0.0

    def want(self, collection: str) -> Callable[[], int | None]:
        """Request another comparison of a collection, which creates it again if necessary. Return a
        function that returns the number of fixed rows, or None until it is done."""
        began = time.monotonic()

        def done() -> int | None:
            status = self._statuses.setdefault(shaped(collection), CollectionStatus())
            if status.compared >= began:
                return status.fixed
            if not status.wants_check:
                status.wants_check, status.looked = True, 0.0
                self.wakes.changes.set()
            return None

        return done

    async def _try(self, key: str, status: CollectionStatus, step: Awaitable[bool]) -> bool:
        """Make a step for one collection; its failures are retried later and do not delay
        others."""
        LIVENESS.report(INDEXING)  # calls to an unavailable engine time out one by one
        with self.failures.attempt(key):
            try:
                return await step
            except LOST:
                self._suspect(status)
                raise
        return False

    async def follow(self, outstanding: Outstanding, status: CollectionStatus) -> bool:
        """Apply changes to one collection, or do other due work. Return whether there may be more
        changes."""
        generation = outstanding.generation
        if not has_present_shape(generation):
            self._beside(generation, status, lambda: self._reshape(generation))
            return False
        now = time.monotonic()
        if not status.looked:
            if not await open_collection(generation, self.worker.index):
                self._suspect(status)
            status.looked = now
        if not status.former_dropped and now - status.since > FORMER_SECONDS:
            await drop_former(generation, self.worker.index)
            status.former_dropped = True
        if outstanding.changes:
            if self.embedding_busy and now - status.applied < BUSY_SECONDS:
                return False  # retried after the next read of the record
            if await self._apply(generation, status, now):
                return True
        old = now - status.checked > self.worker.options.worker_check_seconds
        if status.wants_check or generation.check_wanted or old:
            self._beside(generation, status, lambda: self._check(generation, status))
        else:
            await self._flush(generation, status, now)
        return False

    async def _apply(self, generation: Generation, status: CollectionStatus, now: float) -> bool:
        """Apply the oldest changes. Return whether there may be more."""
        done = await apply_outbox(
            generation, self.worker.record, self.worker.index, self.worker.leadership
        )
        status.applied = 0.0 if done.more else now
        if done.rows:
            status.unflushed += done.rows
            status.written = now
        APPLIED.labels(generation.space).inc(done.rows)
        return done.more

    async def _flush(self, generation: Generation, status: CollectionStatus, now: float) -> None:
        if not status.unflushed:
            return
        quiet = await self.worker.index.flush_holds_up()
        if status.wants_flush(now, self.worker.options.worker_flush_seconds, quiet=quiet):
            status.flushed, status.unflushed = now, 0
            await self.worker.index.flush(generation.collection)

    def _beside(
        self,
        generation: Generation,
        status: CollectionStatus,
        step: Callable[[], Awaitable[bool]],
    ) -> None:
        """Run a step concurrently with those for other collections: refilling a large one takes
        minutes."""

        async def work() -> None:
            await self._try(generation.collection, status, step())
            self.wakes.changes.set()  # changes may have arrived meanwhile

        status.check = self.tasks.start(work())

    async def _reshape(self, generation: Generation) -> bool:
        await reshape(generation, self.worker.record, self.worker.index, self.worker.leadership)
        return True

    async def _check(self, generation: Generation, status: CollectionStatus) -> bool:
        status.wants_check = True  # also if this step is interrupted
        began = time.monotonic()
        drift = await reconcile(
            generation, self.worker.record, self.worker.index, self.worker.leadership
        )
        status.wants_check, status.checked = False, time.monotonic()
        status.compared, status.fixed = began, drift.upserted + drift.deleted
        status.unflushed += drift.upserted + drift.deleted
        DRIFT.labels(generation.space, "upserted").inc(drift.upserted)
        DRIFT.labels(generation.space, "deleted").inc(drift.deleted)
        log.info(
            "reconciled",
            generation=generation.name,
            upserted=drift.upserted,
            deleted=drift.deleted,
        )
        return False
