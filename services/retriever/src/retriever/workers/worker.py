"""A worker: the loops that run while it leads, and the look at the record that wakes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import Gauge

from retriever.backup import backups
from retriever.catalog import deletions
from retriever.catalog.hashes import hash_photos
from retriever.domain.index_values import Waiting
from retriever.indexing import lag
from retriever.indexing.embedding import RecentVectors
from retriever.indexing.writing import LeadershipLost
from retriever.ports.backup import BackupStore
from retriever.ports.embedder import Embedder
from retriever.ports.engine import VectorIndex
from retriever.ports.photos import Photos
from retriever.workers.embedding import MISMATCH, EmbeddingLoop
from retriever.workers.indexing import IndexLoop
from retriever.workers.jobs import KINDS, JobLoop
from retriever.workers.leader import Leadership
from retriever.workers.options import Options, Wakes, WorkerRecord
from retriever.workers.tasks import Tasks
from servicekit.jobs import Jobs
from servicekit.telemetry import get_logger
from sightline_rules.filters import Filter

NOTHING = Waiting(photos=False, changes=False, jobs=False)
LOOK_SECONDS = 1.0
"""How often the record is looked at though it did not change: for what falls due by the clock."""
EMBED_TURN_SECONDS = 5.0
INDEX_TURN_SECONDS = 1.0
"""How often a loop takes a turn though nothing waits: for what is due by the clock."""
HASH_TURN_SECONDS = 60.0
"""How often photos are looked for that were stored before photos were hashed."""
HASHED_PHOTOS = 8
"""Photos hashed at a time, so that what comes meanwhile hardly waits."""

LEADS = Gauge("sightline_index_leader", "1 while this worker leads.")

log = get_logger()


@dataclass(slots=True)
class Worker:
    """What the loops of a leading worker work with."""

    catalogs: Sequence[str]
    options: Options
    record: WorkerRecord
    photos: Photos
    index: VectorIndex
    embedder: Embedder
    leadership: Leadership
    jobs: Jobs
    name: str
    """Of this process alone; see servicekit.jobs.worker_id."""
    backups: BackupStore
    read_filter: Callable[[str], Filter]
    """The filter of a purge, from the job's parameters."""
    recent: RecentVectors = field(default_factory=RecentVectors)

    async def lead(self) -> None:
        """Work until cancelled or until the lease is lost."""
        LEADS.set(1)
        log.info("leading")
        try:
            async with asyncio.TaskGroup() as group:
                Loops(self, Tasks(group)).start()
        except* LeadershipLost:
            log.warning("leadership lost")
        finally:
            LEADS.set(0)
            lag.forget_lag()
            MISMATCH.clear()


class Loops:
    """The loops of one time of leading."""

    def __init__(self, worker: Worker, tasks: Tasks) -> None:
        self._worker = worker
        self._tasks = tasks
        self._wakes = Wakes()
        self.embedding = EmbeddingLoop(
            worker.catalogs,
            worker.options,
            worker.record,
            worker.photos,
            worker.embedder,
            self._wakes,
            tasks,
            worker.recent,
        )
        self.indexing = IndexLoop(
            worker.catalogs,
            worker.options,
            worker.record,
            worker.index,
            worker.leadership,
            self._wakes,
            tasks,
            self.embedding.busy,
        )
        self.jobs = JobLoop(
            worker.catalogs,
            worker.options,
            worker.record,
            worker.photos,
            worker.index,
            worker.embedder,
            worker.backups,
            worker.jobs,
            worker.name,
            worker.read_filter,
            self.indexing,
            tasks,
        )
        self._quiet: tuple[int | None, float] = (None, 0.0)
        """A version of the record in which nothing waited, and until when that is enough."""
        self._idle = True
        """Whether nothing waited at the last look."""

    def start(self) -> None:
        """Start every loop."""
        wakes, jobs = self._wakes, self.jobs
        wakes.others.set()  # what a worker left that was killed is tidied up
        poll = self._worker.options.worker_poll_seconds
        self._tasks.start(self._keep())
        for step, wake, turn in (
            (self._look, asyncio.Event(), poll),
            (self.embedding.step, wakes.photos, max(poll, EMBED_TURN_SECONDS)),
            (self.indexing.step, wakes.changes, max(poll, INDEX_TURN_SECONDS)),
            (partial(jobs.do_next, deletions.KINDS), wakes.deletions, None),
            (partial(jobs.do_next, backups.KINDS), wakes.copies, None),
            (jobs.begin_next, wakes.others, None),
            (self._hash, asyncio.Event(), HASH_TURN_SECONDS),
        ):
            self._tasks.start(self._tasks.repeat(step, wake, turn))
        self._tasks.start(lag.keep_measuring(self._worker.catalogs, self._worker.record))

    async def _keep(self) -> None:
        try:
            await self._worker.leadership.keep()
        finally:
            self._tasks.stopping = True

    async def _look(self) -> bool:
        """Wake who has work. One look for all, so that an idle worker costs next to nothing."""
        if self.embedding.failures:
            self._wakes.photos.set()
        if self.indexing.failures:
            self._wakes.changes.set()
        worker, wakes = self._worker, self._wakes
        version, now = worker.record.version(), time.monotonic()
        if version is not None and version == self._quiet[0] and now < self._quiet[1]:
            return False
        waiting = await worker.record.waiting(worker.catalogs, worker.options.spaces, KINDS)
        for wake, wanted in (
            (wakes.photos, waiting.photos),
            (wakes.changes, waiting.changes),
            (wakes.deletions, waiting.jobs),
            (wakes.copies, waiting.jobs),
            (wakes.others, waiting.jobs),
        ):
            if wanted:
                wake.set()
        self._idle = waiting == NOTHING
        if self._idle:
            self._quiet = version, now + LOOK_SECONDS
        return False

    async def _hash(self) -> bool:
        """Hash photos of before: a few, at once again only while nothing else is to be done."""
        worker, worked = self._worker, False
        for catalog in worker.catalogs:
            hashed = await hash_photos(catalog, HASHED_PHOTOS, worker.record, worker.photos)
            worked |= bool(hashed)
        if worked and not self._idle:
            await asyncio.sleep(LOOK_SECONDS)
        return worked
