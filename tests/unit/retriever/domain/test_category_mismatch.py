"""Photos that contradict their products' categories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.catalog import products
from retriever.domain.category_mismatch import (
    OTHER_AT_LEAST,
    OWN_AT_MOST,
    UNKNOWN_AT_LEAST,
    CategoryGuess,
    CategoryMismatch,
    CategoryPath,
    Classification,
    category_mismatch,
)
from retriever.domain.generation import Generation
from retriever.domain.product import ProductFlaw, ProductOrder
from retriever.indexing.embedding import embed_pending
from retriever.record import Record
from sightline_rules.filters import All
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import VERSION
from tests.fakes.photo_store import FakePhotos
from tests.stores import each_engine
from tests.unit.retriever.conftest import generation, write

APPLE, PEAR, JUICE = ("Fruit", "Apple"), ("Fruit", "Pear"), ("Juice",)
HARDLY = OWN_AT_MOST / 2
KNOWN: frozenset[CategoryPath] = frozenset({APPLE, PEAR, JUICE, *((f"C{n}",) for n in range(20))})


def reported(*guesses: tuple[CategoryPath, float], unknown: float = 0.0) -> Classification:
    return Classification(tuple(CategoryGuess(*guess) for guess in guesses), unknown)


def found(own: CategoryPath, said: Classification) -> CategoryMismatch | None:
    return category_mismatch(own, said, KNOWN, "photo", VERSION)


def test_a_photo_that_is_surely_of_another_category_contradicts() -> None:
    said = reported((JUICE, 0.9), (APPLE, HARDLY), unknown=0.05)
    assert found(APPLE, said) == CategoryMismatch(
        "photo", pytest.approx(HARDLY), CategoryGuess(JUICE, 0.9), VERSION
    )


def test_a_photo_of_nothing_that_is_known_contradicts() -> None:
    seen = found(APPLE, reported((JUICE, HARDLY), unknown=0.98))
    assert seen is not None
    assert seen.instead is None
    assert seen.probability <= OWN_AT_MOST


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (APPLE, reported((APPLE, OWN_AT_MOST + 0.01), (JUICE, 0.9))),
        (APPLE, reported((JUICE, OTHER_AT_LEAST - 0.01), (APPLE, HARDLY), unknown=0.1)),
        (APPLE, reported((JUICE, 0.05), unknown=UNKNOWN_AT_LEAST - 0.01)),
        # Nothing of the own category among the guesses: it may still have what is left.
        (APPLE, reported((JUICE, 0.82), unknown=0.0)),
        (("Fruit",), reported((PEAR, 0.9), (JUICE, 0.05))),
        (("Fruit", "Kiwi"), reported((JUICE, 0.99))),
        ((), reported((JUICE, 0.99))),
    ],
    ids=["likely", "unsure", "known", "left", "below", "new", "none"],
)
def test_what_may_be_right_is_no_mismatch(own: CategoryPath, said: Classification) -> None:
    assert found(own, said) is None


def test_a_category_above_those_that_are_known_is_judged_by_them_together() -> None:
    much, little = 0.75 * OWN_AT_MOST, 0.25 * OWN_AT_MOST
    assert found(("Fruit",), reported((JUICE, 0.9), (PEAR, much), (APPLE, much))) is None
    assert found(("Fruit",), reported((JUICE, 0.9), (PEAR, little), (APPLE, little))) is not None


# In the record


@pytest.fixture
async def made(record: Record) -> Generation:
    return await record.create_generation(generation())


WRONG = reported((JUICE, 0.97), (APPLE, HARDLY), unknown=0.01)
RIGHT = reported((APPLE, 0.97), (JUICE, HARDLY), unknown=0.01)


async def mismatches(record: Record, *names: str) -> dict[str, CategoryMismatch]:
    held = await record.get("default", names)
    return await record.category_mismatches("default", list(held.values()))


async def listed(record: Record) -> list[str]:
    page = await products.list_products(
        "default",
        record,
        condition=All(),
        order=ProductOrder.PRODUCT_ID,
        page_size=10,
        page_token="",
        flaws=[ProductFlaw.DOUBTED],
    )
    return [product.content.product_id for product in page.products]


async def embedded(
    made: Generation, record: Record, embedder: FakeEmbedder, *photos: bytes
) -> None:
    store = FakePhotos({("default", image_id(photo)): photo for photo in photos})
    done = await embed_pending(made, record, store, embedder, 64, known=embedder.head)
    assert done.stored == len(photos)


@each_engine
async def test_a_photo_is_judged_when_it_is_embedded(made: Generation, record: Record) -> None:
    named = {"category_path": APPLE}
    await record.write(
        "default", [write("wrong", b"1", b"2", **named), write("right", b"3", **named)]
    )
    embedder = FakeEmbedder(head=KNOWN, classifications={b"1": RIGHT, b"2": WRONG, b"3": RIGHT})
    await embedded(made, record, embedder, b"1", b"2", b"3")

    seen = await mismatches(record, "wrong", "right")
    assert list(seen) == ["wrong"]
    assert seen["wrong"].image_id == image_id(b"2")
    assert seen["wrong"].instead == CategoryGuess(JUICE, 0.97)
    assert await listed(record) == ["wrong"]
    assert await record.mismatch_counts(["default", "other"]) == {"default": 1}
    assert await record.mismatch_counts(["other"]) == {}


async def test_without_a_head_nothing_is_asked_or_judged(made: Generation, record: Record) -> None:
    await record.write("default", [write("wrong", b"1", category_path=APPLE)])
    embedder = FakeEmbedder(classifications={b"1": WRONG})
    await embedded(made, record, embedder, b"1")

    assert await mismatches(record, "wrong") == {}


@each_engine
async def test_a_mismatch_ends_with_the_category_or_the_photo_it_was_about(
    made: Generation, record: Record
) -> None:
    first = write("p", b"1", category_path=APPLE)
    await record.write("default", [first])
    await embedded(made, record, FakeEmbedder(head=KNOWN, classifications={b"1": WRONG}), b"1")
    assert list(await mismatches(record, "p")) == ["p"]

    await record.write("default", [write("p", b"1", category_path=JUICE)])
    assert (await mismatches(record, "p"), await listed(record)) == ({}, [])
    await record.write("default", [first])
    assert await listed(record) == ["p"]
    await record.write("default", [write("p", b"2", category_path=APPLE)])
    assert (await mismatches(record, "p"), await listed(record)) == ({}, [])
    assert await record.mismatch_counts(["default"]) == {}
    await record.delete("default", ["p"])
    await record.write("default", [first])
    assert await listed(record) == []


async def test_a_later_look_at_a_photo_replaces_the_one_before(
    made: Generation, record: Record
) -> None:
    await record.write("default", [write("p", b"1", category_path=APPLE)])
    await record.judge(made, {image_id(b"1"): WRONG}, KNOWN)
    assert await listed(record) == ["p"]
    newer = replace(made, space_version="v2")
    await record.judge(newer, {image_id(b"1"): RIGHT}, KNOWN)
    assert await listed(record) == []


async def test_a_shared_photo_is_judged_for_each_product(made: Generation, record: Record) -> None:
    await record.write(
        "default",
        [write("apple", b"1", category_path=APPLE), write("juice", b"1", category_path=JUICE)],
    )
    await record.judge(made, {image_id(b"1"): WRONG}, KNOWN)
    assert await listed(record) == ["apple"]
