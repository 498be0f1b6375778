"""Columns follow the record, on either engine: whoever wrote, and whatever was written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from retriever.columns import keeper
from retriever.columns.keeper import COUNT_SECONDS, Columns
from retriever.columns.vectors import Vectors
from retriever.domain.generation import Generation
from retriever.domain.product import Offer, ProductChange, ProductContent
from retriever.domain.vectors import Floats, VectorWrite
from retriever.ports.columns import Changes, PhotoRow, ProductRow
from retriever.record import Record
from servicekit.sql import Database
from servicekit.sql_errors import StoreUnavailable
from sightline_rules.filters import All, Availability, Comparison, Money, Operator
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, vector_of
from tests.stores import address, each_engine
from tests.unit.retriever.conftest import Clock, generation, vectors, write
from tests.waiting import SECONDS

pytestmark = each_engine

A, B, C = b"photo a", b"photo b", b"photo c"
HASH = 0x9234_5678_9ABC_DEF0
CHEAP = Comparison("price", Operator.LESS, Money("EUR", 5))


class Counting(Record):
    """Counts what is read."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self.counted: list[str] = []
        self.read_rows: list[str] = []

    async def written(self, catalog_id: str, after: int | None) -> Changes:
        self.counted.append("all" if after is None else "written")
        return await super().written(catalog_id, after)

    async def product_rows(self, catalog_id: str, product_ids: Sequence[str]) -> list[ProductRow]:
        self.counted.append("product_rows")
        return await super().product_rows(catalog_id, product_ids)

    async def product_count(self, catalog_id: str, most: int) -> int:
        self.counted.append("product_count")
        return await super().product_count(catalog_id, most)

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        self.counted.append("row_count")
        return await super().row_count(generation, most)

    async def row_vectors(
        self, generation: Generation, row_ids: Sequence[str]
    ) -> tuple[list[str], Floats]:
        self.read_rows += row_ids
        return await super().row_vectors(generation, row_ids)

    def took(self) -> list[str]:
        """What was read since this was asked last."""
        counted, self.counted = self.counted, []
        return counted


@pytest.fixture
def counting(db: Database, clock: Clock) -> Counting:
    return Counting(db, clock)


@pytest.fixture
def neighbour(db: Database, record: Record) -> Iterator[Record]:
    """The same record as another process has it."""
    other = Database(address(db), migrations="retriever.record.migrations")
    yield Record(other)
    other.close()


def patient(record: Record, **bounds: Any) -> Columns:
    """Columns whose callers wait until all is read."""
    return Columns(record, patience=None, **bounds)


async def ids(columns: Columns, catalog_id: str = "default") -> set[str]:
    """Of the products that the columns hold."""
    view = await columns.view(catalog_id)
    assert view is not None
    table = view.table
    passing = view.conditions.passing(All(), np.arange(table.size))
    assert passing.tolist() == table.alive[: table.size].tolist()
    return {table.ids[place] for place in np.flatnonzero(passing).tolist()}


async def cheap(columns: Columns) -> set[str]:
    view = await columns.view("default")
    assert view is not None
    passing = view.conditions.passing(CHEAP, np.arange(view.table.size))
    return {view.table.ids[place] for place in np.flatnonzero(passing).tolist()}


async def held(columns: Columns, made: Generation) -> dict[str, list[tuple[str, list[float]]]]:
    """By product, its photos in order and their vectors; checked to be what is compared with."""
    found = await columns.vectors(made)
    assert found is not None
    view, rows = found
    table = view.table
    by_product: dict[str, list[tuple[str, list[float]]]] = {}
    owners = rows.owners.tolist()
    for row, owner in enumerate(owners):
        if owner >= 0:
            assert table.alive[owner]
            assert rows.key(row).product_id == table.ids[owner]
            by_product.setdefault(table.ids[owner], [])
    for product_id in by_product:
        place = table.place(product_id)
        mine = [row for row, owner in enumerate(owners) if owner == place]
        mine.sort(key=lambda row: rows.key(row).position)
        keys = [rows.key(row) for row in mine]
        values = [np.round(vector, 4).tolist() for vector in rows.of(place)]
        by_product[product_id] = list(zip([key.image_id for key in keys], values, strict=True))
        first = rows.first(place)
        assert (first is not None) == (keys[0].position == 0)
        similar = rows.compare(rows.of(place)[:1])
        assert similar[mine[0]] == pytest.approx(1, abs=1e-5)
    assert len(rows) == sum(map(len, by_product.values()))
    return by_product


def of(*photos: bytes) -> list[tuple[str, list[float]]]:
    return [(image_id(data), np.round(vector_of(data), 4).tolist()) for data in photos]


@pytest.fixture
async def made(record: Record) -> Generation:
    found = await record.create_generation(generation())
    await record.write("default", [write("a", A), write("b", B)])
    await record.save_vectors(found, vectors(A, B))
    return found


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
    p, b = view.table.places(["p", "b"]).tolist()
    assert view.table.families()[p] == view.table.families()[b]
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


async def test_a_hash_that_comes_later_is_there(record: Record, neighbour: Record) -> None:
    columns = patient(record)
    unhashed = write("a", A)
    new = {key: replace(image, perceptual_hash=0) for key, image in unhashed.new_images.items()}
    await record.write("default", [replace(unhashed, new_images=new), write("b")])
    await ids(columns)
    await neighbour.save_hashes("default", {image_id(A): HASH})
    view = await columns.view("default")
    assert view is not None
    places = view.table.places(["a", "b"])
    assert view.table.image_hash[places].tolist() == [HASH, 0]


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
    monkeypatch.setattr(keeper, "MOST_GENERATIONS", 2)
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
    # Where commits are not told, it is asked for its newest number.
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


async def test_a_reading_that_fails_is_told_and_tried_again(
    made: Generation, db: Database, clock: Clock
) -> None:
    class Failing(Counting):
        fails = True

        async def written(self, catalog_id: str, after: int | None) -> Changes:
            if self.fails:
                raise StoreUnavailable
            return await super().written(catalog_id, after)

    failing = Failing(db, clock)
    columns = patient(failing)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await columns.vectors(made)
    failing.fails = False
    assert await held(columns, made) == {"a": of(A), "b": of(B)}


async def test_what_was_read_before_is_there_for_the_first_search(
    counting: Counting, made: Generation
) -> None:
    await counting.write("other", [write("a")])
    columns = Columns(counting)
    await columns.warm([made])
    assert len(counting.read_rows) == 2
    counting.read_rows.clear()
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert counting.read_rows == []
    assert counting.took().count("all") == 1


async def test_one_search_that_gives_up_ends_no_other(counting: Counting, made: Generation) -> None:
    columns = patient(counting)
    impatient = asyncio.create_task(columns.vectors(made))
    others = [asyncio.create_task(columns.vectors(made)) for _ in range(4)]
    while not counting.counted:  # noqa: ASYNC110
        await asyncio.sleep(0)
    impatient.cancel()
    assert all(each is not None for each in await asyncio.gather(*others))
    assert await held(columns, made) == {"a": of(A), "b": of(B)}


# Bounds


async def test_a_catalog_that_does_not_fit_is_read_for_each_search(counting: Counting) -> None:
    await counting.write("default", [write(name) for name in "abc"])
    columns = patient(counting, most_products=2)
    assert await columns.view("default") is None
    view = await columns.of("default", ["a", "nobody", "c"])
    assert {view.table.ids[place] for place in range(view.table.size)} == {"a", "c"}
    await counting.offer("default", [Offer("a", Money("EUR", 4), Availability.IN_STOCK)])
    view = await columns.of("default", ["a", "b"])
    assert view.conditions.passing(CHEAP, view.table.places(["a", "b"])).tolist() == [True, False]
    assert "all" not in counting.took()
    await counting.delete("default", ["a"])
    assert await ids(columns) == {"b", "c"}
    await counting.write("default", [write("d")])
    assert await columns.view("default") is None, "it outgrew the bound while it was held"
    view = await columns.of("default", ["d", "a"])
    assert view.table.places(["d", "a"]).tolist() == [0, -1]


async def test_no_products_held_is_a_bound_too(counting: Counting, made: Generation) -> None:
    columns = patient(counting, most_products=0)
    assert await columns.view("default") is None
    assert await columns.vectors(made) is None
    assert (await columns.of("default", ["a"])).table.places(["a", "b"]).tolist() == [0, -1]
    assert counting.took() == ["product_rows"]


async def test_that_a_catalog_does_not_fit_is_not_counted_while_nothing_is_written(
    counting: Counting, db: Database
) -> None:
    await counting.write("default", [write(name) for name in "abc"])
    columns = patient(counting, most_products=2)
    for _ in range(3):
        assert await columns.view("default") is None
    assert len(counting.took()) == (1 if db.version() is not None else 3)


@pytest.mark.parametrize(
    ("bounds", "fits"),
    [
        ({"exact_rows": 2}, True),
        ({"exact_rows": 1}, False),
        ({"exact_rows": 0}, False),
        ({"exact_bytes": 2 * 4 * DIMENSION}, True),
        ({"exact_bytes": 2 * 4 * DIMENSION - 1}, False),
        ({"most_products": 2}, True),
        ({"most_products": 1}, False),
    ],
)
async def test_a_generation_is_held_up_to_its_bounds(
    counting: Counting, made: Generation, bounds: dict[str, int], fits: bool
) -> None:
    columns = patient(counting, **bounds)
    assert (await columns.vectors(made) is not None) == fits
    assert len(counting.read_rows) == (2 if fits else 0)


async def test_a_generation_that_outgrows_its_bound_is_let_go_and_may_come_back(
    counting: Counting, made: Generation
) -> None:
    seconds = Clock(0)
    columns = patient(counting, exact_rows=2, clock=seconds)
    assert await columns.vectors(made) is not None
    await counting.write("default", [write("c", C)])
    assert await columns.vectors(made) is not None, "it has no vector yet"
    await counting.save_vectors(made, vectors(C))
    for _ in range(3):
        assert await columns.vectors(made) is None
    assert await ids(columns) == {"a", "b", "c"}, "filters need no vectors"
    counting.took()
    await counting.delete("default", ["a"])
    await columns.vectors(made)
    assert "row_count" not in counting.took(), "it is not counted for every search"
    seconds.now += int(COUNT_SECONDS) + 1
    assert await held(columns, made) == {"b": of(B), "c": of(C)}


async def test_who_wants_fewer_rows_takes_none_from_the_others(
    counting: Counting, made: Generation
) -> None:
    columns = patient(counting)
    await held(columns, made)
    counting.read_rows.clear()
    assert await columns.vectors(made, 1) is None
    assert await held(columns, made) == {"a": of(A), "b": of(B)}
    assert counting.read_rows == []


async def test_what_is_dead_is_left_behind_and_who_compares_goes_on_with_what_it_has(
    record: Record, made: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LEAST_DEAD", 3)
    monkeypatch.setattr("retriever.columns.vectors.LEAST_DEAD", 3)
    columns = patient(record)
    before = await columns.vectors(made)
    assert before is not None
    view, rows = before
    place = view.table.place("b")
    scores, keys = rows.compare([vector_of(B)]), [rows.key(row) for row in range(2)]
    for number in range(12):
        name = f"p{number}"
        photo = name.encode()
        await record.write("default", [write(name, photo)])
        await record.save_vectors(made, vectors(photo))
        assert await held(columns, made) == {"a": of(A), "b": of(B), name: of(photo)}
        await record.delete("default", [name])
        assert await held(columns, made) == {"a": of(A), "b": of(B)}
    after = await columns.vectors(made)
    assert after is not None
    assert (after[0].table.size, len(after[1].owners)) < (10, 10)
    assert isinstance(after[1], Vectors)
    assert view.table.ids[place] == "b"
    assert [rows.key(row) for row in range(2)] == keys
    again = rows.compare([vector_of(B)])[:2].tolist()
    assert again == pytest.approx(scores.tolist(), abs=1e-6)


async def test_a_write_between_two_readings_is_taken_in_by_the_next(
    record: Record, made: Generation, db: Database, clock: Clock
) -> None:
    """Rows of a product that the columns do not know yet, as it was written meanwhile."""

    class Interrupted(Record):
        again = True

        async def photo_rows(
            self, generation: Generation, product_ids: Sequence[str] | None
        ) -> list[PhotoRow]:
            if self.again:
                self.again = False
                await record.write("default", [write("late", C), write("a", C)])
                await record.save_vectors(made, vectors(C))
                await record.delete("default", ["b"])
            return await super().photo_rows(generation, product_ids)

    interrupted = Interrupted(db, clock)
    columns = patient(interrupted)
    await columns.vectors(made)
    assert await held(columns, made) == {"a": of(C), "late": of(C)}
    interrupted.again = True
    await record.write("default", [write("b", B)])
    await columns.vectors(made)
    assert await held(columns, made) == {"a": of(C), "late": of(C)}
