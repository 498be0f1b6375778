"""Takedowns, on a real record with photos in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from retriever.catalog import products, takedowns
from retriever.catalog.takedowns import PermittedPhotos
from retriever.domain.errors import ImageNotFound, ImageTakenDown
from retriever.domain.product import ImageDraft, ProductDraft
from retriever.record import Record
from retriever.record import tables as t
from servicekit.rpc.requests import RequestInvalid
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.stores import each_engine
from tests.unit.retriever.catalog.conftest import reported
from tests.unit.retriever.conftest import Clock, generation, vectors

pytestmark = each_engine
BAD, GOOD = photo(seed=1), photo(seed=2)
ID = image_id(BAD)


async def upsert(record: Record, photos: FakePhotos, *wanted: tuple[str, Sequence[bytes | str]]):
    """Write products with photos, given by their bytes or their ids."""
    drafts = [
        ProductDraft(
            name,
            title="A wine",
            images=tuple(
                ImageDraft(b"", each) if isinstance(each, str) else ImageDraft(each, "")
                for each in given
            ),
        )
        for name, given in wanted
    ]
    permitted = PermittedPhotos(photos, record)
    return reported((await products.upsert("default", drafts, record, permitted))[0])


@pytest.fixture
async def stocked(record: Record) -> FakePhotos:
    """Store embedded photos of products, two of which have the bad photo."""
    photos = FakePhotos()
    await record.create_generation(generation())
    wanted = [("a", [BAD, GOOD]), ("b", [BAD]), ("c", [GOOD])]
    assert await upsert(record, photos, *wanted) == ["OK"] * 3
    await record.save_vectors(generation(), vectors(BAD, GOOD))
    return photos


async def test_a_photo_is_gone_at_once_with_all_that_was_made_of_it(
    record: Record, stocked: FakePhotos, db: Database
) -> None:
    before = await record.get("default", ["a", "b", "c"])
    taken, had = await takedowns.take_down("default", ID, "a face", record, stocked)
    assert (taken.image_id, taken.reason, had) == (ID, "a face", ["a", "b"])
    with pytest.raises(ImageNotFound):
        await products.get_image("default", ID, record, stocked)
    assert {name for _, name in stocked.stored} == {image_id(GOOD)}
    after = await record.get("default", ["a", "b", "c"])
    assert [after[name].content.image_ids for name in "abc"] == [
        (image_id(GOOD),),
        (),
        (image_id(GOOD),),
    ]
    assert [after[name].etag != before[name].etag for name in "abc"] == [True, True, False]
    changed = [change for change in await record.changes(generation(), 99) if change.removed]
    assert [change.product_id for change in changed] == ["a", "b"]
    with db.engine.connect() as connection:
        for table in (t.images, t.vectors, t.product_images, t.pending):
            left = sa.select(sa.func.count()).where(table.c.image_id == ID)
            assert connection.execute(left).scalar() == 0, table.name


async def test_it_does_not_come_back_until_the_takedown_is_lifted(
    record: Record, stocked: FakePhotos
) -> None:
    await takedowns.take_down("default", ID, "", record, stocked)
    given, named = [("d", [BAD, GOOD])], [("d", [ID])]
    assert await upsert(record, stocked, *given) == ["IMAGE_TAKEN_DOWN"]
    assert await upsert(record, stocked, *named) == ["IMAGE_TAKEN_DOWN products[0].images"]
    assert ID not in {name for _, name in stocked.stored}
    assert await record.get("default", ["d"]) == {}
    # A write whose photo was stored just before the takedown.
    drafts = [ProductDraft("d", title="A wine", images=(ImageDraft(BAD, ""),))]
    assert reported((await products.upsert("default", drafts, record, stocked))[0]) == [
        "IMAGE_TAKEN_DOWN products[0].images"
    ]
    assert await takedowns.lift("default", ID, record)
    assert not await takedowns.lift("default", ID, record)
    assert await upsert(record, stocked, *given) == ["OK"]


async def test_a_vector_that_was_being_made_is_not_kept(
    record: Record, stocked: FakePhotos, db: Database
) -> None:
    await takedowns.take_down("default", ID, "", record, stocked)
    await record.save_vectors(generation(), vectors(BAD, GOOD))
    with db.engine.connect() as connection:
        held = connection.execute(sa.select(t.vectors.c.image_id)).scalars().all()
    assert held == [image_id(GOOD)]


async def test_takedowns_are_listed_in_pages_and_keep_their_first_reason(
    record: Record, stocked: FakePhotos, clock: Clock
) -> None:
    ids = sorted(f"{n:x}" * 64 for n in range(1, 4))
    for each in ids:
        await takedowns.take_down("default", each, "first", record, stocked)
    clock.now += 5
    again, had = await takedowns.take_down("default", ids[0], "second", record, stocked)
    assert (again.reason, again.create_time, had) == ("first", 1_000_000, [])
    page, token = await takedowns.list_takedowns("default", record, size=2, token="")
    rest, end = await takedowns.list_takedowns("default", record, size=2, token=token)
    assert [each.image_id for each in (*page, *rest)] == ids
    assert end == ""
    assert await takedowns.list_takedowns("other", record, size=0, token="") == ([], "")


@pytest.mark.parametrize("wrong", ["", "photo", "A" * 64, "a" * 63, "a" * 65])
async def test_what_is_no_photo_is_refused(record: Record, wrong: str) -> None:
    with pytest.raises(RequestInvalid, match="image_id"):
        await takedowns.take_down("default", wrong, "", record, FakePhotos())
    with pytest.raises(RequestInvalid, match="image_id"):
        await takedowns.lift("default", wrong, record)
    with pytest.raises(RequestInvalid, match="reason"):
        await takedowns.take_down("default", ID, "x" * 501, record, FakePhotos())


async def test_another_catalog_keeps_its_own(record: Record, stocked: FakePhotos) -> None:
    await takedowns.take_down("other", ID, "", record, stocked)
    assert (await record.get("default", ["b"]))["b"].content.image_ids == (ID,)
    assert await stocked.get("default", ID) == BAD
    with pytest.raises(ImageTakenDown):
        await PermittedPhotos(stocked, record).put("other", ID, BAD)


async def test_a_product_that_breaks_a_rule_does_not_keep_its_photo(
    record: Record, db: Database, stocked: FakePhotos
) -> None:
    """Of an earlier release, or of a restore: a variant of a variant."""
    c = t.products.c

    def nest(connection: sa.Connection) -> None:
        for name, parent in (("a", "b"), ("b", "c")):
            connection.execute(
                sa.update(t.products).where(c.product_id == name).values(parent_id=parent)
            )

    await db.write(nest)
    _, had = await takedowns.take_down("default", ID, "a face", record, stocked)
    assert had == ["a", "b"]
    held = await record.get("default", ["a", "b"])
    assert {name: each.content.image_ids for name, each in held.items()} == {
        "a": (image_id(GOOD),),
        "b": (),
    }
    assert held["a"].content.parent_id == "b"
