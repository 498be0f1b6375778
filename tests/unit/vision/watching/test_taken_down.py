"""Photos of watches that were taken down lose their bytes, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

from tests.unit.vision.watching.test_frames import FakeFramePhotos, FakeProducts
from vision.domain.errors import PhotosUnavailable, RetrieverUnavailable
from vision.domain.watches import Fault, FaultCondition, Watch, WatchPhoto, WatchRule
from vision.record import Record
from vision.watching.taken_down import BATCH, TakenDownPhotos

WATCH = Watch("shelf", rules=(WatchRule("dark", FaultCondition(Fault.BLACK)),))
NAMES = [f"{number:064x}" for number in range(2 * BATCH + 1)]


class Asked(FakeProducts):
    """Takedowns that note how many photos they are asked about at once."""

    async def taken_down(self, catalog_id: str, image_ids: Sequence[str]) -> frozenset[str]:
        assert 1 <= len(image_ids) <= 64
        if catalog_id == "away":
            raise RetrieverUnavailable
        return await super().taken_down(catalog_id, image_ids)


async def test_bytes_of_photos_that_were_taken_down_go(record: Record) -> None:
    photos = FakeFramePhotos()
    for catalog in ("away", "default", "other"):
        kept = [WatchPhoto(each, "image/jpeg", 4, 3) for each in NAMES]
        await record.create_watch(catalog, WATCH, kept)
        photos.stored |= {(catalog, each): b"" for each in NAMES}
    gone = {NAMES[0], NAMES[BATCH], NAMES[-1]}
    used = ("away", "default")
    assert not await TakenDownPhotos(used, record, photos, Asked(gone)).step()
    left = {name for catalog, name in photos.stored if catalog == "default"}
    assert left == set(NAMES) - gone
    assert len(photos.stored) == 3 * len(NAMES) - len(gone), "the others stay, one fails alone"
    assert await record.watch_photo("default", NAMES[0]) is not None


class Stuck(FakeFramePhotos):
    """A store of which one photo can't be deleted."""

    async def delete(self, catalog_id: str, image_id: str) -> None:
        if image_id == NAMES[0]:
            raise PhotosUnavailable
        await super().delete(catalog_id, image_id)


async def test_a_photo_that_can_not_be_deleted_does_not_keep_the_others(record: Record) -> None:
    photos, names = Stuck(), NAMES[: BATCH + 2]
    await record.create_watch(
        "default", WATCH, [WatchPhoto(each, "image/jpeg", 4, 3) for each in names]
    )
    photos.stored |= {("default", each): b"" for each in names}
    gone = {names[0], names[1], names[-1]}
    assert not await TakenDownPhotos(("default",), record, photos, Asked(gone)).step()
    assert {name for _, name in photos.stored} == {*names[:1], *names[2:-1]}
