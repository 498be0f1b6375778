"""The record on real SQLite: the guarantees of a write of products."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.domain.errors import EtagMismatch, ImageNotFound
from retriever.domain.product import ProductFlaw, ProductOrder, Stored
from retriever.record import Record, metadata
from retriever.record.tables import ENGINES_OWN
from servicekit.sql.database import Database
from sightline_rules.filters import Comparison, Money, Operator
from sightline_rules.photos import image_id
from tests.stores import SQLITE, each_engine
from tests.unit.retriever.conftest import Clock, generation, vectors, write
from tests.unit.retriever.record.conftest import A, B, C, put, statements

pytestmark = each_engine


def test_the_migrations_make_the_schema_that_the_code_expects(db: Database) -> None:
    assert db.drift(metadata, ENGINES_OWN) == []


async def test_a_category_of_any_length_is_found_by_its_index(record: Record, db: Database) -> None:
    deep = tuple(letter * 128 for letter in "abcdefgh")
    paths = {
        "a": deep,
        "b": deep[:5],
        "c": (*deep[:5], "x"),
        "d": ("Wine", "Red"),
        "e": ("Winery",),
    }
    await record.create_generation(generation())
    await put(record, *(write(name, A, category_path=path) for name, path in paths.items()))
    await record.save_vectors(generation(), vectors(A))

    async def within(*levels: str) -> set[str]:
        part = Comparison("category", Operator.EQUAL, " > ".join(levels))
        found = await record.matching_rows(generation(), part, part, 10)
        assert found is not None
        return {key[1] for key in found.keys}

    with statements(db) as seen:
        assert await within("Wine") == {"d"}
        assert await within(*deep[:5]) == {"a", "b", "c"}
        assert await within(*deep[:6]) == await within(*deep) == {"a"}
    if db.engine.name != SQLITE:
        return  # its plans go by how much there is
    asked = {each.partition("\ndefault")[0] for each in seen if "substr" in each}
    assert len(asked) == 2
    with db.engine.connect() as connection:
        for sql in asked:
            nothing = ("",) * sql.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", nothing).all()
            assert "USING INDEX products_category (catalog_id=? AND <expr>" in str(plan)


async def test_a_product_comes_back_as_it_was_written(record: Record, clock: Clock) -> None:
    given = write("a", A, B, brand="酒庄", tags=("x", "y"), category_path=("Wine", "Red"))
    await put(record, given)
    product = (await record.get("default", ["a"]))["a"]
    assert product.content == given.content
    assert [image.image_id for image in product.images] == [image_id(A), image_id(B)]
    assert (product.create_time, product.update_time, product.seq) == (clock.now, clock.now, 1)


async def test_each_change_takes_the_next_number_and_a_repetition_none(record: Record) -> None:
    assert await put(record, write("a")) == 1
    assert await put(record, write("a")) == 1
    assert await put(record, write("a", brand="new"), write("b")) == 3
    assert await put(record, write("a"), catalog="other") == 1


async def test_a_change_keeps_the_time_of_creation(record: Record, clock: Clock) -> None:
    await put(record, write("a"))
    created, clock.now = clock.now, clock.now + 5
    await put(record, write("a", brand="new"))
    product = (await record.get("default", ["a"]))["a"]
    assert (product.create_time, product.update_time) == (created, clock.now)


async def test_an_etag_lets_only_its_own_state_be_replaced(record: Record) -> None:
    (first,), _ = await record.write("default", [write("a")])
    assert isinstance(first, Stored)
    (second,), _ = await record.write("default", [replace(write("a", brand="b"), etag=first.etag)])
    assert isinstance(second, Stored)
    (third,), _ = await record.write("default", [replace(write("a", brand="c"), etag=first.etag)])
    assert isinstance(third, EtagMismatch)
    (fourth,), _ = await record.write("default", [replace(write("new"), etag="x")])
    assert isinstance(fourth, EtagMismatch)
    assert set(await record.get("default", ["a", "new"])) == {"a"}


async def test_a_photo_that_is_not_stored_fails_its_product_only(record: Record) -> None:
    named = replace(write("a", A), new_images={})
    outcomes, _ = await record.write("default", [named, write("b", B)])
    assert isinstance(outcomes[0], ImageNotFound)
    assert isinstance(outcomes[1], Stored)
    await put(record, write("c", A))
    outcomes, _ = await record.write("default", [named])
    assert isinstance(outcomes[0], Stored)
    outcomes, _ = await record.write("other", [named])
    assert isinstance(outcomes[0], ImageNotFound)


async def test_without_price_is_not_a_price_of_zero(record: Record) -> None:
    await put(record, write("none", price=None), write("zero", price=Money("EUR", 0)))
    held = await record.get("default", ["none", "zero"])
    assert held["none"].content.price is None
    assert held["zero"].content.price == Money("EUR", 0)


async def test_ids_sort_by_code_point(record: Record) -> None:
    await put(record, *(write(name) for name in ("b", "a", "B", "é", "葡")))
    page = await record.page("default", ProductOrder.PRODUCT_ID, None, 10)
    assert [product.content.product_id for product in page] == ["B", "a", "b", "é", "葡"]


@pytest.mark.parametrize("order", [*ProductOrder])
async def test_products_without_a_photo_are_a_list(record: Record, order: ProductOrder) -> None:
    await put(record, write("a"), write("b", A), write("c"))
    await put(record, write("b"), write("z"), catalog="other")

    async def listed(after: tuple[int, str] | None = None) -> list[str]:
        flaws = [ProductFlaw.WITHOUT_PHOTO]
        page = await record.page("default", order, after, 10, flaws=flaws)
        return [each.content.product_id for each in page]

    assert await listed() == ["a", "c"]
    held = (await record.get("default", ["a"]))["a"]
    assert await listed((held.create_time, "a")) == ["c"]
    await put(record, write("a", A))
    assert await listed() == ["c"]


@pytest.mark.parametrize("catalog", ["default", "other"])
async def test_counts_are_of_one_catalog(record: Record, catalog: str) -> None:
    made = await record.create_generation(generation(catalog_id=catalog))
    await put(record, write("a", A, B), write("b", C), catalog=catalog)
    counts = await record.counts(catalog, made)
    assert (counts.products, counts.images, counts.pending, counts.outbox) == (2, 3, 3, 2)
    nobody = await record.counts("third", None)
    assert (nobody.products, nobody.images, nobody.pending) == (0, 0, 0)


async def test_freshness_is_one_statement(record: Record, db: Database) -> None:
    """Check the number of statements: on PostgreSQL each sees its own snapshot, so with several, a
    photo that is embedded between them would be neither pending nor in the outbox, and its write
    would count as indexed."""
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    with statements(db) as seen:
        assert (await record.freshness(made)).seq == 0
    assert len(seen) == 1


async def test_what_depends_on_a_catalogs_photos_queues_with_its_writers(
    record: Record, db: Database
) -> None:
    """Check the lock: on PostgreSQL a photo written meanwhile would otherwise never get a
    vector."""
    with statements(db) as seen:
        made = await record.create_generation(generation())
    assert "sequences" in seen[0]
    with statements(db) as seen:
        await record.forget(made, [image_id(A)])
    assert "sequences" in seen[0]


async def test_an_id_with_a_nul_is_like_one_that_is_not_there(record: Record, db: Database) -> None:
    """Check a NUL, which PostgreSQL rejects in texts: a caller's id must not cause INTERNAL."""
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    with statements(db) as seen:
        assert await record.get("default", ["a\x00"]) == {}
        assert await record.delete("default", ["a\x00"]) == (0, 1)
        assert await record.generation("default", "visual\x00", "visual-1\x00") is None
        assert await record.image("default", "\x00") is None
        assert await record.product_vectors(made, "a\x00") == []
        assert (await record.product_rows("default", ["a\x00"])).products == []
        assert await record.photo_rows(made, ["a\x00"]) == []
        assert await record.image_ids("default", ["a\x00"]) == {}
        assert await record.first_vectors(made, ["a\x00"]) == {}
    assert not any("\x00" in text for text in seen)
