"""Searches of HNSW generations on a real record and an engine that misses rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import EXACT, Generation, IndexKind, IndexParameters, VectorMetric
from retriever.domain.index_values import WHOLE, Hit, Slice
from retriever.domain.vectors import Floats, GivenVector
from retriever.record import Record
from retriever.search import nearest, planning, search
from retriever.search.nearest import compare
from retriever.search.query import SearchQuery
from retriever.search.sampling import Samples
from retriever.search.search import FoundNearest
from servicekit.sql.database import Database
from sightline_rules.filters import All, Any, Comparison, Filter, Membership, Money, Operator
from tests.fakes.index import DIMENSION, VERSION, FakeIndex, vector_of
from tests.unit.retriever.conftest import generation, write
from tests.unit.retriever.rows import searcher
from tests.unit.retriever.search.conftest import follow
from tests.waiting import until

HNSW = IndexParameters(kind=IndexKind.HNSW, ef=64)
COUNT = 200
TAGGED = Comparison("tags", Operator.CONTAINS, "few")


def branded(number: int) -> Filter:
    return Comparison("brand", Operator.EQUAL, f"b{number}")


@dataclass
class Forgetful(FakeIndex):
    """Engine whose graph finds `found` of the matching rows, unless `ef` is at least `sure`."""

    found: int = 3
    sure: int = 10**9

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        hits = await super().search(
            collection,
            vectors,
            condition,
            limit,
            seconds,
            latest=latest,
            parameters=parameters,
            of=of,
        )
        missed = parameters.ef < self.sure and condition != All()
        return hits[-self.found :] if missed else hits


@pytest.fixture
def index() -> Forgetful:
    return Forgetful()


@pytest.fixture
async def made(record: Record, index: Forgetful) -> Generation:
    """Return 200 products of 20 brands; every 25th is tagged."""
    found = await record.create_generation(generation(parameters=HNSW))
    await index.create(found.collection, DIMENSION, HNSW)
    photos = [b"%d" % n for n in range(COUNT)]
    writes = [
        write(
            f"p{n:03}",
            photo,
            brand=f"b{n % 20}",
            tags=("few",) if n % 25 == 0 else (),
            category_path=("Wine", "Red" if n % 2 else "White"),
            price=Money("EUR", n),
        )
        for n, photo in enumerate(photos)
    ]
    await record.write("default", writes)
    return await follow(found, record, index, *photos)


async def ask(condition: Filter, record: Record, index: FakeIndex, top_k: int = 5) -> FoundNearest:
    vector = GivenVector("visual", VERSION, DIMENSION, vector_of(b"x").tobytes())
    query = SearchQuery("default", vector=vector, condition=condition, top_k=top_k)
    return await search.search(query, searcher(record, index), lambda: None)


def expected(numbers: Iterable[int], count: int) -> list[str]:
    query = vector_of(b"x")
    return [
        f"p{n:03}" for n in sorted(numbers, key=lambda n: -float(query @ vector_of(b"%d" % n)))
    ][:count]


def names(answer: FoundNearest) -> list[str]:
    return answer.candidates.product_ids


async def test_a_narrow_filter_is_answered_exactly_from_the_record(
    made: Generation, record: Record, index: Forgetful
) -> None:
    answer = await ask(branded(3), record, index)
    assert names(answer) == expected(range(3, COUNT, 20), 5)
    assert answer.plan == "exact over 10 matches, 1 round, 10 rows, by brand"
    assert not index.limits, "the graph was not asked"
    best = answer.candidates.product_ids[0]
    assert answer.candidates.similarities[0] == pytest.approx(
        float(vector_of(b"x") @ vector_of(best[1:].lstrip("0").encode()))
    )


@pytest.mark.first(2)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        (Comparison("category", Operator.EQUAL, "Wine > Red"), range(1, COUNT, 2)),
        (Comparison("category", Operator.EQUAL, "Wine"), range(COUNT)),
        (Comparison("category", Operator.EQUAL, "Win"), range(0)),
        (Membership("category", ("Wine > White", "Beer")), range(0, COUNT, 2)),
        (Membership("brand", ("b1", "b11")), range(1, COUNT, 10)),
        (Comparison("price", Operator.LESS, Money("EUR", 30)), range(30)),
        (Comparison("price", Operator.GREATER_OR_EQUAL, Money("EUR", 190)), range(190, COUNT)),
        (Comparison("price", Operator.LESS_OR_EQUAL, Money("USD", 30)), range(0)),
        (All((branded(0), TAGGED)), range(0, COUNT, 100)),
        (
            All((branded(1), Comparison("price", Operator.GREATER, Money("EUR", 100)))),
            range(101, COUNT, 20),
        ),
    ],
)
async def test_what_the_records_indexes_answer_is_what_the_rules_pass(
    made: Generation, record: Record, index: Forgetful, condition: Filter, passing: range
) -> None:
    answer = await ask(condition, record, index, top_k=COUNT)
    assert names(answer) == expected(passing, COUNT)
    assert answer.plan.startswith("exact over "), answer.plan


async def test_a_graph_search_that_comes_back_short_is_made_up_for(
    made: Generation, record: Record, index: Forgetful
) -> None:
    answer = await ask(TAGGED, record, index)
    assert names(answer) == expected(range(0, COUNT, 25), 5)
    assert "then exact over 8 matches" in answer.plan


async def test_a_graph_search_that_found_all_there_is_needs_no_more(
    made: Generation, record: Record, index: Forgetful
) -> None:
    index.found = 8
    answer = await ask(TAGGED, record, index)
    assert sorted(names(answer)) == sorted(expected(range(0, COUNT, 25), 5))
    assert "exact" not in answer.plan


async def test_slices_are_searched_side_by_side_and_make_one_list(
    made: Generation, record: Record, index: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LOOK_SECONDS", 60.0)  # time to look at all
    index.comparing, index.found = True, COUNT
    third = Any((TAGGED, branded(1), branded(2), branded(3)))
    answer = await ask(third, record, index, top_k=40)
    passing = [n for n in range(COUNT) if n % 25 == 0 or n % 20 in {1, 2, 3}]
    assert names(answer) == expected(passing, 40)
    assert index.slices == [Slice(number, 4) for number in range(4)]
    assert answer.plan.startswith("compared by the engine in 4 slices, 1 round, "), answer.plan


async def test_too_many_matches_go_through_a_deeper_graph(
    made: Generation, record: Record, index: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "MOST_MATCHES", 5)
    index.sure = 500
    answer = await ask(branded(3), record, index)
    assert names(answer) == expected(range(3, COUNT, 20), 5)
    assert answer.plan.startswith("graph ef "), answer.plan


async def test_without_a_filter_the_graph_answers(
    made: Generation, record: Record, index: Forgetful
) -> None:
    answer = await ask(All(), record, index, top_k=COUNT)
    assert names(answer) == expected(range(COUNT), COUNT)
    assert answer.plan == "graph ef 400, 1 round, 200 rows, about 100% pass"


async def test_a_sample_is_drawn_anew_after_writes(
    made: Generation, record: Record, index: Forgetful, db: Database
) -> None:
    now = [0.0]
    samples = Samples(lambda: now[0])
    first = await samples.of("default", 1, record)
    assert (len(first.facts), first.rows) == (COUNT, COUNT)
    await record.delete("default", [f"p{n:03}" for n in range(100)])
    assert await samples.of("default", 2, record) is first, "too soon"
    now[0] = 2.0
    assert await samples.of("default", 2, record) is first, "no search waits for it"

    async def drawn() -> bool:
        return (await samples.of("default", 2, record)).rows == 100

    await until(drawn)


async def test_the_number_of_rows_is_estimated_by_how_far_the_ids_of_a_sample_lie_apart(
    made: Generation, record: Record
) -> None:
    starts = [f"{n:x}" + "0" * 31 for n in range(16)]
    counts = [(await record.sample("default", start, 50))[1] for start in starts]
    assert np.mean(counts) == pytest.approx(COUNT, rel=0.15)
    facts, rows = await record.sample("default", "f" * 32, 500)
    assert (len(facts), rows) == (COUNT, COUNT)


@pytest.mark.parametrize("metric", VectorMetric)
def test_the_nearest_of_several_queries_counts(metric: VectorMetric) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((6, 4)).astype(np.float32)
    keys = [(f"r{n}", f"p{n}", f"i{n}") for n in range(6)]
    hits = compare(MatchingRows(keys, rows), [rows[2], rows[5]], metric)
    assert len(hits) == 6
    assert hits == sorted(hits, key=lambda hit: -hit.similarity)
    if metric is not VectorMetric.IP:
        assert {hits[0].row_id, hits[1].row_id} == {"r2", "r5"}
        assert hits[0].similarity == pytest.approx(
            1.0 if metric is VectorMetric.COSINE else 0.0, abs=1e-6
        )
    assert compare(MatchingRows([], rows[:0]), [rows[0]], metric) == []


def test_the_bound_of_what_is_read_is_that_of_the_plan() -> None:
    assert nearest.MOST_MATCHES == planning.MOST_MATCHES
