"""Vision after calls that are cancelled at any await."""

import asyncio

from tests.cancelling import cancelled_at_each_await
from tests.fakes.clock import Clock
from tests.unit.vision.watching.test_frames import (
    GONE,
    WINE,
    FakeFrameEmbedder,
    FakeFramePhotos,
    FakeProducts,
    NoFaces,
)
from vision.domain.watches import DAY, SECOND, Watch, WatchDraft
from vision.record import Record
from vision.watching.frames import FrameChecks, FrameOutcome, SentFrame
from vision.watching.watches import Watches


async def test_a_watch_takes_frames_after_each_cancelled_call(record: Record, clock: Clock) -> None:
    clock.now = 10 * DAY
    photos = FakeFramePhotos()
    checks = FrameChecks(record, photos, FakeFrameEmbedder(), FakeProducts(), NoFaces(), clock)
    watches = Watches(record, photos, FakeProducts(), NoFaces(), clock, lambda _: None)
    draft = WatchDraft(Watch("shelf", rules=(GONE,)), images={"gone": WINE})
    await watches.create("default", draft)

    async def send() -> FrameOutcome:
        clock.now += SECOND
        report = await checks.check("default", "shelf", [SentFrame(WINE, clock.now)])
        return report.frames[0].outcome

    async def call() -> None:
        other = asyncio.create_task(send())
        await asyncio.sleep(0)
        try:
            await send()
        finally:
            await asyncio.wait({other})

    async def check() -> None:
        assert await send() is FrameOutcome.PROCESSED
        assert checks._queues == {}
        assert not checks._permits.locked()

    assert await cancelled_at_each_await(call, check) > 0
