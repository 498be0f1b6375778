"""Cameras that stop, on a real record and a clock of the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from servicekit.tasks.supervision import FAILURES, UNEXPECTED
from tests import virtual_time
from tests.fakes.clock import Clock
from tests.unit.vision.watching.test_frames import (
    WINE,
    FakeFrameEmbedder,
    FakeFramePhotos,
    FakeProducts,
    NoFaces,
)
from vision.domain.errors import WatchInvalid
from vision.domain.watches import (
    DAY,
    SECOND,
    SILENT,
    Alert,
    AlertKind,
    SilenceSource,
    Watch,
    WatchDraft,
    WatchRule,
    check,
)
from vision.record import Record
from vision.watching.frames import FrameChecks, SentFrame
from vision.watching.silence import GRACE, SILENCE, SilenceChecks
from vision.watching.watches import Watches

HOLD = 30 * SECOND
RULE = WatchRule("stopped", SILENT, hold=HOLD, release=0, cool_down=0)
STARTED, ENDED = AlertKind.STARTED, AlertKind.ENDED


@dataclass
class Door:
    """A watch that tells when its camera stops."""

    record: Record
    clock: Clock
    frames: FrameChecks
    watches: Watches
    silence: SilenceChecks
    began: int = 0

    async def see(self, seconds: float = 1.0) -> None:
        """Send a frame after so many seconds."""
        self.clock.now += int(seconds * SECOND)
        await self.frames.check("default", "door", [SentFrame(WINE)])

    async def wait(self, seconds: float) -> None:
        """Let time pass, with a look each second."""
        for _ in range(round(seconds)):
            self.clock.now += SECOND
            await self.silence.look(self.began)

    async def change(self, rule: WatchRule) -> None:
        stored, _ = await self.watches.get("default", "door")
        await self.watches.update("default", WatchDraft(replace(stored.watch, rules=(rule,))))

    async def alerts(self) -> list[Alert]:
        return await self.record.alerts_after("default", "door", 0, 99)

    async def kinds(self) -> list[AlertKind]:
        return [each.kind for each in await self.alerts()]


@pytest.fixture
async def door(record: Record, clock: Clock) -> Door:
    clock.now = 10 * DAY
    photos = FakeFramePhotos()
    frames = FrameChecks(record, photos, FakeFrameEmbedder(), FakeProducts(), NoFaces(), clock)
    watches = Watches(record, photos, FakeProducts(), NoFaces(), clock, lambda _: None)
    silence = SilenceChecks(record, ["default"], clock)
    await watches.create("default", WatchDraft(Watch("door", rules=(RULE,), photo_days=1)))
    return Door(record, clock, frames, watches, silence)


async def test_an_alert_starts_when_a_camera_stops_and_ends_when_it_is_back(door: Door) -> None:
    await door.see()
    last = door.clock.now
    await door.wait(29)
    assert await door.kinds() == []
    await door.wait(60)
    assert await door.kinds() == [STARTED], "once"
    await door.see()
    start, end = await door.alerts()
    assert (start.rule_id, start.frame_micros, start.since_micros) == ("stopped", last + HOLD, last)
    assert (start.score, end.score) == (30.0, 90.0)
    assert (end.kind, end.started_alert_id) == (ENDED, start.alert_id)
    assert (start.image_id, end.image_id) == ("", ""), "neither is about a frame"
    await door.wait(30)
    assert await door.kinds() == [STARTED, ENDED, STARTED]


async def test_a_camera_that_never_sent_a_frame_is_silent_since_its_watch_was_changed(
    door: Door,
) -> None:
    await door.wait(20)
    await door.change(replace(RULE, hold=2 * HOLD))
    await door.wait(59)
    assert await door.kinds() == []
    await door.wait(1)
    assert await door.kinds() == [STARTED]


async def test_frames_that_are_not_checked_do_not_count(door: Door) -> None:
    await door.see()
    first = door.clock.now
    for seconds in range(30):
        await door.wait(1)
        late = [SentFrame(WINE, first - seconds), SentFrame(b"no photo")]
        await door.frames.check("default", "door", late)
    assert await door.kinds() == [STARTED]


async def test_an_alert_ends_once_frames_have_come_for_long_enough(door: Door) -> None:
    await door.change(replace(RULE, release=HOLD))
    await door.see()
    await door.wait(31)
    for _ in range(3):
        await door.see(9)
    await door.wait(40)  # silent again, before it was back for long enough
    for _ in range(5):
        await door.see(9)
        assert await door.kinds() == [STARTED, ENDED][: 1 + (_ == 4)]
    await door.wait(29)
    assert await door.kinds() == [STARTED, ENDED]


@pytest.mark.full
async def test_alerts_start_no_more_often_than_the_cool_down(door: Door) -> None:
    await door.change(replace(RULE, cool_down=10 * HOLD))
    await door.see()
    await door.wait(31)
    await door.see()
    await door.wait(200)
    assert await door.kinds() == [STARTED, ENDED]
    await door.wait(100)
    assert await door.kinds() == [STARTED, ENDED, STARTED]


async def test_a_restart_neither_repeats_nor_loses_an_alert(door: Door) -> None:
    await door.see()
    await door.wait(31)

    def restart() -> None:
        door.silence, door.began = (
            SilenceChecks(door.record, ["default"], door.clock),
            door.clock.now,
        )

    restart()
    await door.wait(120)
    assert await door.kinds() == [STARTED]
    await door.see()
    door.clock.now += DAY  # the suite was down, and no camera could send
    restart()
    await door.wait(29)
    assert await door.kinds() == [STARTED, ENDED]
    await door.wait(1)
    assert await door.kinds() == [STARTED, ENDED, STARTED]


async def test_a_long_hold_begins_to_count_before_a_restart(door: Door) -> None:
    await door.change(replace(RULE, hold=DAY))
    await door.see()
    door.clock.now += DAY
    door.began = door.clock.now
    await door.wait(GRACE // SECOND - 1)
    assert await door.kinds() == []
    await door.wait(1)
    assert await door.kinds() == [STARTED]


async def test_a_watch_is_read_again_once_it_can_be_silent_for_long_enough(door: Door) -> None:
    await door.see()
    last = door.clock.now
    await door.wait(1)
    assert list(door.silence._due.values()) == [last + HOLD]
    await door.watches.delete("default", "door")
    await door.wait(1)
    assert door.silence._due == {}


async def test_a_frame_that_comes_meanwhile_prevents_the_alert(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.see()
    door.clock.now += 40 * SECOND
    read = door.record.watch

    async def then_a_frame(catalog_id: str, watch_id: str) -> object:
        found = await read(catalog_id, watch_id)
        monkeypatch.undo()
        await door.frames.check("default", "door", [SentFrame(WINE)])
        return found

    monkeypatch.setattr(door.record, "watch", then_a_frame)
    await door.wait(5)
    assert await door.kinds() == []


@pytest.mark.parametrize(("hold", "every"), [(0, 0), (SECOND - 1, 0), (5 * SECOND, 5)])
def test_a_silence_is_longer_than_a_second_and_than_the_time_between_snapshots(
    hold: int, every: int
) -> None:
    uri = "https://camera.test/now.jpg" if every else ""
    watch = Watch("door", rules=(RULE,), snapshot_uri=uri, snapshot_seconds=every)
    assert check(WatchDraft(watch)) == watch
    short = replace(watch, rules=(replace(RULE, hold=hold),))
    with pytest.raises(WatchInvalid) as caught:
        check(WatchDraft(short))
    assert [each.field for each in caught.value.violations] == ["watch.rules[0].hold"]


class Quiet:
    """A record without watches, which counts its reads."""

    def __init__(self) -> None:
        self.reads, self.changed = 0, asyncio.Event()

    async def silence_sources(self) -> list[Any]:
        self.reads += 1
        return []

    def commits(self) -> asyncio.Event:
        return self.changed


def test_without_a_due_watch_the_record_is_read_after_commits_alone() -> None:
    async def main() -> tuple[int, int]:
        record: Any = Quiet()
        looking = asyncio.create_task(SilenceChecks(record, ["default"], lambda: 0).run())
        await asyncio.sleep(300)
        before = record.reads
        record.changed.set()
        await asyncio.sleep(1)
        looking.cancel()
        return before, record.reads

    (before, after), _ = virtual_time.run(main())
    assert (before <= 6, after - before) == (True, 1)


class Due(Quiet):
    """A record with a watch that is due at each look, as its camera has not been seen yet."""

    async def silence_sources(self) -> list[Any]:
        self.reads += 1
        return [SilenceSource("default", f"due {self.reads}", hold=1)]

    async def watch(self, _catalog_id: str, _watch_id: str) -> None:
        return None


def test_a_watch_that_is_due_at_once_fails_no_look() -> None:
    async def main() -> int:
        record: Any = Due()
        looking = asyncio.create_task(SilenceChecks(record, ["default"], lambda: 0).run())
        await asyncio.sleep(30)
        looking.cancel()
        return int(record.reads)

    failed = FAILURES.labels(SILENCE, UNEXPECTED)._value
    before = failed.get()
    reads, _ = virtual_time.run(main())
    assert (reads >= 25, failed.get() - before) == (True, 0)
