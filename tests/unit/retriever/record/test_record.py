"""The record on real SQLite: what a write promises, and what the worker is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from retriever.domain.errors import EtagMismatch, ImageNotFound, ProductNotFound
from retriever.domain.generation import GenerationState
from retriever.domain.index_values import Change
from retriever.domain.product import Order, Stored
from retriever.domain.vectors import VectorWrite
from retriever.record import Record, metadata, tables
from retriever.record.tables import ENGINES_OWN
from servicekit.jobs import Jobs
from servicekit.sql import Database
from sightline_rules.filters import Comparison, Money, Operator
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.stores import SQLITE, each_engine
from tests.unit.retriever.conftest import Clock, generation, vectors, write

pytestmark = each_engine

A, B, C = b"photo a", b"photo b", b"photo c"


@contextlib.contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """The statements that the database is given, each with its values."""
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement + "".join(f"\n{value}" for value in values))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)


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


async def put(record: Record, *writes: object, catalog: str = "default") -> int:
    outcomes, seq = await record.write(catalog, list(writes))  # type: ignore[arg-type]
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    return seq


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
    page = await record.page("default", Order.PRODUCT_ID, None, 10)
    assert [product.content.product_id for product in page] == ["B", "a", "b", "é", "葡"]


async def test_the_first_generation_is_active_and_wants_every_photo(record: Record) -> None:
    await put(record, write("a", A, B), write("b", B))
    made = await record.create_generation(generation(active=False))
    assert made.active
    second = await record.create_generation(generation(name="visual-2", space_version="v2"))
    assert not second.active
    due = await record.due(made, 10)
    assert {item.item_id for item in due} == {image_id(A), image_id(B)}
    assert (await record.generation("default", "visual")) == made
    assert await record.generation("other", "visual") is None
    await record.mark(second, state=GenerationState.DROPPED)
    assert [g.name for g in await record.generations("default")] == ["visual-1"]


async def test_making_a_generation_twice_leaves_the_first(record: Record) -> None:
    first = await record.create_generation(generation())
    assert await record.create_generation(generation(dimension=99)) == first


async def test_a_write_is_held_in_full_once_embedded_and_applied(
    record: Record, clock: Clock
) -> None:
    made = await record.create_generation(generation())
    seq = await put(record, write("a", A))
    written, clock.now = clock.now, clock.now + 5
    assert (await record.freshness(made)).seq < seq
    await record.save_vectors(made, vectors(A))
    fresh = await record.freshness(made)
    assert (fresh.pending, fresh.seq < seq, fresh.oldest_open) == (0, True, written)
    changes = await record.changes(made, 10)
    made = await record.advance(made, changes[-1])
    fresh = await record.freshness(made)
    assert fresh.seq == fresh.head >= seq
    assert fresh.oldest_open == 0


async def test_a_photo_that_was_given_up_holds_up_no_write(record: Record) -> None:
    made = await record.create_generation(generation())
    seq = await put(record, write("a", A))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    assert (await record.freshness(made)).seq < seq
    await record.give_up(made, [image_id(A)], "IMAGE_UNDECODABLE")
    assert (await record.freshness(made)).seq == seq
    counts = await record.counts("default", made)
    assert (counts.pending, counts.failed) == (0, 1)
    assert await record.due(made, 10) == []


async def test_an_unchanged_photo_is_not_embedded_again(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    await record.save_vectors(made, vectors(A))
    await put(record, write("a", A, B))
    assert [item.item_id for item in await record.due(made, 10)] == [image_id(B)]


async def test_a_photo_of_two_products_brings_both_into_the_outbox(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A), write("b", A))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    await record.save_vectors(made, vectors(A))
    assert [change.product_id for change in await record.changes(made, 10)] == ["a", "b"]
    rows = await record.rows(made, ["a", "b"])
    assert {row.product_id for row in rows} == {"a", "b"}
    assert len({row.row_id for row in rows}) == 2


async def test_a_commit_of_several_products_is_never_split(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, *(write(f"p{n}", A) for n in range(4)))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    await record.save_vectors(made, vectors(A))
    assert len(await record.changes(made, 2)) == 4


async def test_rows_that_a_write_takes_away_are_told(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A, B))
    await record.save_vectors(made, vectors(A, B))
    before = {row.image_id: row.row_id for row in await record.rows(made, ["a"])}
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    await put(record, write("a", B))
    assert [c.removed for c in await record.changes(made, 10)] == [(before[image_id(A)],)]
    assert await record.delete("default", ["a", "a", "never"]) == (1, 5)
    changes = await record.changes(made, 10)
    assert changes[-1].removed == (before[image_id(B)],)
    assert await record.rows(made, ["a"]) == []


async def test_an_entry_goes_when_every_generation_holds_it(record: Record) -> None:
    first = await record.create_generation(generation())
    second = await record.create_generation(generation(name="visual-2", space_version="v2"))
    await put(record, write("a"))
    change = Change(1, "a", (), 0)
    await record.advance(first, change)
    assert len(await record.changes(second, 10)) == 1
    await record.advance(second, change)
    assert (await record.counts("default", None)).outbox == 0


async def test_expected_rows_carry_the_newer_of_product_and_vector(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    await record.save_vectors(made, vectors(A))
    (row,) = await record.rows(made, ["a"])
    assert await record.expected(made, "0", "g") == {row.row_id: (2, "a")}
    await put(record, write("a", A, brand="new"))
    assert await record.expected(made, "0", "g") == {row.row_id: (3, "a")}
    assert await record.expected(made, "0", row.row_id) == {}


async def test_vectors_for_others_are_told_apart(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A), write("b", B))
    given = [
        VectorWrite(image_id(A), vector_of(A), "a"),
        VectorWrite(image_id(A), vector_of(A), "b"),
        VectorWrite(image_id(A), vector_of(A), "nobody"),
    ]
    outcomes, _ = await record.save_vectors(made, given)
    assert [type(outcome) for outcome in outcomes] == [type(None), ImageNotFound, ProductNotFound]
    assert await record.product_vectors(made, "nobody") == []
    assert await record.product_vectors(made, "b") == []
    (held,) = await record.product_vectors(made, "a")
    assert held.tolist() == vector_of(A).tolist()


async def test_a_postponed_photo_comes_back_later_and_after_others(
    record: Record, clock: Clock
) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A, B))
    await record.postpone(made, [image_id(A)], 5.0, "UNAVAILABLE")
    assert [item.item_id for item in await record.due(made, 10)] == [image_id(B)]
    clock.now += 5_000_000
    due = await record.due(made, 10)
    assert [(item.item_id, item.attempts) for item in due] == [(image_id(B), 0), (image_id(A), 1)]


async def test_photos_of_products_that_are_gone_are_forgotten(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    await record.delete("default", ["a"])
    (item,) = await record.due(made, 10)
    assert not item.used
    await record.forget(made, [item.item_id])
    assert await record.due(made, 10) == []


async def test_a_photo_in_use_is_never_forgotten(record: Record) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    await record.forget(made, [image_id(A)])
    assert len(await record.due(made, 10)) == 1


@pytest.mark.parametrize("catalog", ["default", "other"])
async def test_counts_are_of_one_catalog(record: Record, catalog: str) -> None:
    made = await record.create_generation(generation(catalog_id=catalog))
    await put(record, write("a", A, B), write("b", C), catalog=catalog)
    counts = await record.counts(catalog, made)
    assert (counts.products, counts.images, counts.pending, counts.outbox) == (2, 3, 3, 2)
    nobody = await record.counts("third", None)
    assert (nobody.products, nobody.images, nobody.pending) == (0, 0, 0)


async def test_freshness_is_one_statement(record: Record, db: Database) -> None:
    """On PostgreSQL each statement sees a state of its own: with several, a photo that is embedded
    between them would be neither pending nor in the outbox, and its write would count as held."""
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    with statements(db) as seen:
        assert (await record.freshness(made)).seq == 0
    assert len(seen) == 1


async def test_what_depends_on_a_catalogs_photos_queues_with_its_writers(
    record: Record, db: Database
) -> None:
    """On PostgreSQL a photo that a write brings meanwhile would stay without vector for good."""
    with statements(db) as seen:
        made = await record.create_generation(generation())
    assert "sequences" in seen[0]
    with statements(db) as seen:
        await record.forget(made, [image_id(A)])
    assert "sequences" in seen[0]


async def test_a_photo_given_up_is_tried_again_when_it_comes_again(
    record: Record, clock: Clock
) -> None:
    made = await record.create_generation(generation())
    await put(record, write("a", A), write("b", B))
    await record.give_up(made, [image_id(A), image_id(B)], "IMAGE_DAMAGED")
    by_id = replace(write("b", B, brand="new"), new_images={})
    await put(record, by_id)
    assert await record.due(made, 10) == []
    clock.now += 5
    seq = await put(record, write("a", A))  # the same product, and the photo's bytes with it
    due = await record.due(made, 10)
    assert [(item.item_id, item.attempts) for item in due] == [(image_id(A), 0)]
    made = await record.advance(made, Change(seq, "a", (), clock.now))
    fresh = await record.freshness(made)
    assert (fresh.seq, fresh.pending, fresh.oldest_open) == (seq - 1, 1, clock.now)


async def test_a_photo_that_fails_by_itself_holds_up_no_other_write(record: Record) -> None:
    made = await record.create_generation(generation())
    seq = await put(record, write("bad", A), write("good"))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    await record.postpone(made, [image_id(A)], 1.0, "EMBEDDER_UNAVAILABLE")
    assert (await record.freshness(made)).seq == 0
    await record.postpone(made, [image_id(A)], 1.0, "INTERNAL")
    fresh = await record.freshness(made)
    assert (fresh.seq, fresh.pending, fresh.oldest_open) == (seq, 1, 0)


async def test_an_outage_that_is_one_photos_own_does_not_hold_up_the_others_for_ever(
    record: Record,
) -> None:
    made = await record.create_generation(generation())
    seq = await put(record, write("bad", A), write("good"))
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    for _ in range(10):
        assert (await record.freshness(made)).seq == 0
        await record.postpone(made, [image_id(A)], 1.0, "EMBEDDER_UNAVAILABLE")
    assert (await record.freshness(made)).seq == seq


async def test_an_id_with_a_nul_is_like_one_that_is_not_there(record: Record, db: Database) -> None:
    """PostgreSQL takes no NUL in a text; a caller's id must not become INTERNAL by that."""
    made = await record.create_generation(generation())
    await put(record, write("a", A))
    with statements(db) as seen:
        assert await record.get("default", ["a\x00"]) == {}
        assert await record.delete("default", ["a\x00"]) == (0, 1)
        assert await record.generation("default", "visual\x00", "visual-1\x00") is None
        assert await record.image("default", "\x00") is None
        assert await record.product_vectors(made, "a\x00") == []
        assert await record.product_rows("default", ["a\x00"]) == []
        assert await record.photo_rows(made, ["a\x00"]) == []
        assert await record.image_ids("default", ["a\x00"]) == {}
        assert await record.first_vectors(made, ["a\x00"]) == {}
    assert not any("\x00" in text for text in seen)


async def test_what_waits_for_the_worker_is_told(
    record: Record, db: Database, clock: Clock
) -> None:
    async def waits(*catalogs: str, space: str = "visual") -> str:
        with statements(db) as seen:
            found = await record.waiting(catalogs or ("default",), (space,), ("purge",))
        assert len(seen) == 1
        parts = {"photos": found.photos, "changes": found.changes, "jobs": found.jobs}
        return " ".join(part for part, waiting in parts.items() if waiting)

    assert await waits() == ""
    made = await record.create_generation(generation())
    assert await waits() == "changes"  # a new generation is to be checked
    await record.mark(made, check_wanted=False)
    assert await waits() == ""
    await put(record, write("a", A))
    assert await waits("other", "default") == "photos changes"
    assert await waits("other") == ""
    assert await waits(space="text") == "changes"
    await record.postpone(made, [image_id(A)], 1.0, "INTERNAL")
    made = await record.advance(made, (await record.changes(made, 10))[-1])
    assert await waits() == ""
    clock.now += 1_000_000
    assert await waits() == "photos"
    await record.save_vectors(made, vectors(A))
    assert await waits() == "changes"
    await record.mark(made, state=GenerationState.DROPPED)
    assert await waits() == ""


async def test_a_job_waits_for_the_worker_until_it_is_claimed_and_when_its_claim_ran_out(
    record: Record, db: Database, clock: Clock
) -> None:
    async def waits() -> bool:
        return (await record.waiting(("default",), ("visual",), ("purge",))).jobs

    jobs = Jobs(db, tables.jobs, clock=clock)
    await jobs.create("other", "default", {})
    assert not await waits()
    job = await jobs.create("purge", "default", {})
    assert await waits()
    assert await jobs.claim(("purge",), "worker", 5.0)
    assert not await waits()
    clock.now += 5_000_001
    assert await waits()
    assert await jobs.claim(("purge",), "worker", 5.0)
    await jobs.finish(job.id)
    assert not await waits()
