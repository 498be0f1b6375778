"""Photos without a reference, on a real record with photos in memory."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from retriever.catalog import products
from retriever.catalog.collecting import BATCH, collect
from retriever.domain.errors import ImageNotFound
from retriever.domain.product import ImageDraft, ProductDraft, Stored
from retriever.record import Record
from retriever.record.tables import watch_photos
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock, generation, vectors, write

pytestmark = each_engine
A, B, LOST = photo(seed=1), photo(seed=2), photo(seed=3)
DAY = 86_400


class Shop:
    """A record, its photos and the days that pass."""

    def __init__(self, record: Record, clock: Clock) -> None:
        self.record, self.clock = record, clock
        self.photos = FakePhotos({("default", image_id(each)): each for each in (A, B, LOST)})
        self.photos.old = {image_id(each) for each in (A, B, LOST)}

    async def collect(self, days_later: float, days: float = 7) -> int:
        self.clock.now += int(days_later * DAY * 1e6)
        return await collect("default", days, self.record, self.photos, self.clock.now / 1e6)

    @property
    def stored(self) -> set[bytes]:
        return set(self.photos.stored.values())


@pytest.fixture
async def shop(record: Record, clock: Clock) -> Shop:
    """Return a shop of two products with photos, and a photo that a failed write left."""
    await record.create_generation(generation())
    await record.write("default", [write("a", A), write("b", A, B)])
    await record.save_vectors(generation(), vectors(A, B))
    return Shop(record, clock)


async def test_what_no_product_has_goes_after_its_days(shop: Shop) -> None:
    assert await shop.collect(0) == 0
    assert await shop.collect(6.9) == 0
    assert shop.stored == {A, B, LOST}
    assert await shop.collect(0.2) == 1
    assert shop.stored == {A, B}
    await shop.record.delete("default", ["b"])
    assert await shop.collect(0) == 0
    assert await shop.collect(7.1) == 1
    assert shop.stored == {A}
    assert await shop.record.image("default", image_id(B)) is None
    with pytest.raises(ImageNotFound):
        await shop.photos.get("default", image_id(B))


async def test_photos_of_a_write_that_fails_go_and_those_that_another_write_has_stay(
    shop: Shop,
) -> None:
    def wine(product_id: str, *photos: bytes, etag: str = "") -> ProductDraft:
        images = tuple(ImageDraft(each, "") for each in photos)
        return ProductDraft(product_id, title="A wine", images=images, etag=etag)

    refused, shared = photo(seed=4), photo(seed=5)
    drafts = [wine("c", refused, shared, etag="stale"), wine("d", B, b"text"), wine("e", shared)]
    outcomes, _ = await products.upsert("default", drafts, shop.record, shop.photos)
    assert [isinstance(each, Stored) for each in outcomes] == [False, False, True]
    assert shop.stored == {A, B, LOST, refused, shared}
    shop.photos.old |= {image_id(each) for each in (refused, shared)}
    assert await shop.collect(0) == 0
    assert await shop.collect(7.1) == 2
    assert shop.stored == {A, B, shared}


async def test_photos_of_watches_of_an_earlier_release_stay_until_their_days_end(
    shop: Shop, db: Database
) -> None:
    """`python -m vision.move` copies them; where it never runs, no picture of a camera stays."""
    target, frame = photo(seed=6), photo(seed=7)
    ends = shop.clock.now + int(20 * DAY * 1e6)
    for data, end in ((target, 0), (frame, ends)):
        row = {"catalog_id": "default", "image_id": image_id(data), "watch_id": "shelf"}
        row |= {"media_type": "image/jpeg", "width": 1, "height": 1, "expire_time": end}
        await db.write(lambda c, row=row: c.execute(sa.insert(watch_photos).values(row)))
        shop.photos.stored["default", image_id(data)] = data
        shop.photos.old.add(image_id(data))
    await shop.collect(0)
    await shop.collect(19)
    assert shop.stored == {A, B, target, frame}
    await shop.collect(2)
    assert await shop.collect(7.1) == 1
    assert shop.stored == {A, B, target}


async def test_only_folders_that_have_photos_are_compared_with_the_record(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[list[str]] = []
    unknown = shop.record.unknown

    async def noted(catalog_id: str, names: list[str]) -> list[str]:
        compared.append(names)
        return list(await unknown(catalog_id, names))

    monkeypatch.setattr(shop.record, "unknown", noted)
    assert await shop.collect(0) == 0
    assert all(compared)
    found = sorted(name for names in compared for name in names)
    assert found == sorted(image_id(each) for each in (A, B, LOST))


async def test_a_photo_that_a_product_has_again_stays_and_its_days_begin_anew(shop: Shop) -> None:
    await shop.record.delete("default", ["b"])
    assert await shop.collect(0) == 0
    await shop.record.write("default", [write("c", B)])
    assert await shop.collect(8) == 1  # the lost one
    assert shop.stored == {A, B}
    await shop.record.delete("default", ["c"])
    assert await shop.collect(0) == 0
    assert await shop.collect(6) == 0
    assert shop.stored == {A, B}


async def test_bytes_that_are_being_uploaded_again_stay(shop: Shop) -> None:
    assert await shop.collect(0) == 0
    await shop.photos.put("default", image_id(LOST), LOST)  # its product is not written yet
    assert await shop.collect(8) == 0
    await shop.record.write("default", [write("c", LOST)])
    assert await shop.collect(8) == 0
    assert shop.stored == {A, B, LOST}


async def test_a_write_that_comes_while_photos_go_wins(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.record.delete("default", ["b"])
    assert await shop.collect(0) == 0
    overdue = shop.record.overdue

    async def written(catalog_id: str, before: int, limit: int) -> list[str]:
        found = await overdue(catalog_id, before, limit)
        await shop.record.write("default", [write("c", B)])
        return found

    monkeypatch.setattr(shop.record, "overdue", written)
    assert await shop.collect(8) == 1
    assert shop.stored == {A, B}
    assert (await shop.record.get("default", ["c"]))["c"].content.image_ids == (image_id(B),)


async def test_another_catalog_is_left_alone_and_many_go_in_batches(shop: Shop) -> None:
    names = [f"{n:064x}" for n in range(BATCH + 5)]
    shop.photos.stored |= {("default", name): b"x" for name in names}
    shop.photos.stored["other", image_id(LOST)] = LOST
    shop.photos.old |= set(names)
    assert await shop.collect(0) == 0
    assert await shop.collect(8) == BATCH + 5 + 1
    assert set(shop.photos.stored) == {
        ("default", image_id(A)),
        ("default", image_id(B)),
        ("other", image_id(LOST)),
    }


async def test_what_was_taken_down_while_it_was_uploaded_goes_at_once(shop: Shop) -> None:
    await shop.record.take_down("default", image_id(LOST), "")
    assert await shop.collect(0) == 0
    assert shop.stored == {A, B}
