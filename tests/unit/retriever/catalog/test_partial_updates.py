"""Partial updates and offers, on a real record with photos in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.catalog import partial_updates
from retriever.catalog.partial_updates import UpdateDraft
from retriever.domain.product import (
    Amount,
    ImageDraft,
    OfferDraft,
    Product,
    ProductContent,
    ProductDraft,
    ProductWrite,
    Stored,
)
from retriever.record import Record
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import photo
from tests.unit.retriever.catalog.conftest import reported
from tests.unit.retriever.conftest import Clock, generation, vectors, write

A, B = photo(seed=1), photo(seed=2)


def change(
    product_id: str, *mask: str, given: tuple[str, ...] = (), **fields: object
) -> UpdateDraft:
    product = ProductDraft(product_id)._replace(**fields)  # type: ignore[arg-type]
    return UpdateDraft(product, mask, given or tuple(fields))


async def update(
    record: Record, *drafts: UpdateDraft, photos: FakePhotos | None = None
) -> list[str]:
    outcomes, _ = await partial_updates.update("default", drafts, record, photos or FakePhotos())
    return reported(outcomes)


async def offer(record: Record, *drafts: OfferDraft) -> list[str]:
    outcomes, _ = await partial_updates.update_offers("default", drafts, record)
    return reported(outcomes)


async def held(record: Record, product_id: str = "a") -> Product:
    return (await record.get("default", [product_id]))[product_id]


async def put(record: Record, *writes: ProductWrite) -> None:
    outcomes, _ = await record.write("default", list(writes))
    assert all(isinstance(outcome, Stored) for outcome in outcomes)


async def test_only_the_named_fields_change(record: Record, clock: Clock) -> None:
    await put(record, write("a", A, B, brand="old", tags=("x",)))
    clock.now += 5
    draft = change("a", "title", "tags", title="new", brand="not named", given=("title", "brand"))
    assert await update(record, draft) == ["OK"]
    product = await held(record)
    expected = replace(write("a", A, B, brand="old").content, title="new", tags=())
    assert product.content == expected
    assert product.update_time == clock.now


async def test_without_a_mask_what_is_set_changes_and_what_is_read_only_is_passed_over(
    record: Record,
) -> None:
    await put(record, write("a", A, brand="old"))
    given = ("product_id", "title", "create_time", "etag")
    assert await update(record, change("a", title="new", brand="unset", given=given)) == ["OK"]
    content = (await held(record)).content
    assert (content.title, content.brand, len(content.image_ids)) == ("new", "old", 1)


async def test_a_named_field_that_is_empty_is_emptied(record: Record) -> None:
    await put(record, write("a", A, brand="b", availability=Availability.OUT_OF_STOCK))
    draft = change("a", "price", "images", "brand", "availability")
    assert await update(record, draft) == ["OK"]
    content = (await held(record)).content
    assert (content.price, content.image_ids, content.brand) == (None, (), "")
    assert content.availability is Availability.IN_STOCK


async def test_several_photos_are_replaced_whole_and_in_order(record: Record) -> None:
    await put(record, write("a", A))
    images = (ImageDraft(B, ""), ImageDraft(b"", image_id(A)))
    photos = FakePhotos()
    assert await update(record, change("a", "images", images=images), photos=photos) == ["OK"]
    assert (await held(record)).content.image_ids == (image_id(B), image_id(A))
    assert set(photos.stored) == {("default", image_id(B))}
    unknown = (ImageDraft(b"", "0" * 64),)
    assert await update(record, change("a", "images", images=unknown)) == [
        "IMAGE_NOT_FOUND updates[0].product.images"
    ]
    assert (await held(record)).content.image_ids == (image_id(B), image_id(A))


@pytest.mark.parametrize(
    "name", ["product_id", "etag", "create_time", "price.units", "colour", "*", "", "Title"]
)
async def test_a_mask_that_names_anything_else_is_refused(record: Record, name: str) -> None:
    await put(record, write("a"), write("b"))
    outcome = await update(record, change("a", "title", name, title="x"), change("b", title="y"))
    assert outcome == ["FIELD_MASK_INVALID updates[0].update_mask.paths[1]", "OK"]
    assert (await held(record)).content.title == "A wine"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"title": ""}, "title"),
        ({"price": Amount("euro", 1, 0)}, "price.currency_code"),
        ({"price": Amount("EUR", -1, 0)}, "price.units"),
        ({"attributes": (("abv", float("nan")),)}, "attributes[0].number"),
        ({"parent_id": "a"}, "parent_id"),
        ({"availability": None}, "availability"),
    ],
)
async def test_a_bad_field_is_refused_by_its_path(
    record: Record, fields: dict[str, object], path: str
) -> None:
    await put(record, write("a"))
    assert await update(record, change("a", *fields, **fields)) == [
        f"PRODUCT_INVALID updates[0].product.{path}"
    ]


async def test_each_change_has_an_outcome_of_its_own(record: Record) -> None:
    await put(record, write("a"))
    outcome = await update(
        record,
        change("a", title="x"),
        change("no", title="x"),
        change("a", title="y"),
        change("", title="y"),
    )
    assert outcome == [
        "OK",
        "PRODUCT_NOT_FOUND",
        "PRODUCT_INVALID updates[2].product.product_id",
        "PRODUCT_INVALID updates[3].product.product_id",
    ]
    assert (await held(record)).content.title == "x"


async def test_an_etag_lets_only_its_own_state_be_changed(record: Record) -> None:
    await put(record, write("a"))
    etag = (await held(record)).etag
    assert await update(record, change("a", "title", title="x", etag=etag)) == ["OK"]
    assert await update(record, change("a", "title", title="y", etag=etag)) == ["ETAG_MISMATCH"]
    assert (await held(record)).content.title == "x"
    assert (await held(record)).etag != etag


@pytest.mark.parametrize("number", [0, 101])
async def test_a_batch_of_the_wrong_size_is_refused(record: Record, number: int) -> None:
    with pytest.raises(RequestInvalid):
        await update(record, *[change("a", title="x")] * number)


# Variants


async def test_variants_are_one_level_deep_and_an_unknown_parent_is_kept(record: Record) -> None:
    await put(record, write("small", parent_id="shirt"))
    assert (await held(record, "small")).content.parent_id == "shirt"
    outcomes, _ = await record.write(
        "default",
        [
            write("shirt", parent_id="clothes"),
            write("tiny", parent_id="small"),
            write("shirt"),
            write("large", parent_id="shirt"),
        ],
    )
    assert reported(outcomes) == [
        "PRODUCT_INVALID product.parent_id",
        "PRODUCT_INVALID product.parent_id",
        "OK",
        "OK",
    ]


async def test_no_cycle_of_parents_can_be_made_by_any_call(record: Record) -> None:
    await put(record, write("a", parent_id="b"), write("c"))
    outcomes, _ = await record.write("default", [write("b", parent_id="a")])
    assert reported(outcomes) == ["PRODUCT_INVALID product.parent_id"]
    await put(record, write("b"))
    assert await update(record, change("b", "parent_id", parent_id="a")) == [
        "PRODUCT_INVALID updates[0].product.parent_id"
    ]
    assert await update(record, change("b", "parent_id", parent_id="c")) == [
        "PRODUCT_INVALID updates[0].product.parent_id"
    ]
    assert await update(record, change("a", "parent_id"), change("b", parent_id="c")) == ["OK"] * 2


# Offers


async def test_an_offer_changes_price_and_availability_and_nothing_else(record: Record) -> None:
    await put(record, write("a", A, brand="b"), write("b"))
    before = await held(record)
    given = OfferDraft("a", Amount("USD", 3, 500_000_000), Availability.PREORDER)
    assert (
        await offer(record, given, OfferDraft("b", None, Availability.OUT_OF_STOCK)) == ["OK"] * 2
    )
    after = await held(record)
    assert after.content == replace(
        before.content, price=Money("USD", 3_500_000), availability=Availability.PREORDER
    )
    assert after.etag != before.etag
    content = (await held(record, "b")).content
    assert (content.price, content.availability) == (Money("EUR", 5), Availability.OUT_OF_STOCK)


async def test_an_offer_leaves_the_etag_that_a_whole_write_would(record: Record) -> None:
    await put(record, write("a", A))
    assert await offer(record, OfferDraft("a", None, Availability.BACKORDER)) == ["OK"]
    etag = (await held(record)).etag
    outcomes, _ = await record.write(
        "default", [write("a", A, availability=Availability.BACKORDER)]
    )
    assert isinstance(outcomes[0], Stored)
    assert outcomes[0].etag == etag


async def test_an_offer_takes_a_free_product(record: Record) -> None:
    await put(record, write("a"))
    assert await offer(record, OfferDraft("a", Amount("EUR", 0, 0))) == ["OK"]
    assert (await held(record)).content.price == Money("EUR", 0)


async def test_each_offer_has_an_outcome_of_its_own(record: Record) -> None:
    await put(record, write("a"))
    outcome = await offer(
        record,
        OfferDraft("a", Amount("eur", 1, 0)),
        OfferDraft("b", Amount("EUR", -1, 0)),
        OfferDraft("no", Amount("EUR", 1, 0)),
        OfferDraft("c", None, None, availability_known=False),
        OfferDraft("a", Amount("EUR", 1, 0)),
        OfferDraft("", Amount("EUR", 1, 0)),
        OfferDraft("d", Amount("EUR", 1, 10)),
    )
    assert outcome == [
        "OFFER_INVALID offers[0].price.currency_code",
        "OFFER_INVALID offers[1].price.units",
        "PRODUCT_NOT_FOUND",
        "OFFER_INVALID offers[3].availability",
        "OFFER_INVALID offers[4].product_id",
        "OFFER_INVALID offers[5].product_id",
        "OFFER_INVALID offers[6].price.nanos",
    ]


async def test_an_offer_wants_no_new_vector_and_follows_in_the_index(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    await record.save_vectors(made, vectors(A))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    assert await offer(record, OfferDraft("a", Amount("EUR", 9, 0))) == ["OK"]
    assert await record.due(made, 10) == []
    changes = await record.changes(made, 10)
    assert [(item.product_id, item.removed) for item in changes] == [("a", ())]
    (row,) = await record.rows(made, ["a"])
    assert (row.facts.price, row.seq) == (Money("EUR", 9_000_000), changes[0].seq)


async def test_an_offer_that_changes_nothing_takes_no_number(record: Record) -> None:
    await put(record, write("a"))
    given = OfferDraft("a", Amount("EUR", 0, 5_000), Availability.IN_STOCK)
    for draft in (given, OfferDraft("a")):
        _, seq = await partial_updates.update_offers("default", [draft], record)
        assert seq == 1


async def test_a_thousand_offers_are_one_transaction_of_few_statements(record: Record) -> None:
    contents = [ProductContent(f"p{n:04}", "A wine") for n in range(1_000)]
    await put(record, *(ProductWrite(content, {}) for content in contents))
    drafts = [OfferDraft(content.product_id, Amount("EUR", 7, 0)) for content in contents]
    with sent_to_databases() as sent:
        assert await offer(record, *drafts) == ["OK"] * 1_000
    assert sent.count("COMMIT") == 1
    assert len(sent) < 50, "a statement for each product"
    assert (await held(record, "p0999")).content.price == Money("EUR", 7_000_000)


@contextlib.contextmanager
def sent_to_databases() -> Iterator[list[str]]:
    """Yield the first word of each statement during the block, commits included."""
    sent: list[str] = []

    def statement(*arguments: Any) -> None:
        sent.append(arguments[2].split()[0])

    def commit(*_: Any) -> None:
        sent.append("COMMIT")

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", commit)
    try:
        yield sent
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
        sa.event.remove(sa.Engine, "commit", commit)


@pytest.mark.parametrize("number", [0, 1_001])
async def test_offers_of_the_wrong_number_are_refused(record: Record, number: int) -> None:
    with pytest.raises(RequestInvalid):
        await offer(record, *[OfferDraft("a")] * number)
