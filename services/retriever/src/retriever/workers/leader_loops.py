"""The loops that run while a worker leads, and the check of the record that wakes them."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from prometheus_client import Gauge

from retriever.catalog import deletions
from retriever.catalog.faces import OTHERS
from retriever.catalog.label_texts import read_label_texts
from retriever.catalog.removal import Removal
from retriever.domain.index_values import Waiting
from retriever.indexing import lag
from retriever.workers import tidying
from retriever.workers.collection_loop import INDEXING, IndexLoop
from retriever.workers.context import Wakes, Worker
from retriever.workers.embedding import EMBEDDING, MISMATCH, EmbeddingLoop
from retriever.workers.jobs import COPIES, JOBS, KINDS, JobLoop
from retriever.workers.tasks import Tasks
from servicekit.catalogs.known import CatalogChange
from servicekit.jobs.worker import JobWorker
from servicekit.sql import leadership
from servicekit.sql.leadership import LEADING
from servicekit.sql.leases import LeaseLost
from servicekit.tasks.loops import Loop
from servicekit.tasks.supervision import confined, rest, supervised
from servicekit.telemetry import get_logger

NOTHING = Waiting(photos=False, changes=False, jobs=False)
LOOK_SECONDS = 5.0
"""Seconds between reads of an unchanged record, for work that becomes due with time."""
EMBED_TURN_SECONDS = INDEX_TURN_SECONDS = 10.0
"""Seconds between steps of an idle loop, for work that becomes due with time."""
READ_PHOTOS = 4
"""Photos whose labels are read at a time: a few seconds of one processor."""
LABEL_TURN_SECONDS = 10.0
"""Seconds between searches for photos whose labels are to be read, and before another attempt."""
REMOVAL_TURN_SECONDS = 5.0
"""Seconds between looks for deleted catalogs whose term has ended."""
LABELS, REMOVAL = "labels", "removal"
"""Names for servicekit.tasks.supervision."""

LEADS = Gauge("sightline_index_leader", "1 while this worker leads.")

log = get_logger()


async def lead_in_turn(worker: Worker, stop: asyncio.Event) -> None:
    """Lead whenever this worker holds the lease, until `stop` is set."""
    await leadership.lead_in_turn(worker.leadership, partial(lead, worker), stop)


async def lead(worker: Worker) -> None:
    """Work until cancelled or until the lease is lost."""
    LEADS.set(1)
    log.info("leading")
    try:
        async with asyncio.TaskGroup() as group:
            Loops(worker, Tasks(group)).start()
    except* LeaseLost:
        log.warning("leadership lost")
    finally:
        LEADS.set(0)
        forget_metrics()


def forget_metrics() -> None:
    """Remove the metrics of catalogs, which would be outdated."""
    lag.forget_lag()
    MISMATCH.clear()


def in_turns(name: str, step: Callable[[], Awaitable[object]], seconds: float) -> Loop:
    """Return a loop whose step is due every so many seconds, and sooner after a failure."""
    return Loop(name, step, wake=asyncio.Event(), latest=seconds)


class Loops:
    """The loops of one period of leadership."""

    def __init__(self, worker: Worker, tasks: Tasks) -> None:
        self._worker = worker
        self._tasks = tasks
        self._wakes = Wakes()
        self.embedding = EmbeddingLoop(worker, self._wakes, tasks)
        self.indexing = IndexLoop(worker, self._wakes, tasks, self.embedding.busy)
        claims = JobWorker(worker.jobs, worker.name, worker.options.worker_lease_seconds)
        self.jobs = JobLoop(worker, tasks, self.indexing, claims)
        self._removal = Removal(
            worker.record, worker.photos, worker.index, worker.catalogs.declared
        )
        self._commits = worker.record.commits()
        """Set when the record has changed; None: changes are not reported."""
        self._wanted = self._commits or asyncio.Event()
        """Set when the record is to be checked."""
        for each in (self.embedding, self.indexing):
            each.failures.failed = self._wanted.set  # its checks retry what failed
        self._idle = True
        """True if no work waited at the last check."""

    def start(self) -> None:
        """Start every loop."""
        wakes, jobs = self._wakes, self.jobs
        wakes.others.set()  # clean up after a killed worker
        poll = self._worker.options.worker_poll_seconds
        self._tasks.start(self._keep())
        embed, index = (max(poll, each) for each in (EMBED_TURN_SECONDS, INDEX_TURN_SECONDS))
        woken = partial(Loop, latest=None)  # work becomes due by a change of the record alone
        for loop in (
            Loop(LEADING, self._look, wake=self._wanted, latest=LOOK_SECONDS, alive=LEADING),
            Loop(EMBEDDING, self.embedding.step, 0, wakes.photos, embed, EMBEDDING),
            Loop(INDEXING, self.indexing.step, 0, wakes.changes, index, INDEXING),
            woken("deletions", partial(jobs.do_next, deletions.KINDS), wake=wakes.deletions),
            woken("copies", partial(jobs.do_next, COPIES), wake=wakes.copies),
            woken(JOBS, jobs.begin_next, wake=wakes.others),
            in_turns(LABELS, self._read_labels, LABEL_TURN_SECONDS),
            in_turns(tidying.TIDYING, partial(tidying.tidy, self._worker), tidying.TURN_SECONDS),
            in_turns(REMOVAL, self._removal.step, REMOVAL_TURN_SECONDS),
        ):
            self._tasks.repeat(loop)
        self._tasks.start(supervised("engine", self.indexing.follow_engine))
        self._tasks.start(lag.keep_measuring(self._worker.catalogs, self._worker.record))
        self._tasks.start(self._follow_catalogs())

    async def _follow_catalogs(self) -> None:
        """Work for a new catalog at once, and drop the metrics of a removed one."""

        def changed(_: CatalogChange) -> None:
            for each in (self._wanted, self._wakes.photos, self._wakes.changes):
                each.set()
            forget_metrics()

        end = self._worker.catalogs.on_change(changed)
        try:
            await asyncio.Event().wait()
        finally:
            end()

    async def _keep(self) -> None:
        try:
            await self._worker.leadership.keep()
        finally:
            self._tasks.stop()

    async def _look(self) -> bool:
        """Wake the loops that have work. One check serves all, so an idle worker costs little.
        Return whether to check again without waiting for a change of the record."""
        if self.embedding.failures:
            self._wakes.photos.set()
        if self.indexing.failures:
            self._wakes.changes.set()
        worker, wakes = self._worker, self._wakes
        waiting = await worker.record.waiting(list(worker.catalogs), worker.options.spaces, KINDS)
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
        await asyncio.sleep(worker.options.worker_poll_seconds)
        if self._commits is None:
            return True
        pauses = [each.failures.pause for each in (self.embedding, self.indexing)]
        if pauses := [each for each in pauses if each]:  # what waits may be what failed
            await rest(min(pauses), self._wanted)
            return True
        return bool(self.embedding.failures or self.indexing.failures) or not self._idle

    async def _read_labels(self) -> bool:
        """Read the labels of a few photos while no other work waits."""
        worker, worked = self._worker, False
        wanted = worker.options.read_labels
        for catalog in [each for each in worker.catalogs if {each, OTHERS} & {*wanted}]:
            if not self._idle:
                return False
            with confined(LABELS, catalog=catalog):  # it may be an embedder of the last release
                worked |= bool(
                    await read_label_texts(
                        catalog, READ_PHOTOS, worker.record, worker.photos, worker.embedder
                    )
                )
        return worked
