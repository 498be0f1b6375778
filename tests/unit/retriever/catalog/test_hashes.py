"""Perceptual hashes in the record: of new photos, and of those stored before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from retriever.catalog.images import hash_photos
from retriever.domain.errors import PhotosUnavailable
from retriever.record import Record
from retriever.record.hashes import from_signed, to_signed
from retriever.record.tables import images
from servicekit.sql.database import Database
from sightline_rules.photos import PhotoLimits, image_id, inspect
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.unit.retriever.conftest import write
from tests.unit.retriever.workers.conftest import Bench
from tests.waiting import until

PHOTOS = [photo(), photo(80, 60, 7), b"no photo at all"]


def hash_of(data: bytes) -> int:
    return inspect(data, PhotoLimits()).perceptual_hash


@pytest.mark.parametrize("value", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_hash_is_read_as_it_was_stored(value: int) -> None:
    assert -(1 << 63) <= to_signed(value) < 1 << 63
    assert from_signed(to_signed(value)) == value


async def before(db: Database, record: Record) -> None:
    """Change the record to its state before photos had hashes."""
    await record.write("default", [write("a", *PHOTOS), write("b")])
    await db.write(lambda c: c.execute(sa.update(images).values(perceptual_hash=None)))


async def test_a_new_photo_comes_with_its_hash(record: Record) -> None:
    made = write("a", b"1")
    image = replace(made.new_images[image_id(b"1")], perceptual_hash=(1 << 64) - 2)
    await record.write("default", [replace(made, new_images={image.image_id: image})])
    assert (await record.get("default", ["a"]))["a"].images[0].perceptual_hash == (1 << 64) - 2
    assert await record.unhashed("default", 9) == []


async def test_photos_of_before_are_hashed_a_few_at_a_time(db: Database, record: Record) -> None:
    await before(db, record)
    assert (await record.get("default", ["a"]))["a"].images[0].perceptual_hash == 0
    photos = FakePhotos({("default", image_id(data)): data for data in PHOTOS})
    counts = [await hash_photos("default", 2, record, photos) for _ in range(3)]
    assert counts == [2, 1, 0]
    (found,) = (await record.get("default", ["a"])).values()
    assert [image.perceptual_hash for image in found.images] == [
        hash_of(PHOTOS[0]),
        hash_of(PHOTOS[1]),
        0,
    ]


async def test_a_lost_photo_is_not_tried_again(db: Database, record: Record) -> None:
    await before(db, record)
    assert await hash_photos("default", 9, record, FakePhotos()) == 3
    assert await hash_photos("default", 9, record, FakePhotos()) == 0


async def test_a_store_that_does_not_answer_is_asked_again(db: Database, record: Record) -> None:
    await before(db, record)
    photos = FakePhotos({("default", image_id(data)): data for data in PHOTOS})
    last = max(image_id(data) for data in PHOTOS)
    photos.unreadable = {last}
    with pytest.raises(PhotosUnavailable):
        await hash_photos("default", 9, record, photos)
    assert await record.unhashed("default", 9) == [last]


async def test_the_worker_hashes_photos_of_before(db: Database) -> None:
    bench = Bench(db)
    bench.photos = FakePhotos({("default", image_id(data)): data for data in PHOTOS})
    await before(db, bench.record)

    async def done() -> bool:
        return await bench.record.unhashed("default", 9) == []

    async with bench.working():
        await until(done)
        await asyncio.sleep(0)
    assert (await bench.record.get("default", ["a"]))["a"].images[0].perceptual_hash == hash_of(
        PHOTOS[0]
    )
