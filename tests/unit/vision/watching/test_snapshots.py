"""Frames that are taken from addresses, on a real record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from servicekit.errors import ServiceError
from servicekit.outbound.fetch import FetchedFile, UriForbidden, UriUnreadable
from tests.fakes.clock import Clock
from tests.unit.vision.watching.test_frames import (
    BROKEN,
    GONE,
    OTHER,
    WINE,
    FakeFrameEmbedder,
    FakeFramePhotos,
    FakeProducts,
    NoFaces,
)
from tests.waiting import until
from vision.domain.errors import EmbedderUnavailable, WatchInvalid, WatchNotFound
from vision.domain.watch_state import SnapshotState
from vision.domain.watches import (
    DAY,
    SECOND,
    Fault,
    FaultCondition,
    SnapshotSource,
    Watch,
    WatchDraft,
    WatchRule,
)
from vision.record import Record
from vision.watching.frames import FrameChecks, FrameOutcome, FrameReport, FramesReport
from vision.watching.snapshots import (
    LEAST_SECONDS,
    NOTE_SECONDS,
    SnapshotPoller,
    _Camera,
)
from vision.watching.watches import Watches

URI = "https://camera.test/now.jpg"
FROZEN = WatchRule("frozen", FaultCondition(Fault.FROZEN), hold=0, release=0, cool_down=0)


@dataclass
class FakeCamera:
    """An address that gives a picture, or fails."""

    gives: bytes | ServiceError = WINE
    modified: float = 0.0
    fetched: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def __call__(self, uri: str) -> AsyncIterator[FetchedFile]:
        self.fetched.append(uri)
        await asyncio.sleep(0)
        if isinstance(self.gives, ServiceError):
            raise self.gives
        yield FetchedFile(self.gives, self.modified)


@dataclass
class Door:
    """A watch with an address, and what takes its frames."""

    record: Record
    clock: Clock
    camera: FakeCamera
    retried: FakeCamera
    embedder: FakeFrameEmbedder
    poller: SnapshotPoller
    watches: Watches
    taken: _Camera

    async def take(self, gives: bytes | ServiceError, seconds: int = 1) -> SnapshotState:
        """Let a time pass, fetch once, and return what the watch knows of its address."""
        self.clock.now += seconds * SECOND
        self.camera.gives = self.retried.gives = gives
        await self.poller._take(self.taken)
        return await self.state()

    async def state(self) -> SnapshotState:
        _, state = await self.watches.get("default", "door")
        return state.snapshot

    async def processed(self) -> int:
        _, state = await self.watches.get("default", "door")
        return state.processed


@pytest.fixture
async def door(record: Record, clock: Clock) -> Door:
    clock.now = 10 * DAY
    photos, embedder = FakeFramePhotos(), FakeFrameEmbedder()
    checks = FrameChecks(record, photos, embedder, FakeProducts(), NoFaces(), clock)
    camera, retried = FakeCamera(), FakeCamera()
    poller = SnapshotPoller(record, checks, camera, retried, ["default"], clock)
    watches = Watches(record, photos, FakeProducts(), NoFaces(), clock, lambda _: None)
    watch = Watch("door", rules=(GONE,), snapshot_uri=URI, snapshot_seconds=5)
    await watches.create("default", WatchDraft(watch, images={"gone": WINE}))
    (source,) = await record.snapshot_sources()
    assert source == SnapshotSource("default", "door", URI, 5)
    return Door(record, clock, camera, retried, embedder, poller, watches, _Camera(source))


async def test_pictures_are_checked_as_sent_frames_are(door: Door) -> None:
    assert await door.take(WINE) == SnapshotState(URI, fetched=door.clock.now)
    assert await door.take(OTHER) == SnapshotState(URI, fetched=door.clock.now)
    assert await door.processed() == 2
    (alert,) = await door.record.alerts_after("default", "door", 0, 9)
    assert (alert.rule_id, alert.frame_micros) == ("gone", door.clock.now)


async def test_a_frame_has_the_time_of_its_file_if_that_is_newer(door: Door) -> None:
    start = door.clock.now
    door.camera.modified = (start + 5 * SECOND) / SECOND
    await door.take(WINE, 9)
    assert door.taken.newest == start + 5 * SECOND
    await door.take(OTHER)  # the host's time stands still
    assert door.taken.newest == door.clock.now
    door.camera.modified = (door.clock.now + DAY) / SECOND  # its clock is wrong
    await door.take(WINE)
    assert door.taken.newest == door.clock.now


async def test_a_failure_is_shown_with_the_watch_and_retried_with_permits_of_its_own(
    door: Door,
) -> None:
    await door.take(WINE)
    fetched = door.clock.now
    for failures in (1, 2):
        assert await door.take(UriUnreadable("the host can't be reached")) == SnapshotState(
            URI,
            fetched=fetched,
            failures=failures,
            failed=door.clock.now,
            reason="URI_UNREADABLE",
            message="the host can't be reached",
        )
    assert (len(door.camera.fetched), len(door.retried.fetched)) == (2, 1)
    inside = await door.take(UriForbidden("its host is not on the public internet"))
    assert inside.reason == "URI_FORBIDDEN"
    works = await door.take(OTHER)
    assert (works.failures, works.fetched, works.reason) == (0, door.clock.now, "URI_FORBIDDEN")


async def test_a_file_that_is_no_picture_is_a_failure_each_time(door: Door) -> None:
    for failures in (1, 2):
        state = await door.take(BROKEN)
        assert (state.failures, state.reason) == (failures, "IMAGE_UNDECODABLE")


async def test_the_same_picture_is_not_checked_again_but_shown(door: Door) -> None:
    await door.take(WINE)
    state = await door.take(WINE)
    assert (state.failures, state.reason) == (0, "SNAPSHOT_UNCHANGED")
    first = state.failed
    assert (await door.take(WINE)).failed == first  # not written each time
    assert (await door.take(WINE, NOTE_SECONDS)).failed == door.clock.now
    assert await door.processed() == 1


async def test_a_rule_for_frozen_pictures_sees_the_same_picture_again(door: Door) -> None:
    stored, _ = await door.watches.get("default", "door")
    both = replace(stored.watch, rules=(*stored.watch.rules, FROZEN))
    await door.watches.update("default", WatchDraft(both))
    (source,) = await door.record.snapshot_sources()
    assert source.repeats
    door.taken = _Camera(source)
    for _ in range(2):
        await door.take(WINE)
    assert await door.processed() == 2


async def test_a_picture_that_could_not_be_checked_is_taken_again(door: Door) -> None:
    door.embedder.down = True
    assert (await door.take(WINE)).reason == EmbedderUnavailable().reason
    door.embedder.down = False
    assert (await door.take(WINE)).failures == 0
    assert await door.processed() == 1


async def test_a_picture_that_was_dropped_is_taken_again(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drop(*_: object) -> FramesReport:
        return FramesReport((FrameReport(FrameOutcome.DROPPED),))

    with monkeypatch.context() as busy:
        busy.setattr(FrameChecks, "check", drop)
        await door.take(WINE)
    await door.take(WINE)  # the camera's picture is still the same
    assert await door.processed() == 1


async def test_nothing_is_known_of_a_new_address(door: Door) -> None:
    await door.take(UriUnreadable("the host can't be reached"))
    stored, _ = await door.watches.get("default", "door")
    moved = replace(stored.watch, snapshot_uri=URI + "?2")
    await door.watches.update("default", WatchDraft(moved))
    (source,) = await door.record.snapshot_sources()
    door.taken = _Camera(source)
    assert await door.take(WINE) == SnapshotState(URI + "?2", fetched=door.clock.now)


async def test_a_deleted_watch_ends_the_fetches(door: Door) -> None:
    await door.take(WINE)
    await door.watches.delete("default", "door")
    for gives in (OTHER, UriUnreadable("the host can't be reached")):
        door.clock.now += SECOND
        door.camera.gives = door.retried.gives = gives
        with pytest.raises(WatchNotFound):
            await door.poller._take(door.taken)


async def test_addresses_are_fetched_while_their_watches_want_it(door: Door) -> None:
    watch, _ = await door.watches.get("default", "door")
    running = asyncio.create_task(door.poller.run())
    await until(lambda: door.camera.fetched)
    await door.watches.delete("default", "door")
    await until(lambda: not door.poller._tasks)
    await door.watches.create("default", WatchDraft(watch.watch, images={"gone": WINE}))
    before = len(door.camera.fetched)
    await until(lambda: len(door.camera.fetched) > before)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert LEAST_SECONDS >= 1  # a watch can't ask for more


@pytest.mark.parametrize(
    ("uri", "seconds", "field"),
    [
        (URI, 3_601, "watch.snapshot_seconds"),
        (URI, -1, "watch.snapshot_seconds"),
        ("", 5, "watch.snapshot_seconds"),
        ("https://" + "a" * 2_048, 5, "watch.snapshot_uri"),
    ],
)
async def test_an_address_out_of_range_is_rejected(
    door: Door, uri: str, seconds: int, field: str
) -> None:
    watch = Watch("other", rules=(FROZEN,), snapshot_uri=uri, snapshot_seconds=seconds)
    with pytest.raises(WatchInvalid) as caught:
        await door.watches.create("default", WatchDraft(watch))
    assert [each.field for each in caught.value.violations] == [field]


async def test_an_address_that_is_not_allowed_is_rejected_at_once(door: Door) -> None:
    def forbid(uri: str) -> None:
        raise UriForbidden("its host is not allowed by RETRIEVER_FETCH_HOSTS")

    watches = replace(door.watches, check_address=forbid)
    with pytest.raises(UriForbidden) as caught:
        await watches.create(
            "default", WatchDraft(Watch("x", rules=(FROZEN,), snapshot_uri=URI, snapshot_seconds=5))
        )
    assert [each.field for each in caught.value.violations] == ["watch.snapshot_uri"]
