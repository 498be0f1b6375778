"""Columns follow the record, on either engine, after writes of other processes and failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from retriever.columns import column_cache
from retriever.columns.column_cache import Columns
from retriever.domain.column_rows import Changes, PhotoRow
from retriever.domain.generation import Generation
from retriever.domain.product import Offer, ProductChange, ProductContent
from retriever.domain.vectors import VectorWrite
from retriever.domain.words import Words
from retriever.record import Record
from servicekit.sql.database import Database
from servicekit.sql.errors import StoreUnavailable
from sightline_rules.filters import Availability, Money
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.freed import freed
from tests.stores import each_engine
from tests.unit.retriever.columns.conftest import (
    A,
    B,
    C,
    Counting,
    cheap,
    held,
    ids,
    of,
    patient,
)
from tests.unit.retriever.conftest import Clock, generation, vectors, write
from tests.waiting import SECONDS

pytestmark = each_engine


async def test_columns_follow_what_another_process_writes(
    record: Record, neighbour: Record
) -> None:
    columns = patient(record)
    assert await ids(columns) == set()
    await neighbour.write("default", [write("a"), write("b", parent_id="p"), write("p")])
    assert await ids(columns) == {"a", "b", "p"}
    assert await cheap(columns) == set()
    await neighbour.offer("default", [Offer("a", Money("EUR", 4), Availability.OUT_OF_STOCK)])
    assert await cheap(columns) == {"a"}
    change = ProductChange(
        ProductContent("b", "", price=Money("EUR", 3), brand="B"), frozenset({"price"}), {}
    )
    await neighbour.change("default", [change])
    assert await cheap(columns) == {"a", "b"}
    view = await columns.view("default")
    assert view is not None
    parent, variant = view.table.families(view.table.places(["p", "b"])).tolist()
    assert parent == variant
    await neighbour.delete("default", ["a", "p"])
    assert await ids(columns) == {"b"}
    await neighbour.write("default", [write("a", price=Money("EUR", 1))])
    assert await ids(columns) == {"a", "b"}
    assert await cheap(columns) == {"a", "b"}


async def test_catalogs_are_apart(record: Record) -> None:
    columns = patient(record)
    await record.write("default", [write("a")])
    await record.write("other", [write("a", brand="x"), write("b")])
    assert await ids(columns) == {"a"}
    assert await ids(columns, "other") == {"a", "b"}
    await record.delete("other", ["a"])
    assert (await ids(columns), await ids(columns, "other")) == ({"a"}, {"b"})


async def test_vectors_follow_what_another_process_writes(
    record: Record, neighbour: Record, made: Generation
) -> None:
    columns = patient(record)
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    await neighbour.write("default", [write("c", C, A), write("bare")])
    assert await held(columns, made) == {"a": of(A), "b": of(B), "c": of(A)}
    await neighbour.save_vectors(made, vectors(C))
    assert await held(columns, made) == {"a": of(A), "b": of(B), "c": of(C, A)}
    await neighbour.write("default", [write("c", A, C)])  # in another order
    assert await held(columns, made) == {"a": of(A), "b": of(B), "c": of(A, C)}
    await neighbour.save_vectors(made, [VectorWrite(image_id(A), vector_of(b"new"))])
    new = [(image_id(A), of(b"new")[0][1])]
    assert await held(columns, made) == {"a": new, "b": of(B), "c": [*new, *of(C)]}
    await neighbour.write("default", [write("a", B)])
    assert await held(columns, made) == {"a": of(B), "b": of(B), "c": [*new, *of(C)]}
    await neighbour.delete("default", ["b", "c"])
    assert await held(columns, made) == {"a": of(B)}
    await neighbour.write("default", [write("b", B), write("a")])
    assert await held(columns, made) == {"b": of(B)}


async def test_what_a_vector_of_a_product_itself_becomes(record: Record, neighbour: Record) -> None:
    made = await record.create_generation(
        generation(name="given", space="collaborative", of_products=True, active=False)
    )
    columns = patient(record)
    await record.write("default", [write("a", A), write("b")])
    assert await held(columns, made) == {}
    await neighbour.save_vectors(made, [VectorWrite("", vector_of(A), "a")])
    assert await held(columns, made) == {"a": [("", of(A)[0][1])]}
    await neighbour.save_vectors(made, [VectorWrite("", vector_of(B), "a")])
    assert await held(columns, made) == {"a": [("", of(B)[0][1])]}
    await neighbour.offer("default", [Offer("a", Money("EUR", 4), Availability.IN_STOCK)])
    assert await held(columns, made) == {"a": [("", of(B)[0][1])]}


async def test_generations_are_held_side_by_side_and_the_longest_unused_goes(
    record: Record, made: Generation, monkeypatch: pytest.MonkeyPatch, counting: Counting
) -> None:
    monkeypatch.setattr(column_cache, "MOST_GENERATIONS", 2)
    others = []
    for number in (2, 3):
        name = f"visual-{number}"
        other = await record.create_generation(
            generation(name=name, space_version=name, collection=f"c{number}")
        )
        await record.save_vectors(other, vectors(B))
        others.append(other)
    columns = patient(counting)
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert await held(columns, others[0]) == {"b": of(B)}
    counting.read_rows.clear()
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert await held(columns, others[0]) == {"b": of(B)}
    assert counting.read_rows == []
    await held(columns, made)
    await held(columns, others[1])
    counting.read_rows.clear()
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert counting.read_rows == []
    assert await held(columns, others[0]) == {"b": of(B)}
    assert len(counting.read_rows) == 1


async def test_only_vectors_that_changed_are_read_again(
    counting: Counting, made: Generation
) -> None:
    columns = patient(counting)
    await held(columns, made)
    assert len(counting.read_rows) == 2
    counting.read_rows.clear()
    await counting.offer("default", [Offer("a", Money("EUR", 4), Availability.IN_STOCK)])
    await counting.write("default", [write("b", B, brand="new")])
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert counting.read_rows == []
    await counting.write("default", [write("b", B, C)])
    await counting.save_vectors(made, vectors(C))
    assert await held(columns, made) == {"a": of(A), "b": of(B, C)}
    assert len(counting.read_rows) == 1


async def test_a_quiet_record_is_read_once(
    counting: Counting, made: Generation, db: Database
) -> None:
    columns = patient(counting)
    await held(columns, made)
    counting.took()
    for _ in range(3):
        await held(columns, made)
        await ids(columns)
    # Where commits are not reported, it is asked for its newest number.
    quiet = db.version() is not None
    assert set(counting.took()) == (set() if quiet else {"written"})
    assert counting.read_rows
    counting.read_rows.clear()
    await held(columns, made)
    assert counting.read_rows == []


async def test_searches_at_once_read_once(counting: Counting, made: Generation) -> None:
    columns = patient(counting)
    found = await asyncio.gather(*(columns.vectors(made) for _ in range(8)))
    assert len({id(rows) for each in found if each is not None for rows in each}) == 2
    assert counting.counted.count("all") == 1
    assert len(counting.read_rows) == 2


async def test_a_search_reads_once_however_much_is_written_meanwhile(
    record: Record, made: Generation, db: Database, clock: Clock
) -> None:
    class Busy(Counting):
        async def written(self, catalog_id: str, after: int | None) -> Changes:
            found = await super().written(catalog_id, after)
            await record.write("default", [write("a", A, brand=f"b{len(self.counted)}")])
            return found

    busy = Busy(db, clock)
    columns = patient(busy)
    async with asyncio.timeout(SECONDS):
        assert await columns.view("default") is not None
        assert busy.took() == ["product_count", "all"]
        assert await columns.view("default") is not None
    assert busy.took() == ["written"]


async def test_who_has_no_patience_gets_none_and_the_reading_goes_on(
    made: Generation, db: Database, clock: Clock
) -> None:
    go = asyncio.Event()

    class Slow(Counting):
        async def written(self, catalog_id: str, after: int | None) -> Changes:
            await go.wait()
            return await super().written(catalog_id, after)

    slow = Slow(db, clock)
    columns = Columns(slow, patience=0.01)
    assert await columns.view("default") is None
    assert await columns.vectors(made) is None
    view = await columns.of("default", ["a", "nobody"])
    assert view.table.places(["a", "b"]).tolist() == [0, -1]
    go.set()
    async with asyncio.timeout(SECONDS):
        while await columns.vectors(made) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert slow.counted.count("all") == 1
    assert len(slow.read_rows) == 2


async def test_a_reading_that_fails_is_reported_and_tried_again(
    made: Generation, db: Database, clock: Clock
) -> None:
    class Failing(Counting):
        fails = True
        reads: Callable[[], object] = object

        async def written(self, catalog_id: str, after: int | None) -> Changes:
            _read = self.reads()
            if self.fails:
                raise StoreUnavailable
            return await super().written(catalog_id, after)

    failing = Failing(db, clock)
    columns = patient(failing)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await columns.vectors(made)
    with freed() as hold:
        failing.reads = hold
        with suppress(StoreUnavailable):
            await columns.vectors(made)
        await asyncio.sleep(0)
    failing.fails = False
    assert await held(columns, made) == {"a": of(A), "b": of(B)}


async def test_what_was_read_before_is_there_for_the_first_search(
    counting: Counting, made: Generation
) -> None:
    await counting.write("other", [write("a")])
    columns = Columns(counting)
    await columns.warm("default", [made])
    assert len(counting.read_rows) == 2
    counting.read_rows.clear()
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert counting.read_rows == []
    assert await columns.words("default") is not None
    took = counting.took()
    assert (took.count("all"), took.count("words")) == (1, 1)


async def test_one_search_that_gives_up_ends_no_other(counting: Counting, made: Generation) -> None:
    columns = patient(counting)
    impatient = asyncio.create_task(columns.vectors(made))
    others = [asyncio.create_task(columns.vectors(made)) for _ in range(4)]
    while not counting.counted:  # noqa: ASYNC110
        await asyncio.sleep(0)
    impatient.cancel()
    assert all(each is not None for each in await asyncio.gather(*others))
    assert await held(columns, made) == {"a": of(A), "b": of(B)}


async def test_a_write_between_two_readings_is_taken_in_by_the_next(
    record: Record, made: Generation, db: Database, clock: Clock
) -> None:
    """Read rows of a product that the columns do not have yet, as it was written meanwhile."""

    class Interrupted(Record):
        again = True

        async def photo_rows(
            self, generation: Generation, product_ids: Sequence[str] | None
        ) -> list[PhotoRow]:
            await self._write()
            return await super().photo_rows(generation, product_ids)

        async def photo_rows_since(
            self, generation: Generation, after: int
        ) -> tuple[list[str], list[PhotoRow]]:
            await self._write()
            return await super().photo_rows_since(generation, after)

        async def _write(self) -> None:
            if self.again:
                self.again = False
                await record.write("default", [write("late", C), write("a", C)])
                await record.save_vectors(made, vectors(C))
                await record.delete("default", ["b"])

    interrupted = Interrupted(db, clock)
    columns = patient(interrupted)
    await columns.vectors(made)
    assert await held(columns, made) == {"a": of(C), "late": of(C)}
    interrupted.again = True
    await record.write("default", [write("b", B)])
    await columns.vectors(made)
    assert not interrupted.again
    assert await held(columns, made) == {"a": of(C), "late": of(C)}


async def test_what_is_in_memory_is_kept_up_to_date_without_a_search(
    counting: Counting, neighbour: Record, made: Generation
) -> None:
    columns = patient(counting)
    await columns.vectors(made)
    await columns.words("default")
    await neighbour.write("default", [write("later", A)])
    await columns.keep_up({"default"})
    counting.counted.clear()
    view = await columns.view("default")
    assert view is not None
    assert view.table.place("later") >= 0
    await columns.vectors(made)
    await columns.words("default")
    assert {*counting.counted} <= {"written"}, "PostgreSQL is asked whether anything was written"


async def test_words_are_read_beside_searches_that_need_none(db: Database, clock: Clock) -> None:
    class Slow(Record):
        gate, entered = asyncio.Event(), asyncio.Event()

        async def words(
            self, catalog_id: str, product_ids: Sequence[str] | None
        ) -> list[tuple[str, Words]]:
            self.entered.set()
            await self.gate.wait()
            return await super().words(catalog_id, product_ids)

    record = Slow(db, clock)
    await record.write("default", [write("a", A), write("gone", B)])
    columns = patient(record)
    reading = asyncio.create_task(columns.words("default"))
    await asyncio.wait_for(record.entered.wait(), SECONDS)
    await record.delete("default", ["gone"])
    await record.write("default", [write("late", A)])
    assert await ids(columns) == {"a", "late"}
    record.gate.set()
    await reading
    held = await columns.words("default")
    assert held is not None
    assert len(held[1]) == 2
