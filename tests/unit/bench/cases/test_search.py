"""The tables and goals of the benches of search, and their inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.cases.search_report import Costs, EngineFigures, SearchCase, SearchSamples, result
from bench.datasets.corpus import Corpus, clustered, photographed
from bench.harness import filling
from bench.harness.engines import product_id
from bench.peers.bare_search import recall
from retriever.adapters.milvus.filters import columns, slice_number
from retriever.columns.column_cache import Columns
from retriever.domain.generation import Generation, IndexKind, IndexParameters, VectorMetric
from retriever.domain.vectors import GivenVector, exact_scores
from retriever.record import Record
from retriever.search.query import SearchQuery
from retriever.search.search import Searcher, search
from servicekit.sql.database import Database
from sightline_rules.facts import passes
from sightline_rules.filters import All
from tests.fakes.index import FakeIndex


def case(
    name: str, share: float, recalls: list[float], *, count: int = 100, p50: float = 0.01
) -> SearchCase:
    seen = SearchSamples(recalls, recalls, [p50] * len(recalls))
    times = [0.002] * len(recalls)
    return SearchCase(
        "Milvus Lite", count, 8, name, share, All(), ours=seen, bare=seen, hydrating=times
    )


def measured(*cases: SearchCase) -> EngineFigures:
    return EngineFigures(list(cases), [Costs("Milvus Lite", 100, 8, 1.0, 2.0, 3.0, 0.0, 2**30)])


def test_goals_are_higher_without_a_filter() -> None:
    found = result([measured(case("plain", 1.0, [0.985] * 9), case("5%", 0.05, [0.985] * 9))])
    assert [goal.verdict for goal in found.goals] == ["MISSED", "MET"]
    assert [len(table.rows) for table in found.tables] == [2, 2, 2, 1]


def test_a_goal_is_missed_when_its_interval_reaches_below_it() -> None:
    found = result([measured(case("5%", 0.05, [1.0, 1.0, 1.0, 0.94]))])
    assert [goal.verdict for goal in found.goals] == ["MISSED"]


def test_the_data_are_the_same_each_time_and_filters_pass_their_share() -> None:
    first, second = clustered(400, 8), clustered(400, 8)
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.queries, second.queries)
    for share in first.shares:
        for name, condition in first.conditions(share):
            passed = [passes(condition, first.facts(number)) for number in range(400)]
            assert sum(passed) == share * 400, name
            assert passed == first.passing(share).tolist()


def test_the_exact_answers_are_those_of_all_that_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.datasets.corpus.COMPARED", 70)  # in several goes
    corpus = clustered(400, 8)
    scores = exact_scores(corpus.queries, corpus.vectors, VectorMetric.COSINE)
    scores[:, ~corpus.passing(0.5)] = -np.inf
    assert corpus.nearest(0.5, 10) == np.argsort(-scores, axis=1)[:, :10].tolist()


def test_recall_is_of_the_first_that_are_expected() -> None:
    assert recall(["a", "b", "x"], ["b", "a", "c"], 2) == 1.0
    assert recall(["x", "a"], ["a", "b"], 10) == 0.5


def test_without_photos_there_is_nothing_to_measure(tmp_path: Path) -> None:
    assert photographed(tmp_path, 10) is None


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/record.db", migrations="retriever.record.migrations")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def corpus() -> Corpus:
    return clustered(60, 8, queries=3)


async def made(db: Database, corpus: Corpus) -> tuple[Record, Generation, FakeIndex]:
    record, index = Record(db), FakeIndex(comparing=True)
    graph = IndexParameters(kind=IndexKind.HNSW)
    generation = await filling.generation(record, index, corpus, graph, "bench")
    filling.fill_record(db, generation, corpus)
    return record, generation, index


async def test_a_record_that_was_filled_in_bulk_is_searched_like_any_other(
    corpus: Corpus, db: Database
) -> None:
    record, generation, index = await made(db, corpus)
    rows = await record.rows(generation, [product_id(n) for n in range(60)])
    assert [row.row_id for row in rows] == [filling.row_id(int(row.product_id[1:])) for row in rows]
    await index.upsert(generation.collection, rows)
    vector = GivenVector("visual", "bench", 8, corpus.queries[0].tobytes())
    deps = Searcher(record, index, Columns(record, exact_rows=0, patience=None))
    for share in (1.0, 0.5):
        for _, condition in corpus.conditions(share):
            query = SearchQuery("default", vector=vector, condition=condition, top_k=10)
            answer = await search(query, deps, lambda: None)
            assert answer.candidates.product_ids == [
                product_id(n) for n in corpus.nearest(share, 10)[0]
            ]
    assert await record.freshness(generation) == answer.freshness
    assert answer.freshness.seq == answer.freshness.head == 1


async def test_rows_that_are_inserted_in_bulk_are_those_that_the_record_has(
    corpus: Corpus, db: Database
) -> None:
    record, generation, _ = await made(db, corpus)
    recorded = {row.product_id: row for row in await record.rows(generation, ["p3", "p7"])}
    held = {each.field_name: each for each in filling._columns(corpus, range(10))}
    for number in (3, 7):
        row = recorded[product_id(number)]
        expected = {**columns(row.facts), "seq": row.seq, "slice": slice_number(row.row_id)}
        assert {name: held[name].scalars.long_data.data[number] for name in expected} == expected
        assert held["id"].scalars.string_data.data[number] == row.row_id
        vector = held["vector"].vectors.float_vector.data[8 * number : 8 * number + 8]
        assert list(vector) == row.vector.tolist()
