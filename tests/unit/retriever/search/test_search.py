"""Searches on a real record and an engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from retriever.columns.column_cache import Columns
from retriever.domain.errors import (
    GenerationNotFound,
    IndexTokenInvalid,
    IndexUnavailable,
    ProductNotFound,
    SpaceUnavailable,
    StageDeadline,
    VectorInvalid,
    VersionMismatch,
)
from retriever.domain.generation import Generation
from retriever.domain.product import Product
from retriever.domain.vectors import GivenVector, check_vector
from retriever.record import Record
from retriever.search import search, stats
from retriever.search.freshness import read_index_token, write_index_token
from retriever.search.query import SearchQuery
from servicekit.errors import DeadlineExceeded
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.filters import Comparison, Money, Operator
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, VERSION, FakeIndex, vector_of
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.rows import searcher
from tests.unit.retriever.search.conftest import follow, forever, given, names, near, stock


async def test_the_nearest_product_comes_first(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"], "b": [b"2"], "c": [b"3"]})
    answer = await search.search(near(b"2"), searcher(record, index), forever)
    found = answer.candidates
    assert found.product_ids[0] == "b"
    assert found.similarities[0] == pytest.approx(1.0)
    assert found.image_ids[0] == image_id(b"2")
    assert list(found.similarities) == sorted(found.similarities, reverse=True)
    assert answer.plan == "flat, 1 round, 3 rows"


async def test_rounds_go_on_until_there_are_enough_products(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    crowd = [b"crowd %d" % n for n in range(20)]
    stocked = {f"p{n}": [b"photo %d" % n] for n in range(30)}
    # Twenty photos of "crowd" stand before every other product.
    await record.write("default", [write("crowd", *crowd)])
    same = [replace(item, vector=vector_of(b"query")) for item in vectors(*crowd)]
    await record.save_vectors(made, same)
    await stock(made, record, index, stocked)
    query = near(b"query", top_k=26)
    assert len(await names(query, record, index)) == 26
    assert len(index.limits) == 1
    index.limits.clear()
    everything = await names(near(b"query", top_k=31), record, index)
    assert (len(everything), everything[0]) == (31, "crowd")


async def test_a_search_ends_when_the_engine_has_no_more(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"]})
    assert await names(near(b"1", top_k=1000), record, index) == ["a"]
    assert len(index.limits) == 1


async def test_what_fails_the_filter_on_the_record_makes_room_for_more(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    stocked = {f"p{n:03}": [b"photo %d" % n] for n in range(120)}
    await stock(made, record, index, stocked)
    # The index still thinks that all cost 5.
    await record.write(
        "default",
        [write(f"p{n:03}", b"photo %d" % n, price=Money("EUR", 99)) for n in range(110)],
    )
    cheap = Comparison("price", Operator.LESS, Money("EUR", 10))
    found = await names(near(b"x", top_k=10, condition=cheap), record, index)
    assert sorted(found) == [f"p{n:03}" for n in range(110, 120)]
    assert index.limits == [50, 200]


async def test_no_product_is_decoded_and_photos_are_read_of_those_that_pass(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {f"p{n}": [b"%d" % n] for n in range(9)})
    asked: list[set[str]] = []

    class Counting(Record):
        async def get(self, catalog_id: str, product_ids: Sequence[str]) -> dict[str, Product]:
            raise AssertionError("columns hold what a search needs")

        async def image_ids(
            self, catalog_id: str, product_ids: Sequence[str]
        ) -> dict[str, frozenset[str]]:
            asked.append(set(product_ids))
            return await super().image_ids(catalog_id, product_ids)

    counting = Counting(record._db)
    everything = {f"p{n}" for n in range(9)}
    assert len(await names(near(b"0", top_k=3), counting, index)) == 3
    assert asked[0] <= everything
    dear = Comparison("price", Operator.GREATER, Money("EUR", 5))
    for name in ("p1", "p2"):
        await record.write("default", [write(name, name[1:].encode(), price=Money("EUR", 9))])
    asked.clear()
    found = await names(near(b"0", top_k=3, condition=dear), counting, index)
    assert found == []  # the index knows the old prices, the record is asked about no hit
    assert asked == []
    cheap = Comparison("price", Operator.LESS, Money("EUR", 6))
    found = await names(near(b"1", top_k=3, condition=cheap, excluded=("p3",)), counting, index)
    assert len(found) == 3
    assert not {"p1", "p2", "p3"} & set(found)
    assert asked
    assert set().union(*asked) <= everything - {"p1", "p2", "p3"}


async def test_a_photo_that_the_product_has_no_more_does_not_speak_for_it(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1", b"2"], "b": [b"3"]})
    await record.write("default", [write("a", b"2")])
    await record.delete("default", ["b"])
    answer = await search.search(near(b"1"), searcher(record, index), forever)
    assert answer.candidates.image_ids == [image_id(b"2")]


async def test_a_product_without_vectors_finds_nothing(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"]})
    await record.write("default", [write("bare")])
    assert await names(SearchQuery("default", product_id="bare"), record, index) == []


async def test_left_out_products_take_no_place(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1", b"2"], "b": [b"3"], "c": [b"4"]})
    query = SearchQuery("default", product_id="a", top_k=1, excluded=("b",))
    assert await names(query, record, index) == ["c"]
    itself = replace(query, include_query_product=True)
    assert await names(itself, record, index) == ["a"]


async def test_a_released_collection_is_loaded_and_its_check_asked_for(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"]})
    await record.mark(made, check_wanted=False)
    index.restart()
    assert await names(near(b"1"), record, index) == ["a"]
    found = await record.generation("default", "visual")
    assert found is not None
    assert found.check_wanted


async def test_a_collection_that_is_gone_is_unavailable_and_its_check_asked_for(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await record.mark(made, check_wanted=False)
    index.rows.clear()
    with pytest.raises(IndexUnavailable):
        await names(near(b"1"), record, index)
    found = await record.generation("default", "visual")
    assert found is not None
    assert found.check_wanted


async def test_every_wrong_question_is_distinguished(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    for query, error in (
        (SearchQuery("default"), RequestInvalid),
        (near(b"1", product_id="a"), RequestInvalid),
        (near(b"1", top_k=0), RequestInvalid),
        (near(b"1", top_k=1_001), RequestInvalid),
        (near(b"1", excluded=("x",) * 1_001), RequestInvalid),
        (SearchQuery("default", product_id="nobody"), ProductNotFound),
        (SearchQuery("default", product_id="a", space="text"), SpaceUnavailable),
        (SearchQuery("other", product_id="a"), SpaceUnavailable),
        (near(b"1", generation="nobody"), GenerationNotFound),
        (near(b"1", vector=given(b"1", space_version="v0")), VersionMismatch),
        (near(b"1", vector=given(b"1", dimension=3)), VectorInvalid),
        (near(b"1", min_index_token="?"), IndexTokenInvalid),
        (near(b"1", min_index_token=write_index_token("default", 10**9)), IndexTokenInvalid),
        (near(b"1", min_index_token=write_index_token("other", 0)), IndexTokenInvalid),
    ):
        with pytest.raises(error):
            await names(query, record, index)


@pytest.mark.parametrize(
    "values",
    [
        [np.nan] * DIMENSION,
        [np.inf] + [0.0] * (DIMENSION - 1),
        [0.0] * DIMENSION,
        [1e-30] * DIMENSION,
        [1e30] * DIMENSION,
        [1.0] * (DIMENSION - 1),
    ],
)
def test_a_vector_that_can_not_be_compared_is_refused(values: list[float]) -> None:
    data = np.asarray(values, dtype="<f4").tobytes()
    with pytest.raises(VectorInvalid):
        check_vector(GivenVector("visual", VERSION, DIMENSION, data), DIMENSION, "vector")


async def test_a_search_waits_for_the_write_it_is_to_see(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    _, seq = await record.write("default", [write("a", b"1")])
    query = near(b"1", min_index_token=write_index_token("default", seq))
    waiting = asyncio.create_task(names(query, record, index))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await follow(made, record, index, b"1")
    assert await waiting == ["a"]


async def test_a_wait_ends_with_the_deadline(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    _, seq = await record.write("default", [write("a", b"1")])
    query = near(b"1", min_index_token=write_index_token("default", seq))
    with pytest.raises(StageDeadline):
        await search.search(query, searcher(record, index), lambda: 0.03)


async def test_a_wait_whose_last_look_took_all_the_time_says_what_it_waited_for(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    _, seq = await record.write("default", [write("a", b"1")])
    query = near(b"1", min_index_token=write_index_token("default", seq))

    def nothing_left() -> float | None:
        raise DeadlineExceeded("16 ms of the deadline are left", reason="DEADLINE_EXCEEDED")

    with pytest.raises(StageDeadline):
        await search.search(query, searcher(record, index), nothing_left)


@pytest.mark.parametrize("seq", [0, 1, 2**62])
def test_a_token_is_read_as_it_was_written(seq: int) -> None:
    assert read_index_token(write_index_token("shop", seq), "shop") == seq


@pytest.mark.parametrize("token", ["", "é", "AAAA", "MTphOi0x", "MjpzaG9wOjE", "=" * 9, "a" * 999])
def test_a_token_of_another_make_is_refused(token: str) -> None:
    with pytest.raises(IndexTokenInvalid):
        read_index_token(token, "shop")


async def test_counts_say_when_the_engine_does_not_answer(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"]})
    assert (await stats.count("default", "visual", record, index)).indexed == 1
    index.down = True
    assert (await stats.count("default", "visual", record, index)).indexed == -1
    assert (await stats.count("default", "text", record, index)).indexed == -1
    index.down = False
    nothing = await stats.count("default", "text", record, index)
    assert (nothing.indexed, nothing.generation) == (0, None)


async def test_a_search_that_is_to_see_the_first_write_waits_for_the_spaces_index(
    record: Record, index: FakeIndex
) -> None:
    _, seq = await record.write("default", [write("a", b"1")])
    query = near(b"1", min_index_token=write_index_token("default", seq))
    asked = search.search(query, searcher(record, index, awaited=("visual",)), forever)
    waiting = asyncio.create_task(asked)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    made = await record.create_generation(generation())
    await index.create(made.collection, DIMENSION)
    await follow(made, record, index, b"1")
    assert (await waiting).candidates.product_ids == ["a"]


async def test_only_what_a_caller_is_to_see_in_a_space_to_come_is_waited_for(
    record: Record, index: FakeIndex
) -> None:
    _, seq = await record.write("default", [write("a", b"1")])
    token = write_index_token("default", seq)
    for query, awaited, error in (
        (near(b"1"), ("visual",), SpaceUnavailable),
        (near(b"1", min_index_token=token), (), SpaceUnavailable),
        (near(b"1", min_index_token=token, generation="x"), ("visual",), GenerationNotFound),
        (near(b"1", min_index_token="?"), ("visual",), IndexTokenInvalid),
        (near(b"1", min_index_token=token), ("visual",), StageDeadline),
    ):
        with pytest.raises(error):
            await search.search(query, searcher(record, index, awaited=awaited), lambda: 0.03)


async def test_a_collection_that_is_being_made_is_empty_and_one_that_lost_its_rows_is_no_answer(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    held = index.rows.pop(made.collection)
    assert (await stats.count("default", "visual", record, index)).indexed == 0
    index.rows[made.collection] = held
    await stock(made, record, index, {"a": [b"1"]})
    del index.rows[made.collection]
    assert (await stats.count("default", "visual", record, index)).indexed == -1


async def test_a_catalog_that_outgrew_what_is_held_in_memory_is_advised(
    made: Generation, record: Record, index: FakeIndex
) -> None:
    await stock(made, record, index, {"a": [b"1"], "b": [b"2"]})
    for rows, advised in ((1, True), (2, False)):
        columns = Columns(record, exact_rows=rows)
        census = await stats.count("default", "visual", record, index, columns=columns)
        assert ("make up ENGINE=server" in census.advice) == advised
