"""The retriever's worker: `python -m retriever.worker`.

Embeds pending photos and texts, applies the outbox to the index, loads and reconciles collections,
and does the jobs that delete many products, roll a generation out, back up, restore or rebuild. Any
number of workers may run: one at a time leads, by a lease in SQL, and a dead leader is succeeded
within the lease's time. It can be killed at any point.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import Counter, Gauge

from retriever.adapters.embedder import EmbedderClient
from retriever.adapters.milvus import filters
from retriever.backup import backups, restores
from retriever.catalog import deletions as removals
from retriever.catalog.hashes import hash_photos
from retriever.domain.model import (
    CategoryPath,
    EmbedderUnavailable,
    EmbeddingSpace,
    Generation,
    Waiting,
)
from retriever.indexing import (
    backfill,
    fits,
    generations,
    rebuild,
    verification,
)
from retriever.indexing.embedding import RecentVectors, embed_pending
from retriever.indexing.index import (
    LOST,
    LeadershipLost,
    apply_outbox,
    drop_former,
    ensure_generation,
    has_present_shape,
    open_collection,
    reconcile,
    reshape,
)
from retriever.ports.all import (
    BackfillRecord,
    BackupRecord,
    BackupStore,
    Embedder,
    HashRecord,
    IndexRecord,
    LabelRecord,
    LagRecord,
    Photos,
    VectorIndex,
    VerificationRecord,
)
from retriever.record import Record
from retriever.search.recall import gauges
from retriever.servicer import messages as wire
from retriever.settings import Settings
from retriever.wiring import (
    backup_files,
    database,
    job_queue,
    milvus_index,
    photo_store,
)
from servicekit.config import load
from servicekit.errors import ServiceError, Unavailable
from servicekit.jobs import Job, JobClaimLost, Jobs, Lease, worker_id
from servicekit.server import run
from servicekit.telemetry import configure_logging, get_logger, serve_metrics
from sightline_rules.filters import All

LEASE = "index-writer"
ENGINE_LOOK_SECONDS = 1.0
"""How often the engine is asked whether collections are still in its memory."""
FORMER_SECONDS = 60.0
"""How long a collection of an earlier shape stays for searches that are under way."""
SPACE_LOOK_SECONDS = 5.0
"""How often the embedder is asked for its versions while it answers: as long as an operator who
brought a new one up may have to wait until a generation of it can be created."""
BESIDE = (generations.BACKFILL, generations.VERIFY, generations.DROP, *rebuild.KINDS, *fits.KINDS)
"""Jobs that run side by side: a backfill or a fit may take hours, and mostly waits. Removals go one
at a time, and so do backups and restores, which take disk and memory."""
KINDS = (*removals.KINDS, *backups.KINDS, *BESIDE)
VERIFY_PATIENCE_SECONDS = 60.0
"""How long a verification waits for the embedder or the engine before it fails."""
JOB_RETRY_SECONDS = 1.0
NOTHING = Waiting(photos=False, changes=False, jobs=False)
LOOK_SECONDS = 1.0
"""How often the record is looked at though it did not change: for what falls due by the clock."""
EMBED_TURN_SECONDS = 5.0
FOLLOW_TURN_SECONDS = 1.0
"""How often a loop takes a turn though nothing waits: for what is due by the clock."""
EMBED_CALLS = 4
"""Calls to the embedder in one step: what is due is looked up once for all of them."""
LOADED_SECONDS = 0.25
"""Least time between two applications of changes while more waits to be embedded than one call
takes: a step costs 10 ms whether it brings one row or a hundred."""
HASH_TURN_SECONDS = 60.0
"""How often photos are looked for that were stored before photos were hashed."""
HASHED_PHOTOS = 8
"""Photos hashed at a time, so that what comes meanwhile hardly waits."""

EMBEDDED = Counter("sightline_index_embedded_total", "Photos and texts embedded.", ("space",))
EMBED_FAILED = Counter("sightline_index_embed_failed_total", "Attempts failed.", ("space",))
APPLIED = Counter("sightline_index_applied_rows_total", "Rows written or deleted.", ("space",))
DRIFT = Counter(
    "sightline_index_drift_rows_total",
    "Rows that a reconciliation found missing, stale (kind=upserted) or extra (kind=deleted).",
    ("space", "kind"),
)
MISMATCH = Gauge(
    "sightline_space_version_mismatch",
    "1 while the embedder does not serve a version that a live generation holds.",
    ("catalog", "space"),
)
LEADS = Gauge("sightline_index_leader", "1 while this worker leads.")

log = get_logger()


class Backoff:
    """Seconds to wait after failures in a row: doubling from `first` to `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """After a success."""
        self._next = self._first

    def fail(self) -> float:
        """How long to wait after this failure."""
        seconds = self._next
        self._next = min(self._longest, self._next * 2)
        return seconds


class Rests:
    """Parts of the work that failed: each is left alone for a while of its own."""

    def __init__(self, first: float, longest: float) -> None:
        self._waits = first, longest
        self._failed: dict[str, tuple[Backoff, float]] = {}

    def __bool__(self) -> bool:
        """Whether any part rests, or waits to be tried again."""
        return bool(self._failed)

    def over(self, part: str) -> bool:
        """Whether it may be tried (again)."""
        return part not in self._failed or time.monotonic() >= self._failed[part][1]

    def succeed(self, part: str) -> None:
        """After a success."""
        self._failed.pop(part, None)

    def fail(self, part: str, error: Exception) -> None:
        """After a failure."""
        backoff = self._failed[part][0] if part in self._failed else Backoff(*self._waits)
        seconds = backoff.fail()
        self._failed[part] = backoff, time.monotonic() + seconds
        reason = getattr(error, "reason", type(error).__name__)
        log.warning("waiting", part=part, reason=reason, seconds=round(seconds, 2))


class Leadership:
    """The lease, with the time until which it surely holds by our own clock."""

    def __init__(self, lease: Lease, seconds: float) -> None:
        self._lease = lease
        self._seconds = seconds
        self._until = 0.0

    def left(self) -> float:
        """See Leader in ports.py."""
        return max(0.0, self._until - time.monotonic())

    async def acquire(self) -> bool:
        """Whether this process leads now."""
        return await self._extend(self._lease.acquire)

    async def keep(self) -> None:
        """Renew until the lease is lost; then raise LeadershipLost."""
        while True:
            await asyncio.sleep(self._seconds / 4)
            try:
                if not await self._extend(self._lease.renew):
                    raise LeadershipLost
            except ServiceError as error:
                log.warning("lease not renewed", reason=error.reason)
                if not self.left():
                    raise LeadershipLost from error

    async def release(self) -> None:
        """Let another worker lead at once."""
        self._until = 0.0
        with contextlib.suppress(ServiceError):
            await self._lease.release()

    async def _extend(self, call: Callable[[], Awaitable[bool]]) -> bool:
        asked = time.monotonic()
        held = await call()
        # Counted from before the call, and a little less than the store's time.
        self._until = asked + 0.8 * self._seconds if held else 0.0
        return held


@dataclass(slots=True)
class Followed:
    """What the worker knows of a collection."""

    wants_check: bool = True
    looked: float = 0.0
    """time.monotonic() of the last look at its state; 0 = it has to be opened."""
    checked: float = 0.0
    flushed: float = 0.0
    unflushed: int = 0
    """Rows written since then."""
    written: float = 0.0
    applied: float = 0.0
    """When changes were last looked for."""
    since: float = field(default_factory=time.monotonic)
    compared: float = 0.0
    """When the last comparison with the record that succeeded began."""
    mended: int = 0
    """Rows that it wrote or deleted."""
    former_dropped: bool = False
    """Whether collections of earlier shapes are out of the engine."""
    check: asyncio.Task[None] | None = None
    """A comparison with the record that is under way; nothing else is done to it meanwhile."""

    def wants_flush(self, now: float, seconds: float, *, quiet: bool) -> bool:
        """Whether a flush is due: `seconds` after the last one or, `quiet`, the last write."""
        since = self.written if quiet else self.flushed
        return self.unflushed > 0 and now - since > seconds


class WorkerRecord(
    IndexRecord,
    BackupRecord,
    BackfillRecord,
    VerificationRecord,
    HashRecord,
    LabelRecord,
    LagRecord,
    Protocol,
):
    """All that the worker asks of the record."""


@dataclass(slots=True)
class Worker:
    """The loops of a leading worker."""

    catalogs: Sequence[str]
    settings: Settings
    record: WorkerRecord
    photos: Photos
    index: VectorIndex
    embedder: Embedder
    leadership: Leadership
    jobs: Jobs
    name: str
    """Of this process alone; see servicekit.jobs.worker_id."""
    backups: BackupStore
    followed: dict[str, Followed] = field(default_factory=dict)
    offers: dict[str, tuple[float, list[EmbeddingSpace]]] = field(default_factory=dict)
    """What the embedder serves, and when it was asked, by catalog."""
    heads: dict[tuple[str, str, str], frozenset[CategoryPath]] = field(default_factory=dict)
    """The categories that versions know, by catalog, space and version."""
    recent: RecentVectors = field(default_factory=RecentVectors)
    embedding: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Steps of embedding that are under way, by what they embed with."""
    loaded: set[str] = field(default_factory=set)
    """Those of which the last step was at least one full call: as in an import."""
    embedding_rests: Rests = field(default_factory=lambda: Rests(0.2, 5.0))
    following_rests: Rests = field(default_factory=lambda: Rests(0.1, 2.0))
    photos_wait: asyncio.Event = field(default_factory=asyncio.Event)
    changes_wait: asyncio.Event = field(default_factory=asyncio.Event)
    removals_wait: asyncio.Event = field(default_factory=asyncio.Event)
    copies_wait: asyncio.Event = field(default_factory=asyncio.Event)
    others_wait: asyncio.Event = field(default_factory=asyncio.Event)
    quiet: tuple[int | None, float] = (None, 0.0)
    """A version of the record in which nothing waited, and how long that needs no other look."""
    idle: bool = True
    """Whether nothing waited at the last look."""
    stopping: bool = False
    """Cancelling is not enough: pymilvus calls asyncio.wait_for, which in Python 3.11 swallows a
    cancellation that comes at the moment of the answer (python/cpython#86296)."""
    tasks: asyncio.TaskGroup = field(init=False)
    """Everything that runs while it leads."""

    async def lead(self) -> None:
        """Work until cancelled or until the lease is lost."""
        self.followed.clear()
        self.offers.clear()
        self.embedding.clear()
        self.loaded.clear()
        self.others_wait.set()  # what a worker left that was killed is tidied up
        self.stopping = False
        LEADS.set(1)
        log.info("leading")
        try:
            async with asyncio.TaskGroup() as self.tasks:
                self.tasks.create_task(self._keep())
                poll = self.settings.worker_poll_seconds
                for step, wake, turn in (
                    (self._look, asyncio.Event(), poll),
                    (self._embed, self.photos_wait, max(poll, EMBED_TURN_SECONDS)),
                    (self._follow, self.changes_wait, max(poll, FOLLOW_TURN_SECONDS)),
                    (self._do_removal, self.removals_wait, None),
                    (self._do_copy, self.copies_wait, None),
                    (self._begin_beside, self.others_wait, None),
                    (self._hash, asyncio.Event(), HASH_TURN_SECONDS),
                ):
                    self.tasks.create_task(self._forever(step, wake, turn))
                self.tasks.create_task(gauges.keep_measuring(self.catalogs, self.record))
        except* LeadershipLost:
            log.warning("leadership lost")
        finally:
            LEADS.set(0)
            gauges.forget_lag()
            MISMATCH.clear()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of its own while this worker leads; CancelledError when that is over, and the
        cancellation of who asks was swallowed on the way (see `stopping`)."""
        try:
            return self.tasks.create_task(work)
        except RuntimeError:  # the group takes no more tasks
            work.close()
            raise asyncio.CancelledError from None

    async def _keep(self) -> None:
        try:
            await self.leadership.keep()
        finally:
            self.stopping = True

    async def _forever(
        self,
        step: Callable[[], Awaitable[bool]],
        wake: asyncio.Event,
        turn: float | None,
    ) -> None:
        """Steps, at once while they say that there was work, else at `wake` or after `turn`.

        Failures are waited out.
        """
        backoff = Backoff(0.1, 2.0)
        while not self.stopping:
            wake.clear()  # what comes during the step is not missed
            try:
                worked = await step()
            except ServiceError as error:  # the record does not answer
                seconds = backoff.fail()
                log.warning("waiting", reason=error.reason, seconds=round(seconds, 2))
                await asyncio.sleep(seconds)
                continue
            backoff.reset()
            if not worked and not self.stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(turn):
                        await wake.wait()

    async def _look(self) -> bool:
        """Wake who has work. One look for all, so that an idle worker costs next to nothing."""
        if self.embedding_rests:
            self.photos_wait.set()
        if self.following_rests:
            self.changes_wait.set()
        version, now = self.record.version(), time.monotonic()
        if version is not None and version == self.quiet[0] and now < self.quiet[1]:
            return False
        waiting = await self.record.waiting(self.catalogs, self.settings.spaces, KINDS)
        for wake, wanted in (
            (self.photos_wait, waiting.photos),
            (self.changes_wait, waiting.changes),
            (self.removals_wait, waiting.jobs),
            (self.copies_wait, waiting.jobs),
            (self.others_wait, waiting.jobs),
        ):
            if wanted:
                wake.set()
        self.idle = waiting == NOTHING
        if self.idle:
            self.quiet = version, now + LOOK_SECONDS
        return False

    # Embedding

    async def _embed(self) -> bool:
        for catalog in self.catalogs:
            if not self.embedding_rests.over(catalog):
                continue
            try:
                offers = await self._offers(catalog)
                live = await self.record.generations(catalog)
            except ServiceError as error:
                self.embedding_rests.fail(catalog, error)
                continue
            self.embedding_rests.succeed(catalog)
            self._await_first(catalog, {each.space for each in live})
            # Two generations may have the same version.
            targets = {(each.space, each.space_version): each for each in live}
            for (space, _), target in targets.items():
                if space in self.settings.spaces:
                    self._embed_beside(target, offers)
        return False

    def _await_first(self, catalog: str, indexed: AbstractSet[str]) -> None:
        """Have the embedder asked again soon for a space that has no index yet."""
        for space in self.settings.spaces:
            part = f"{catalog} {space}"
            if space in indexed:
                self.embedding_rests.succeed(part)
            elif self.embedding_rests.over(part):
                self.offers.pop(catalog, None)
                self.embedding_rests.fail(part, EmbedderUnavailable())

    def _embed_beside(self, target: Generation, offers: Sequence[EmbeddingSpace]) -> None:
        """A step of one version beside those of others: texts wait for no photo's model."""
        part = f"{target.catalog_id} {target.space} {target.space_version}"
        running = self.embedding.get(part)
        if (running is None or running.done()) and self.embedding_rests.over(part):
            self.embedding[part] = self._start(self._embed_version(part, target, offers))

    async def _embed_version(
        self, part: str, target: Generation, offers: Sequence[EmbeddingSpace]
    ) -> None:
        """Embed some photos or texts with a version; one that is not served holds up no other."""
        settings = self.settings
        batch = settings.worker_embed_texts if target.of_texts else settings.worker_embed_batch
        try:
            offer = next((each for each in offers if _is(each, target) and each.ready), None)
            if offer is None:
                if not await self.record.due(target, 1):
                    return
                raise EmbedderUnavailable
            done = await embed_pending(
                target,
                self.record,
                self.photos,
                self.embedder,
                batch,
                calls=EMBED_CALLS,
                known=await self._known(target, offer),
                recent=self.recent,
            )
        except ServiceError as error:
            self.offers.pop(target.catalog_id, None)
            self.loaded.discard(part)
            self.embedding_rests.fail(part, error)
            return
        if done.stored >= batch:
            self.loaded.add(part)
        else:
            self.loaded.discard(part)
        self.embedding_rests.succeed(part)
        EMBEDDED.labels(target.space).inc(done.stored)
        EMBED_FAILED.labels(target.space).inc(done.failed)
        if done.stored:
            self.changes_wait.set()
        if done.stored or done.failed:
            self.photos_wait.set()  # there may be more

    async def _known(self, target: Generation, offer: EmbeddingSpace) -> frozenset[CategoryPath]:
        """The categories that a version's head tells apart, asked once; none when it has no head,
        or they can't be had now."""
        if not offer.categories:
            return frozenset()
        key = target.catalog_id, target.space, target.space_version
        if not self.heads.get(key):
            self.heads[key] = await self.embedder.categories(*key)
        return self.heads[key]

    async def _offers(self, catalog: str) -> list[EmbeddingSpace]:
        """What the embedder serves, asked anew after a while and each failure.

        The record keeps it for those who create generations. A space that has no index gets one.
        """
        known = self.offers.get(catalog)
        if known is not None and time.monotonic() - known[0] < SPACE_LOOK_SECONDS:
            return known[1]
        found = await self.embedder.spaces(catalog)
        offers = [each for each in found if each.space in self.settings.spaces]
        if known is None or known[1] != offers:
            await self.record.save_offers(catalog, offers)
        for each in offers:
            if each.default and each.ready:
                await ensure_generation(catalog, each, self.settings.milvus_prefix, self.record)
        live = await self.record.generations(catalog)
        for space in self.settings.spaces:
            held = [generation for generation in live if generation.space == space]
            served = all(any(_is(each, generation) for each in offers) for generation in held)
            MISMATCH.labels(gauges.label(catalog, self.catalogs), space).set(not served)
        self.offers[catalog] = (time.monotonic(), offers)
        return offers

    async def _hash(self) -> bool:
        """Hash photos of before: a few, at once again only while nothing else is to be done."""
        worked = False
        for catalog in self.catalogs:
            worked |= bool(await hash_photos(catalog, HASHED_PHOTOS, self.record, self.photos))
        if worked and not self.idle:
            await asyncio.sleep(LOOK_SECONDS)
        return worked

    # The index

    async def _follow(self) -> bool:
        worked = False
        for catalog in self.catalogs:
            for generation in await self.record.generations(catalog):
                part = generation.collection
                state = self.followed.setdefault(part, Followed())
                if state.check is not None and not state.check.done():
                    continue
                if self.following_rests.over(part):
                    worked |= await self._try(part, state, self._follow_one(generation, state))
        return worked

    async def _try(self, part: str, state: Followed, step: Awaitable[bool]) -> bool:
        """A step for one collection; its failures are waited out and hold up no other one."""
        try:
            worked = await step
        except (ServiceError, *LOST) as error:
            if isinstance(error, LOST):
                state.looked, state.wants_check = 0.0, True
            self.following_rests.fail(part, error)
            return False
        self.following_rests.succeed(part)
        return worked

    async def _follow_one(self, generation: Generation, state: Followed) -> bool:
        if not has_present_shape(generation):
            self._beside(generation, state, lambda: self._reshape(generation))
            return False
        now = time.monotonic()
        if now - state.looked > ENGINE_LOOK_SECONDS:
            if not await open_collection(generation, self.index):
                state.wants_check = True
            state.looked = now
        if not state.former_dropped and now - state.since > FORMER_SECONDS:
            await drop_former(generation, self.index)
            state.former_dropped = True
        if self.loaded and now - state.applied < LOADED_SECONDS:
            return False  # `_look` comes back to it
        done = await apply_outbox(generation, self.record, self.index, self.leadership)
        state.applied = 0.0 if done.more else now
        if done.rows:
            state.unflushed += done.rows
            state.written = now
        APPLIED.labels(generation.space).inc(done.rows)
        if done.more:
            return True
        old = now - state.checked > self.settings.worker_check_seconds
        if state.wants_check or generation.check_wanted or old:
            self._beside(generation, state, lambda: self._check(generation, state))
            return False
        seconds, quiet = self.settings.worker_flush_seconds, await self.index.flush_holds_up()
        if state.wants_flush(now, seconds, quiet=quiet):
            state.flushed, state.unflushed = now, 0
            await self.index.flush(generation.collection)
        return False

    def _beside(
        self, generation: Generation, state: Followed, step: Callable[[], Awaitable[bool]]
    ) -> None:
        """A step beside those for other collections: filling a large one anew takes minutes."""

        async def work() -> None:
            await self._try(generation.collection, state, step())
            self.changes_wait.set()  # what came in meanwhile

        state.check = self._start(work())

    async def _reshape(self, generation: Generation) -> bool:
        await reshape(generation, self.record, self.index, self.leadership)
        return True

    async def _check(self, generation: Generation, state: Followed) -> bool:
        state.wants_check = True  # also when this one ends half-way
        began = time.monotonic()
        drift = await reconcile(generation, self.record, self.index, self.leadership)
        state.wants_check, state.checked = False, time.monotonic()
        state.compared, state.mended = began, drift.upserted + drift.deleted
        state.unflushed += drift.upserted + drift.deleted
        DRIFT.labels(generation.space, "upserted").inc(drift.upserted)
        DRIFT.labels(generation.space, "deleted").inc(drift.deleted)
        log.info(
            "reconciled",
            generation=generation.name,
            upserted=drift.upserted,
            deleted=drift.deleted,
        )
        return False

    # Jobs

    async def _do_removal(self) -> bool:
        """Do the oldest job that deletes products, if there is one."""
        return await self._do_next(removals.KINDS)

    async def _do_copy(self) -> bool:
        """Do the oldest backup or restore, if there is one."""
        return await self._do_next(backups.KINDS)

    async def _do_next(self, kinds: Sequence[str]) -> bool:
        """Do the oldest job of some kinds, if there is one."""
        job = await self._claim(kinds)
        if job is None:
            return False
        try:
            await self._finish(job, await self._work_on(job))
        except (Unavailable, JobClaimLost):
            raise  # goes on once the claim ran out, here or elsewhere
        except Exception as error:
            await self._fail(job, error)
        return True

    async def _begin_beside(self) -> bool:
        """Begin the oldest job of those that run side by side, if there is one."""
        job = await self._claim(BESIDE)
        if job is None:
            await self._tidy_up()
            return False
        self._start(self._carry_out(job))
        return True

    async def _carry_out(self, job: Job) -> None:
        """Do a job to its end. What does not answer is waited for; a verification has an end."""
        begun = time.monotonic()
        try:
            async with self.jobs.renewing(job.id):
                while True:
                    try:
                        result = await self._work_on(job)
                        break
                    except Unavailable as error:
                        late = time.monotonic() - begun > VERIFY_PATIENCE_SECONDS
                        if job.kind == generations.VERIFY and late:
                            raise
                        log.warning("job waits", job=job.id, kind=job.kind, reason=error.reason)
                        await asyncio.sleep(JOB_RETRY_SECONDS)
            await self._finish(job, result)
        except JobClaimLost:
            log.warning("job lost", job=job.id, kind=job.kind)
        except Exception as error:
            with contextlib.suppress(ServiceError):  # its claim runs out, and it is begun again
                await self._fail(job, error)

    async def _work_on(self, job: Job) -> Mapping[str, Any]:
        """Do a job; what came of it."""
        match job.kind:
            case generations.BACKFILL:
                return await backfill.backfill(job, self.record, self.jobs)
            case generations.VERIFY:
                tools = verification.Tools(
                    self.record, self.photos, self.index, self.embedder, self.jobs
                )
                return await verification.verify(job, tools)
            case generations.DROP:
                return await backfill.clear(job, self.record, self.index, self.jobs)
            case rebuild.REBUILD:
                return await rebuild.rebuild(job, self.record, self.jobs, self)
            case fits.FIT:
                means = fits.Means(self.record, self.photos, self.embedder, self.jobs)
                return await fits.fit(job, means)
        if job.kind in backups.KINDS:
            return await self._copy(job)
        condition = wire.unpacked(job.params["filter"]) if job.kind == removals.PURGE else All()
        return {"deleted_count": await removals.delete(job, condition, self.record, self.jobs)}

    async def _copy(self, job: Job) -> Mapping[str, Any]:
        means = backups.Means(self.record, self.photos, self.backups, self.jobs)
        if job.kind == backups.BACKUP:
            return await backups.back_up(job, means, version("sightline-retriever"))
        return await restores.restore(job, means, self.settings.milvus_prefix)

    async def _tidy_up(self) -> None:
        """Take back what waits for a backfill that was cancelled while no worker was on it."""
        for catalog in self.catalogs:
            open_jobs = await generations.open_jobs(catalog, generations.BACKFILL, self.jobs)
            wanted = {job.params["generation"] for job in open_jobs}
            for generation in await self.record.generations(catalog):
                if generation.name not in wanted:
                    await backfill.take_back(generation, self.record)

    async def _claim(self, kinds: Sequence[str]) -> Job | None:
        job = await self.jobs.claim(kinds, self.name, self.settings.worker_lease_seconds)
        if job is not None:
            log.info("job begun", job=job.id, kind=job.kind, attempt=job.attempts)
        return job

    async def _finish(self, job: Job, result: Mapping[str, Any]) -> None:
        await self.jobs.finish(job.id, result)
        log.info("job done", job=job.id, kind=job.kind, **result)

    async def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, ServiceError):
            log.error("job failed", job=job.id, kind=job.kind, exc_info=error)
        await self.jobs.fail(job.id, error)

    def want(self, collection: str) -> Callable[[], int | None]:
        """See Checks in rebuild.py."""
        began = time.monotonic()

        def done() -> int | None:
            state = self.followed.setdefault(filters.shaped(collection), Followed())
            if state.compared >= began:
                return state.mended
            if not state.wants_check:
                state.wants_check, state.looked = True, 0.0
                self.changes_wait.set()
            return None

        return done


def _is(offer: EmbeddingSpace, generation: Generation) -> bool:
    """Whether an offer is the generation's version."""
    return (offer.space, offer.version) == (generation.space, generation.space_version)


async def work(worker: Worker, stop: asyncio.Event) -> None:
    """Lead whenever it is our turn, until `stop`."""
    wait = worker.settings.worker_lease_seconds / 4
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            leads = False
            with contextlib.suppress(ServiceError):
                leads = await worker.leadership.acquire()
            if not leads:
                await asyncio.wait({stopped}, timeout=wait)
                continue
            leading = asyncio.create_task(worker.lead())
            await asyncio.wait({stopped, leading}, return_when=asyncio.FIRST_COMPLETED)
            leading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leading
    finally:
        stopped.cancel()
        await worker.leadership.release()


async def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    db, photos, index = database(settings), photo_store(settings), milvus_index(settings)
    files = backup_files(settings)
    embedder = EmbedderClient(settings.embedder_target)
    seconds = settings.worker_lease_seconds
    name = worker_id("retriever-worker")
    leadership = Leadership(Lease(db, LEASE, name, seconds), seconds)
    worker = Worker(
        settings.catalogs,
        settings,
        Record(db),
        photos,
        index,
        embedder,
        leadership,
        job_queue(db),
        name,
        files,
    )
    stop_metrics = (
        serve_metrics(settings.worker_metrics_port, settings.host)
        if settings.worker_metrics_port
        else lambda: None
    )
    try:
        await work(worker, stop)
    finally:
        await embedder.close()
        await index.close()
        photos.close()
        files.close()
        db.close()
        stop_metrics()
        log.info("stopped")


if __name__ == "__main__":
    configured = load(Settings)
    configure_logging("retriever-worker", configured.log_level)
    run(main(configured))
