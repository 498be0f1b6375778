"""The retriever after calls that are cancelled at any await."""

import asyncio
from pathlib import Path

from retriever.adapters.durable import DurableFolder
from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.watches import DAY, SECOND, Watch, WatchDraft
from retriever.record import Record
from retriever.search.sampling import Samples
from retriever.watching.frames import FrameChecks, FrameOutcome, SentFrame
from retriever.watching.watches import Watches
from tests.cancelling import cancelled_at_each_await
from tests.unit.retriever.conftest import Clock
from tests.unit.retriever.watching.test_frames import (
    GONE,
    WINE,
    FakeFrameEmbedder,
    FakeFramePhotos,
    NoFaces,
)


async def test_a_watch_takes_frames_after_each_cancelled_call(record: Record, clock: Clock) -> None:
    clock.now = 10 * DAY
    photos = FakeFramePhotos()
    checks = FrameChecks(record, photos, FakeFrameEmbedder(), NoFaces(), clock)
    watches = Watches(record, photos, NoFaces(), clock, lambda _: None)
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


async def test_a_folder_takes_files_after_each_cancelled_write(tmp_path: Path) -> None:
    folder = DurableFolder(tmp_path)
    try:

        async def call() -> None:
            await folder.write(tmp_path / "a", b"1")

        async def check() -> None:
            await folder.write(tmp_path / "b", b"2")
            assert not folder._waiting

        assert await cancelled_at_each_await(call, check) > 0
    finally:
        folder.close()


async def test_rules_and_samples_are_read_though_the_first_caller_left(record: Record) -> None:
    synonyms, samples = HeldSynonyms(record), Samples()

    async def call() -> None:
        await synonyms.of("default")
        await samples.of("default", 1, record)

    async def check() -> None:
        assert not await synonyms.of("default")
        assert (await samples.of("default", 1, record)).rows == 0
        for each in (synonyms._rules, samples._kept):
            each.forget("default")

    assert await cancelled_at_each_await(call, check) > 0
