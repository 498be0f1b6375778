"""Photos of watches that were taken down lose their bytes, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

from tests.unit.vision.watching.test_frames import FakeFramePhotos, FakeProducts
from vision.domain.errors import RetrieverUnavailable
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
