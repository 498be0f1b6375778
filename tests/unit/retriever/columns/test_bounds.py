"""Memory stays within its bounds, on either engine."""

from __future__ import annotations

import pytest

from retriever.columns import column_cache
from retriever.columns.column_cache import COUNT_SECONDS
from retriever.columns.vectors import Vectors
from retriever.domain.generation import Generation
from retriever.domain.product import Offer
from retriever.record import Record
from sightline_rules.filters import Availability, Money
from tests.fakes.index import DIMENSION, vector_of
from tests.stores import each_engine
from tests.unit.retriever.columns.conftest import CHEAP, A, B, C, Counting, held, ids, of, patient
from tests.unit.retriever.conftest import Clock, vectors, write

pytestmark = each_engine


async def test_a_catalog_that_does_not_fit_is_read_for_each_search(counting: Counting) -> None:
    await counting.write("default", [write(name) for name in "abc"])
    now = [0.0]
    columns = patient(counting, most_products=2, clock=lambda: now[0])
    assert await columns.view("default") is None
    view = await columns.of("default", ["a", "nobody", "c"])
    assert set(view.table.ids) == {"a", "c"}
    await counting.offer("default", [Offer("a", Money("EUR", 4), Availability.IN_STOCK)])
    view = await columns.of("default", ["a", "b"])
    passing = await view.conditions.passing(CHEAP, view.table.places(["a", "b"]))
    assert passing.tolist() == [True, False]
    assert "all" not in counting.took()
    await counting.delete("default", ["a"])
    assert await columns.view("default") is None
    now[0] += COUNT_SECONDS
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


async def test_a_catalog_that_does_not_fit_is_counted_once_in_a_while(counting: Counting) -> None:
    await counting.write("default", [write(name) for name in "abc"])
    now = [0.0]
    columns = patient(counting, most_products=2, clock=lambda: now[0])
    for name in "abc":
        assert await columns.view("default") is None
        await counting.write("default", [write(name, title="a write between two searches")])
    assert len(counting.took()) == 1
    now[0] += COUNT_SECONDS
    assert await columns.view("default") is None
    assert len(counting.took()) == 1


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


@pytest.mark.full
async def test_what_is_dead_is_left_behind_and_who_compares_goes_on_with_what_it_has(
    record: Record, made: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_cache, "LEAST_DEAD", 3)
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
    assert (len(after[0].table.ids), len(after[1].owners)) < (10, 10)
    assert isinstance(after[1], Vectors)
    assert view.table.ids[place] == "b"
    assert [rows.key(row) for row in range(2)] == keys
    again = rows.compare([vector_of(B)])[:2].tolist()
    assert again == pytest.approx(scores.tolist(), abs=1e-6)
