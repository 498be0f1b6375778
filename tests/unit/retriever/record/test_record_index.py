"""The record on real SQLite: generations, photos to embed, rows of the index, pending work."""

from __future__ import annotations

from dataclasses import replace

from retriever.domain.errors import ImageNotFound, ProductNotFound
from retriever.domain.generation import GenerationState
from retriever.domain.index_values import Change
from retriever.domain.vectors import VectorWrite
from retriever.record import Record, tables
from servicekit.jobs.queue import Jobs
from servicekit.sql.database import Database
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock, generation, vectors, write
from tests.unit.retriever.record.conftest import A, B, put, statements

pytestmark = each_engine


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


async def test_rows_that_a_write_takes_away_are_reported(record: Record) -> None:
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


async def test_vectors_for_others_are_distinguished(record: Record) -> None:
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


async def test_what_waits_for_the_worker_is_reported(
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
    await jobs.create("purge", "default", {})
    assert await waits()
    assert await jobs.claim(("purge",), "worker", 5.0)
    assert not await waits()
    clock.now += 5_000_001
    assert await waits()
    job = await jobs.claim(("purge",), "worker", 5.0)
    assert job is not None
    await jobs.finish(job)
    assert not await waits()
