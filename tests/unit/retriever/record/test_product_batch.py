"""Writes of one transaction: each sees those before it, and all together take few statements."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.domain.errors import EtagMismatch, ImageNotFound, ProductInvalid
from retriever.domain.imports import ImportMode, ImportRow
from retriever.domain.product import ProductChange, ProductWrite, Stored
from retriever.domain.vectors import VectorWrite
from retriever.record import Record, metadata
from servicekit.errors import ServiceError
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.stores import NewStore, each_engine
from tests.unit.retriever.conftest import Clock, generation, record_at, vectors, write
from tests.unit.retriever.record.conftest import statements

pytestmark = each_engine

A, B, C = b"photo a", b"photo b", b"photo c"


async def wrote(record: Record, *writes: ProductWrite) -> list[type]:
    outcomes, _ = await record.write("default", writes)
    return [type(outcome) for outcome in outcomes]


def named(given: ProductWrite) -> ProductWrite:
    """Return the same write with its photos named only by their ids."""
    return replace(given, new_images={})


def change(product_id: str, etag: str = "", **content: object) -> ProductChange:
    given = write(product_id, **content)
    return ProductChange(given.content, frozenset(content), {}, etag)


# Each sees those before it


async def test_a_parent_may_come_earlier_in_the_batch(record: Record) -> None:
    given = [write("shirt"), write("small", parent_id="shirt"), write("tiny", parent_id="small")]
    assert await wrote(record, *given) == [Stored, Stored, ProductInvalid]


async def test_a_product_that_got_a_variant_in_the_batch_can_be_none(record: Record) -> None:
    given = [write("small", parent_id="shirt"), write("shirt", parent_id="clothes")]
    assert await wrote(record, *given) == [Stored, ProductInvalid]


async def test_a_product_that_lost_its_variants_in_the_batch_can_be_one(record: Record) -> None:
    both = [write(name, parent_id="shirt") for name in ("small", "large")]
    assert await wrote(record, *both) == [Stored, Stored]
    shirt = write("shirt", parent_id="clothes")
    assert await wrote(record, write("small"), shirt) == [Stored, ProductInvalid]
    assert await wrote(record, write("large"), shirt) == [Stored, Stored]


async def test_a_photo_may_come_with_an_earlier_product_if_that_is_stored(record: Record) -> None:
    refused = replace(write("x", A), etag="stale")
    given = [named(write("a", A)), refused, named(write("a", A)), write("b", A, B)]
    kinds = await wrote(record, *given, named(write("a", A)), write("c", A))
    assert kinds == [ImageNotFound, EtagMismatch, ImageNotFound, Stored, Stored, Stored]
    image = await record.image("default", image_id(A))
    assert image is not None
    assert (await record.get("default", ["a"]))["a"].images == (image,)


async def test_a_product_twice_in_a_batch_is_the_second_with_both_in_the_outbox(
    record: Record, clock: Clock
) -> None:
    made = await record.create_generation(generation())
    await wrote(record, write("a", A, B))
    created, clock.now = clock.now, clock.now + 5
    first, second = write("a", B), write("a", C, brand="b")
    outcomes, seq = await record.write("default", [first, second])
    assert seq == 3
    product = (await record.get("default", ["a"]))["a"]
    assert product.content == second.content
    assert (product.create_time, product.update_time, product.seq) == (created, clock.now, 3)
    assert isinstance(outcomes[1], Stored)
    assert product.etag == outcomes[1].etag
    lost = [change.removed for change in await record.changes(made, 10)]
    assert [len(rows) for rows in lost] == [0, 1, 1]
    assert lost[1] != lost[2]


async def test_an_etag_of_the_batch_itself_counts(record: Record) -> None:
    (first,), _ = await record.write("other", [write("a", brand="b")])
    assert isinstance(first, Stored)
    second, third = (replace(write("a", brand=brand), etag=first.etag) for brand in "cd")
    assert await wrote(record, write("a", brand="b"), second, third) == [
        Stored,
        Stored,
        EtagMismatch,
    ]


async def test_a_write_with_an_etag_that_is_sent_again_succeeds_and_takes_no_number(
    record: Record,
) -> None:
    (first,), _ = await record.write("default", [write("a", brand="b")])
    assert isinstance(first, Stored)
    whole = replace(write("a", brand="c"), etag=first.etag)
    ((stored,), seq) = await record.write("default", [whole])
    assert await record.write("default", [whole]) == ([stored], seq)
    part = change("a", etag=first.etag, brand="c")
    assert await record.change("default", [part]) == ([stored], seq)
    other = change("a", etag=first.etag, brand="d")
    (refused,), _ = await record.change("default", [other])
    assert isinstance(refused, EtagMismatch)


async def test_a_product_changed_twice_in_a_batch_has_both_changes(record: Record) -> None:
    await wrote(record, write("a", A, brand="old", tags=("x",)))
    first, second = change("a", brand="new"), change("a", tags=("y",))
    outcomes, seq = await record.change("default", [first, second, change("a", brand="new")])
    assert [type(outcome) for outcome in outcomes] == [Stored] * 3
    assert seq == 3
    content = (await record.get("default", ["a"]))["a"].content
    assert content == write("a", A, brand="new", tags=("y",)).content


async def test_a_photo_of_two_products_of_a_batch_waits_once_from_the_first_on(
    record: Record,
) -> None:
    made = await record.create_generation(generation())
    await wrote(record, write("a"), write("b", A), write("c", A))
    assert [item.item_id for item in await record.due(made, 10)] == [image_id(A)]
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    assert (await record.freshness(made)).seq == 1


async def test_a_photo_given_up_that_comes_with_two_products_is_tried_again_once(
    record: Record, clock: Clock
) -> None:
    made = await record.create_generation(generation())
    both = [write("a", A), write("b", A)]
    await wrote(record, *both)
    await record.give_up(made, [image_id(A)], "IMAGE_DAMAGED")
    clock.now += 5
    _, seq = await record.write("default", both)
    assert seq == 3
    assert [(item.item_id, item.attempts) for item in await record.due(made, 10)] == [
        (image_id(A), 0)
    ]


async def test_a_photos_vector_twice_in_a_batch_is_the_second(record: Record) -> None:
    made = await record.create_generation(generation())
    await wrote(record, write("a", A), write("b", A))
    twice = [VectorWrite(image_id(A), vector_of(data)) for data in (B, C)]
    outcomes, seq = await record.save_vectors(made, twice)
    assert (outcomes, seq) == ([None, None], 4)
    (held,) = await record.product_vectors(made, "a")
    assert held.tolist() == vector_of(C).tolist()
    entries = [(change.seq, change.product_id) for change in await record.changes(made, 10)]
    assert entries[2:] == [(3, "a"), (3, "b"), (4, "a"), (4, "b")]
    assert {row.seq for row in await record.rows(made, ["a", "b"])} == {4}


# All at once is one by one

NAMES = ("a", "b", "c", "d")
PHOTOS = (A, B, C)


def _some(chance: random.Random) -> ProductWrite:
    name, parent = chance.choice(NAMES), chance.choice((*NAMES, "", "", ""))
    photos = chance.sample(PHOTOS, chance.randrange(3))
    given = write(name, *photos, parent_id=parent, brand=chance.choice("xy"))
    return named(given) if chance.random() < 0.3 else given


def reported(outcomes: Sequence[Stored | ServiceError]) -> list[object]:
    return [item if isinstance(item, Stored) else item.reason for item in outcomes]


def held(db: Database) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables, except `touched`, because a transaction's commits have one
    time, and the numbers of keywords, which only name rows."""
    with db.engine.connect() as connection:
        return {
            table.name: [
                {name: value for name, value in row.items() if name not in ("touched", "number")}
                for row in connection.execute(sa.select(table).order_by(*_order(table))).mappings()
            ]
            for table in metadata.sorted_tables
        }


def _order(table: sa.Table) -> list[sa.Column[Any]]:
    named = table is metadata.tables["keywords"]
    return [table.c.catalog_id, table.c.product_id] if named else [*table.primary_key]


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_a_batch_leaves_what_its_writes_leave_one_by_one(
    db: Database, record: Record, clock: Clock, new_store: NewStore, seed: int
) -> None:
    chance = random.Random(seed)
    other = record_at(new_store, "other.db")
    singly = Record(other, clock)
    for one in (record, singly):
        made = await one.create_generation(generation())
        await one.create_generation(generation(name="visual-2", space_version="v2"))
    for _ in range(6):
        clock.now += 1
        writes = [_some(chance) for _ in range(8)]
        outcomes, seq = await record.write("default", writes)
        each = [(await singly.write("default", [item]))[0][0] for item in writes]
        assert reported(outcomes) == reported(each)
        data = chance.choice(PHOTOS)
        for one in (record, singly):
            await one.give_up(made, [image_id(data)], "IMAGE_DAMAGED")
            await one.save_vectors(made, vectors(*PHOTOS[seed % 3 :][:1]))
        assert held(db) == held(other)
    assert seq
    other.close()


async def test_a_batch_is_a_fixed_number_of_statements(record: Record, db: Database) -> None:
    made = await record.create_generation(generation())
    await record.open_import("default", "i", ImportMode.FULL, 60)
    counts: list[tuple[int, int]] = []
    number = 0
    for size in (2, 100):
        photos = [b"%d" % (number + n) for n in range(size)]
        rows = [
            ImportRow(number + n + 1, f"p{number + n}", write(f"p{number + n}", data))
            for n, data in enumerate(photos)
        ]
        number += size
        with statements(db) as imported:
            await record.import_rows("default", "i", rows)
        with statements(db) as embedded:
            await record.save_vectors(made, vectors(*photos))
        counts.append((len(imported), len(embedded)))
    assert counts[0] == counts[1]
