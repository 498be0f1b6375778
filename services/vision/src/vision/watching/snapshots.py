"""Frames that are taken from addresses of cameras, and checked as sent ones are.

An address is fetched again once its last picture is checked, so nothing queues up. One that fails
is fetched less and less often, and with permits of its own, so that hosts that hang do not hold up
others.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Final

from prometheus_client import Counter

from servicekit.errors import Internal, ServiceError
from servicekit.outbound.fetch import FetchedFile
from servicekit.tasks.loops import Loop
from servicekit.tasks.supervision import Backoff, LoopEnded, supervised
from servicekit.telemetry import get_logger
from vision.domain.errors import SnapshotUnchanged, WatchNotFound
from vision.domain.watch_state import SnapshotState, WatchProgress, WatchState
from vision.domain.watches import SECOND, SnapshotSource
from vision.ports.watching import FetchSnapshot
from vision.record import Record
from vision.watching.frames import ATTEMPTS, FrameChecks, FrameOutcome, SentFrame

LEAST_SECONDS: Final = 1.0
"""Seconds between two looks for watches with addresses, and between two fetches of one, at
least."""
LATEST_SECONDS: Final = 30.0
"""Seconds between looks at most, where commits are reported."""
LONGEST_SECONDS: Final = 300.0
"""Seconds between two fetches of an address that fails, at most."""
NOTE_SECONDS: Final = 60
"""Seconds between two notes that an address gives the same picture."""
FETCHED_AT_A_TIME: Final = 8
"""Pictures in memory at a time, and as many of addresses that failed the last time."""
CHECKED_AT_A_TIME: Final = 2
"""Pictures that are checked at a time."""
MOST_MESSAGE: Final = 1_000

SNAPSHOTS_LOOP: Final = "snapshots"
"""Name for servicekit.tasks.supervision."""

log = get_logger()


class SnapshotOutcome(StrEnum):
    """Outcome of a fetch."""

    CHECKED = "checked"
    UNCHANGED = "unchanged"
    FAILED = "failed"


SNAPSHOTS = Counter(
    "sightline_watch_snapshots_total",
    "Pictures fetched for watches by outcome: checked, unchanged (as the one before) or failed.",
    ("outcome",),
)
for _outcome in SnapshotOutcome:
    SNAPSHOTS.labels(_outcome.value)  # start at 0: rates miss the first value


@dataclass(slots=True)
class _Camera:
    """An address that is fetched in turn."""

    source: SnapshotSource
    digest: bytes = b""
    """Hash of the last picture that was checked."""
    newest: int = 0
    """Time of its frame (microseconds since 1970, UTC)."""
    failures: int = 0
    """Times in a row that it gave no new picture."""
    noted: int = 0
    """When the watch was last told of a failure."""


@dataclass(slots=True)
class SnapshotPoller:
    """Takes the frames of watches with an address, of all catalogs, while its process leads."""

    record: Record
    checks: FrameChecks
    steady: FetchSnapshot
    retrying: FetchSnapshot
    """Fetcher of addresses that failed the last time."""
    catalogs: Collection[str]
    clock: Callable[[], int]
    """Microseconds since 1970 (UTC)."""
    _tasks: dict[SnapshotSource, asyncio.Task[None]] = field(default_factory=dict)
    _fetches: Sequence[asyncio.Semaphore] = field(
        default_factory=lambda: [asyncio.Semaphore(FETCHED_AT_A_TIME) for _ in range(2)]
    )
    """Permits of addresses that work, and of those that failed."""
    _permits: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(CHECKED_AT_A_TIME)
    )

    async def run(self) -> None:
        """Take frames until cancelled."""
        commits = self.record.commits()
        self._tasks.clear()
        async with asyncio.TaskGroup() as group:

            async def follow() -> None:
                self._follow(group, await self.record.snapshot_sources())

            await Loop(SNAPSHOTS_LOOP, follow, LEAST_SECONDS, commits, LATEST_SECONDS).run()

    def _follow(self, group: asyncio.TaskGroup, found: Collection[SnapshotSource]) -> None:
        """Begin to fetch new addresses, and end with those that are no longer wanted."""
        wanted = {source for source in found if source.catalog_id in self.catalogs}
        for source, task in [*self._tasks.items()]:
            if source not in wanted or task.done():  # done: its watch was deleted
                task.cancel()
                del self._tasks[source]
        for source in wanted - self._tasks.keys():
            self._tasks[source] = group.create_task(self._poll(_Camera(source)))

    async def _poll(self, camera: _Camera) -> None:
        """Fetch an address in turn until cancelled, or until its watch is deleted."""
        source, longest = camera.source, max(LONGEST_SECONDS, camera.source.seconds)

        async def take() -> None:
            began = self.clock()
            try:
                await self._take(camera)
            except WatchNotFound:
                raise LoopEnded from None
            wait = min(source.seconds * 2.0 ** min(camera.failures, 12), longest)
            await asyncio.sleep(max(LEAST_SECONDS, wait - (self.clock() - began) / SECOND))

        with contextlib.suppress(LoopEnded):
            await supervised(SNAPSHOTS_LOOP, take, Backoff(LEAST_SECONDS, longest))

    async def _take(self, camera: _Camera) -> None:
        """Fetch an address once. Raises WatchNotFound."""
        try:
            same = await self._checked(camera)
        except WatchNotFound:
            raise
        except (ServiceError, ValueError) as error:
            failure = error if isinstance(error, ServiceError) else Internal()
            camera.failures += 1
            SNAPSHOTS.labels(SnapshotOutcome.FAILED).inc()
            await self._note(camera, failure, camera.failures)
            return
        failed, camera.failures = camera.failures > 0, 0
        SNAPSHOTS.labels(SnapshotOutcome.UNCHANGED if same else SnapshotOutcome.CHECKED).inc()
        if same and (failed or self.clock() - camera.noted >= NOTE_SECONDS * SECOND):
            await self._note(camera, SnapshotUnchanged(), 0)

    async def _checked(self, camera: _Camera) -> bool:
        """Fetch and check a picture. Return whether it is the one before again, which is checked
        only if a rule tells something by it."""
        source, failing = camera.source, camera.failures > 0
        fetch = self.retrying if failing else self.steady
        async with self._fetches[failing], fetch(source.uri) as file:
            digest = sha256(file.data).digest()
            same = digest == camera.digest
            if same and not source.repeats:
                return True
            async with self._permits:
                frame = SentFrame(file.data, await self._time(camera, file))
                note = partial(_fetched, source.uri, self.clock())
                report = await self.checks.check(source.catalog_id, source.watch_id, [frame], note)
        if (error := report.frames[0].error) is not None:
            raise error
        if report.frames[0].outcome is not FrameOutcome.DROPPED:  # it is checked the next time
            camera.digest = digest
        camera.newest = frame.micros
        return same

    async def _time(self, camera: _Camera, file: FetchedFile) -> int:
        """Return the time of a frame: when the file was modified, if the host says so and it is
        newer than the frame before, else now."""
        now, modified = self.clock(), round(file.modified * SECOND)
        if not camera.newest:  # another process may have led before
            found = await self.record.watch(camera.source.catalog_id, camera.source.watch_id)
            camera.newest = 0 if found is None else found[1].state.newest
        return modified if camera.newest < modified <= now else max(now, camera.newest + 1)

    async def _note(self, camera: _Camera, error: ServiceError, failures: int) -> None:
        """Store a failure with the watch. Raises WatchNotFound."""
        source, camera.noted = camera.source, self.clock()
        log.warning(
            "no new picture of a watch",
            catalog=source.catalog_id,
            watch=source.watch_id,
            reason=error.reason,
        )
        with contextlib.suppress(ValueError):
            for _ in range(ATTEMPTS):
                try:
                    if await self._noted(camera, error, failures):
                        return
                except WatchNotFound:
                    raise
                except ServiceError:  # the record does not answer: the next failure is stored
                    return

    async def _noted(self, camera: _Camera, error: ServiceError, failures: int) -> bool:
        source = camera.source
        found = await self.record.watch(source.catalog_id, source.watch_id)
        if found is None:
            raise WatchNotFound
        stored, known = found
        before = _of(known.state, source.uri)
        after = replace(
            before,
            failures=failures,
            failed=camera.noted,
            reason=error.reason,
            message=error.message[:MOST_MESSAGE],
        )
        progress = WatchProgress(stored, known.revision, replace(known.state, snapshot=after))
        return await self.record.save_checked(source.catalog_id, progress) is not None


def _of(state: WatchState, uri: str) -> SnapshotState:
    return state.snapshot if state.snapshot.uri == uri else SnapshotState(uri)


def _fetched(uri: str, now: int, state: WatchState) -> WatchState:
    """Return a state that knows of a picture from an address."""
    return replace(state, snapshot=replace(_of(state, uri), fetched=now, failures=0))
