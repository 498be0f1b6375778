"""Failed writes leave no photo behind, and delete no photo of other writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from retriever.catalog import imports, partial_updates, products
from retriever.catalog.partial_updates import UpdateDraft
from retriever.domain.errors import PhotosFull
from retriever.domain.imports import ImportMode
from retriever.domain.product import ImageDraft, ProductDraft, ProductWrite, Stored
from retriever.record import Record
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from servicekit.sql.errors import StoreFull
from sightline_rules.photos import image_id
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.stores import each_engine
from tests.waiting import until

pytestmark = each_engine
A, B, C = photo(seed=1), photo(seed=2), photo(seed=3)


def draft(product_id: str, *given: bytes, etag: str = "", parent_id: str = "") -> ProductDraft:
    images = tuple(ImageDraft(each, "") for each in given)
    return ProductDraft(product_id, title="A wine", images=images, etag=etag, parent_id=parent_id)


async def upsert(record: Record, photos: FakePhotos, *drafts: ProductDraft) -> list[str]:
    """Write products. Return the outcome of each."""
    outcomes, _ = await products.upsert("default", drafts, record, photos)
    return reasons(outcomes)


def reasons(outcomes: list[Stored | ServiceError]) -> list[str]:
    return [o.reason if isinstance(o, ServiceError) else "OK" for o in outcomes]


def kept(photos: FakePhotos) -> set[bytes]:
    return set(photos.stored.values())


async def test_what_is_refused_after_its_photos_were_stored_leaves_none(record: Record) -> None:
    photos = FakePhotos()
    refused = {
        "IMAGE_UNDECODABLE": draft("b", B, b"text"),
        "ETAG_MISMATCH": draft("c", B, C, etag="stale"),
        "PRODUCT_INVALID": draft("d", C, C, parent_id="variant"),
    }
    good = [draft("a", A), draft("variant", parent_id="a")]
    assert await upsert(record, photos, *good, *refused.values()) == ["OK", "OK", *refused]
    assert kept(photos) == {A}


async def test_a_photo_that_a_product_of_the_same_call_has_stays(record: Record) -> None:
    photos = FakePhotos()
    both = draft("a", A), draft("b", A, B, etag="stale")
    assert await upsert(record, photos, *both) == ["OK", "ETAG_MISMATCH"]
    assert kept(photos) == {A}


async def test_a_photo_that_was_there_before_stays(record: Record) -> None:
    photos = FakePhotos()
    await upsert(record, photos, draft("a", A))
    await record.delete("default", ["a"])
    assert await upsert(record, photos, draft("b", A, etag="stale")) == ["ETAG_MISMATCH"]
    assert kept(photos) == {A}, "it has its days"
    photos.stored.clear()  # the store lost it
    assert await upsert(record, photos, draft("b", A, etag="stale")) == ["ETAG_MISMATCH"]
    assert kept(photos) == {A}, "the record knows it"


async def test_a_store_that_is_full_keeps_nothing(record: Record) -> None:
    class Full(FakePhotos):
        async def put(self, catalog_id: str, photo_id: str, data: bytes) -> tuple[int, int] | None:
            if data == B:
                raise PhotosFull
            return await super().put(catalog_id, photo_id, data)

    photos = Full()
    assert await upsert(record, photos, draft("a", A, B)) == ["PHOTO_STORE_FULL"]
    assert kept(photos) == set()


async def test_a_record_that_refuses_keeps_nothing(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFull

    photos = FakePhotos()
    monkeypatch.setattr(record, "write", full)
    with pytest.raises(StoreFull):
        await upsert(record, photos, draft("a", A, B))
    assert kept(photos) == set()


async def test_a_record_that_does_not_answer_leaves_them_to_be_collected(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFull

    photos = FakePhotos()
    monkeypatch.setattr(record, "unknown_for_good", full)
    assert await upsert(record, photos, draft("a", A, etag="stale")) == ["ETAG_MISMATCH"]
    assert kept(photos) == {A}


async def test_a_caller_that_leaves_while_a_photo_is_stored_leaves_none(record: Record) -> None:
    class Slow(FakePhotos):
        begun, going = asyncio.Event(), asyncio.Event()

        async def put(self, catalog_id: str, photo_id: str, data: bytes) -> tuple[int, int] | None:
            mark = await super().put(catalog_id, photo_id, data)
            self.begun.set()
            await self.going.wait()
            return mark

    photos = Slow()
    call = asyncio.create_task(upsert(record, photos, draft("a", A)))
    await photos.begun.wait()
    call.cancel()
    await asyncio.sleep(0)
    photos.going.set()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    assert kept(photos) == set()


class Held:
    """Clock that makes a write wait during its transaction."""

    def __init__(self) -> None:
        self.begun, self.going = threading.Event(), threading.Event()

    def __call__(self) -> int:
        self.begun.set()
        assert self.going.wait(10)
        return 1


async def test_a_write_that_is_committed_though_its_caller_left_keeps_its_photos(
    db: Database,
) -> None:
    photos, held = FakePhotos(), Held()
    record = Record(db, held)
    call = asyncio.create_task(upsert(record, photos, draft("a", A)))
    await asyncio.to_thread(held.begun.wait, 10)
    call.cancel()
    await asyncio.sleep(0.05)
    held.going.set()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    assert (await record.get("default", ["a"]))["a"].content.image_ids == (image_id(A),)
    assert kept(photos) == {A}


async def test_a_write_that_never_began_keeps_none(db: Database, record: Record) -> None:
    photos, going = FakePhotos(), threading.Event()
    before = asyncio.create_task(db.write(lambda _: going.wait(10)))
    call = asyncio.create_task(upsert(record, photos, draft("a", A)))
    await until(lambda: photos.stored)
    await asyncio.sleep(0.05)
    call.cancel()
    await asyncio.sleep(0.05)
    going.set()
    await asyncio.gather(before, call, return_exceptions=True)
    assert await record.get("default", ["a"]) == {}
    assert kept(photos) == set()


@pytest.mark.parametrize("first", ["good", "failing"])
async def test_the_same_photo_of_another_write_under_way_stays(
    record: Record, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Store it first by either write: the failing write must not delete it."""
    photos, write = FakePhotos(), record.write
    gates = {"good": asyncio.Event(), "failing": asyncio.Event()}

    async def slow(
        catalog_id: str, writes: Sequence[ProductWrite]
    ) -> tuple[list[Stored | ServiceError], int]:
        await gates[writes[0].content.product_id].wait()
        return await write(catalog_id, writes)

    monkeypatch.setattr(record, "write", slow)
    calls = {}
    for name in sorted(gates, key=lambda name: name != first):
        given = draft(name, A, etag="" if name == "good" else "stale")
        calls[name] = asyncio.create_task(upsert(record, photos, given))
        await asyncio.sleep(0.05)
    for name, outcome in (("failing", "ETAG_MISMATCH"), ("good", "OK")):
        gates[name].set()
        assert await calls[name] == [outcome]
        assert kept(photos) == {A}


async def _import(record: Record, photos: FakePhotos) -> list[str]:
    await imports.open_import("default", "i", ImportMode.INCREMENTAL, record)
    rows = [(1, draft("a", A)), (2, draft("b", B, b"text")), (3, draft("c", C, etag="stale"))]
    taken = await imports.take("default", "i", rows, record, photos)
    return reasons(taken.outcomes)


async def _update(record: Record, photos: FakePhotos) -> list[str]:
    await upsert(record, photos, draft("a"))
    drafts = [
        UpdateDraft(draft("a", A), ("images",), ()),
        UpdateDraft(draft("b", B, b"text"), ("images",), ()),
        UpdateDraft(draft("a-no", C), ("images",), ()),
    ]
    outcomes, _ = await partial_updates.update("default", drafts, record, photos)
    return reasons(outcomes)


@pytest.mark.parametrize("brings", [_import, _update])
async def test_so_it_is_of_imports_and_changes(
    record: Record, brings: Callable[[Record, FakePhotos], Awaitable[list[str]]]
) -> None:
    photos = FakePhotos()
    outcomes = await brings(record, photos)
    assert [outcome == "OK" for outcome in outcomes] == [True, False, False]
    assert kept(photos) == {A}
