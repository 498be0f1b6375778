"""The contract of `VectorIndex`, on Milvus Lite, on a real Milvus server and at any MILVUS_URI."""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pytest
import pytest_asyncio
from pymilvus import AsyncMilvusClient

from retriever.adapters.milvus import filters
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain import errors
from retriever.domain.collection_names import SHAPE, shaped
from retriever.domain.generation import EXACT, IndexKind, IndexParameters, VectorMetric
from retriever.domain.index_values import CollectionState, Hit, IndexRow, Slice
from retriever.domain.vectors import Floats
from sightline_rules.facts import Facts, passes
from sightline_rules.filter_checks import check
from sightline_rules.filters import All, Any, Comparison, Filter, Membership, Not, Operator
from tests.engines import EngineProcess, milvus_lite, milvus_server
from tests.live.random_filters import EXTREME, condition, facts
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

EVERYTHING = All()
DIMENSION = 8
"""A server that was killed needs 17 s to have its collections in memory again (2026-11)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Address of an engine, and its process if the test may kill it."""

    uri: str
    process: EngineProcess | None


@pytest.fixture(scope="session", params=["lite", "server", "given"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with ExitStack() as running:
        if request.param == "given":
            if not os.environ.get("MILVUS_URI"):
                pytest.skip("NOT MEASURED: no engine was given in MILVUS_URI")
            yield Place(os.environ["MILVUS_URI"], None)
            return
        run = milvus_lite if request.param == "lite" else milvus_server
        process = running.enter_context(run(tmp_path_factory.mktemp("engine") / "data"))
        yield Place(process.uri, process)


@pytest_asyncio.fixture
async def index(place: Place) -> AsyncIterator[MilvusIndex]:
    opened = MilvusIndex(place.uri, token=os.environ.get("MILVUS_TOKEN", ""), seconds=30)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def name(index: MilvusIndex) -> AsyncIterator[str]:
    """Yield the name of a collection that does not exist yet and is dropped afterwards."""
    chosen = shaped(f"conformance_{uuid.uuid4().hex}")
    yield chosen
    await index.drop(chosen)


def rows(count: int, *, seed: int = 1, dimension: int = DIMENSION) -> list[IndexRow]:
    rng = np.random.default_rng(seed)
    return [
        IndexRow(
            row_id=f"{seed:016x}{number:016x}",
            seq=number + 1,
            product_id=f"p{number // 2}",
            image_id=f"i{number}",
            facts=Facts(),
            vector=rng.standard_normal(dimension).astype(np.float32),
        )
        for number in range(count)
    ]


async def newest(index: MilvusIndex, name: str, vector: Floats, limit: int) -> list[Hit]:
    return await index.search(name, [vector], EVERYTHING, limit, None, latest=True)


async def test_what_an_absent_collection_answers(index: MilvusIndex, name: str) -> None:
    (row,) = rows(1)
    assert await index.state(name) is CollectionState.ABSENT
    for call in (
        index.load(name),
        index.upsert(name, [row]),
        index.delete(name, [row.row_id]),
        index.scan(name, "0", "g"),
        index.count(name),
        index.search(name, [row.vector], EVERYTHING, 1, None),
    ):
        with pytest.raises(errors.CollectionAbsent):
            await call
    with suppress(errors.CollectionAbsent):  # Milvus Lite finds nothing to do
        await index.flush(name)
    await index.drop(name)


async def test_the_life_of_a_collection(index: MilvusIndex, name: str, place: Place) -> None:
    await index.create(name, DIMENSION)
    given = rows(40)
    await index.upsert(name, given)
    await index.create(name, DIMENSION)  # changes nothing
    assert await index.state(name) is CollectionState.LOADED
    assert await index.count(name) == 40
    await every_write_is_seen_by_the_next_search(index, name, given)
    await a_scan_finds_rows_by_range(index, name, given)
    await a_search_merges_its_vectors(index, name, given)
    await index.flush(name)
    assert (await newest(index, name, given[7].vector, 1))[0].row_id == given[7].row_id
    with pytest.raises(errors.IndexRefused):
        await index.upsert(name, [replace(given[0], product_id="p" * 300)])
    await a_released_collection_says_so(index, name, place)
    await index.drop(name)
    assert await index.state(name) is CollectionState.ABSENT


async def every_write_is_seen_by_the_next_search(
    index: MilvusIndex, name: str, given: list[IndexRow]
) -> None:
    """Check that searches see new, replaced and deleted rows at once."""
    for number in range(3):
        (extra,) = rows(1, seed=100 + number)
        await index.upsert(name, [extra])
        assert (await newest(index, name, extra.vector, 1))[0].row_id == extra.row_id
        moved = replace(extra, vector=-extra.vector, image_id="moved")
        await index.upsert(name, [moved])
        (hit,) = await newest(index, name, moved.vector, 1)
        assert (hit.row_id, hit.image_id) == (extra.row_id, "moved")
        await index.delete(name, [extra.row_id, "f" * 32])  # the latter it does not hold
        found = await newest(index, name, moved.vector, 100)
        assert {hit.row_id for hit in found} == {row.row_id for row in given}


async def a_scan_finds_rows_by_range(index: MilvusIndex, name: str, given: list[IndexRow]) -> None:
    low, high = given[10].row_id, given[20].row_id
    held = await index.scan(name, low, high)
    assert held == {row.row_id: row.seq for row in given[10:20]}
    assert len(await index.scan(name, "0", "g") or ()) == len(given)


async def a_search_merges_its_vectors(index: MilvusIndex, name: str, given: list[IndexRow]) -> None:
    pair = [given[3].vector, given[4].vector]
    hits = await index.search(name, pair, EVERYTHING, 5, None, latest=True)
    assert {hits[0].row_id, hits[1].row_id} == {given[3].row_id, given[4].row_id}
    assert len({hit.row_id for hit in hits}) == len(hits) <= 10
    assert hits == sorted(hits, key=lambda hit: -hit.similarity)
    assert {hits[0].product_id, hits[1].product_id} == {"p1", "p2"}
    assert [hit.similarity for hit in hits[:2]] == pytest.approx([1, 1], abs=1e-5)


async def a_released_collection_says_so(index: MilvusIndex, name: str, place: Place) -> None:
    client = AsyncMilvusClient(place.uri, token=os.environ.get("MILVUS_TOKEN", ""))
    await client.release_collection(name)
    await client.close()
    assert await index.state(name) is CollectionState.RELEASED
    (row,) = rows(1)
    with pytest.raises(errors.CollectionReleased):
        await index.search(name, [row.vector], EVERYTHING, 1, None)
    with pytest.raises(errors.CollectionReleased):
        await index.scan(name, "0", "g")
    await index.load(name)
    assert await index.state(name) is CollectionState.LOADED
    assert (await newest(index, name, row.vector, 1))[0].row_id == row.row_id


def said(condition: Filter, given: list[IndexRow]) -> set[str]:
    """Return the rows that match the compiled filter: its expressions are also valid Python."""
    asked = compile(filters.compile_filter(condition) or "True", "filter", "eval")
    return {
        row.row_id
        for row in given
        if eval(asked, {"__builtins__": {}}, {**filters.columns(row.facts), "seq": row.seq})  # noqa: S307
    }


async def test_a_filter_passes_what_the_rules_pass(index: MilvusIndex, name: str) -> None:
    """Compare random filters on random products; half of the rows are in files, half in memory.
    Conditions that the columns lack match every row, so the expected rows are those of the compiled
    filter."""
    chance, parted = random.Random(7), 0
    given = [replace(row, facts=facts(chance)) for row in rows(400)]
    await index.create(name, DIMENSION)
    await index.upsert(name, given[:200])
    await index.flush(name)
    await index.upsert(name, given[200:])
    assert len(await newest(index, name, given[0].vector, 1_000)) == 400
    for asked in map(check, [*EXTREME, *(condition(chance) for _ in range(60))]):
        latest = not parted  # the first waits until all rows are there, for all that follow
        vector = [given[0].vector]
        hits = await index.search(name, vector, asked, len(given), None, latest=latest)
        found = {hit.row_id for hit in hits}
        expected = {row.row_id for row in given if passes(asked, row.facts)}
        assert expected <= found, filters.compile_filter(asked)
        assert found == said(asked, given)
        parted += 0 < len(expected) < len(given)
    assert parted > 20, "too few filters set products apart"


def similarities(vectors: Floats, query: Floats, metric: VectorMetric) -> Floats:
    """Return the expected `Hit.similarity`, computed by NumPy."""
    match metric:
        case VectorMetric.COSINE:
            norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
            return np.asarray(vectors @ query / norms)
        case VectorMetric.L2:
            return np.asarray(-np.sum((vectors - query) ** 2, axis=1))
        case VectorMetric.IP:
            return np.asarray(vectors @ query)


PARAMETERS = (
    IndexParameters(VectorMetric.L2, IndexKind.FLAT),
    IndexParameters(VectorMetric.IP, IndexKind.FLAT),
    *(IndexParameters(metric, IndexKind.HNSW, m=16, ef=128) for metric in VectorMetric),
)


async def test_metrics_and_index_types(index: MilvusIndex, name: str) -> None:
    """Run the combinations in parallel, because a server takes 3 s for each new collection."""
    names = [f"{name}_{number}" for number in range(len(PARAMETERS))]
    try:
        await asyncio.gather(
            *(_measure(index, *each) for each in zip(names, PARAMETERS, strict=True))
        )
    finally:
        for made in names:
            await index.drop(made)


async def _measure(index: MilvusIndex, name: str, parameters: IndexParameters) -> None:
    """Check flushed and unflushed rows; HNSW may miss a few, and `ef` may be below the limit."""
    given, top = rows(1_500, dimension=16), 20
    await index.create(name, 16, parameters)
    await index.upsert(name, given[:1_200])
    await index.flush(name)
    await index.upsert(name, given[1_200:])
    assert len(await searched(index, name, given[0].vector, 1_500, parameters)) > 1_350
    vectors, shares = np.stack([row.vector for row in given]), []
    for query in rows(20, seed=2, dimension=16):
        hits = await searched(index, name, query.vector, top, parameters)
        expected = similarities(vectors, query.vector, parameters.metric)
        by_id = {row.row_id: value for row, value in zip(given, expected, strict=True)}
        computed = [by_id[hit.row_id] for hit in hits]
        assert [hit.similarity for hit in hits] == pytest.approx(computed, abs=1e-4), parameters
        assert hits == sorted(hits, key=lambda hit: -hit.similarity)
        least = np.sort(expected)[-top] - 1e-4
        shares.append(sum(hit.similarity >= least for hit in hits) / top)
    lowest = 1 if parameters.kind is IndexKind.FLAT else 0.95
    assert np.mean(shares) >= lowest, parameters


KINDS = ("Wine", "Wine > Red", "Beer > Ale", "Tea", "")


def of_kinds(count: int) -> list[IndexRow]:
    """Return rows of the categories KINDS in turn, with ids as random as real ones."""
    return [
        replace(
            row,
            row_id=uuid.UUID(int=random.Random(n).getrandbits(128)).hex,
            facts=Facts(category=kind),
        )
        for n, (row, kind) in enumerate(zip(rows(count), cycle(KINDS), strict=False))
    ]


@pytest.mark.parametrize("kind", IndexKind)
async def test_partitions_by_top_category_answer_as_one_would(
    index: MilvusIndex, name: str, kind: IndexKind
) -> None:
    """Check partitions also after a product moves to another category, and so to another
    partition."""
    parameters = IndexParameters(kind=kind, ef=200, partitions=4)
    given = of_kinds(100)
    await index.create(name, DIMENSION, parameters)
    await index.upsert(name, given[:50], parameters)
    await index.flush(name)
    moved = replace(given[0], facts=Facts(category="Tea"))
    await index.upsert(name, [*given[50:], moved], parameters)
    held = {row.row_id: row.facts for row in (*given, moved)}
    red = Comparison("category", Operator.EQUAL, "Wine > Red")
    several = Membership("category", ("Wine", "Tea"))
    named = Comparison("brand", Operator.EQUAL, "")
    for asked in (EVERYTHING, red, several, All((several, Not(red))), Any((red, named)), Any()):
        hits = await index.search(
            name, [moved.vector], check(asked), 200, None, latest=True, parameters=parameters
        )
        found = [hit.row_id for hit in hits]
        assert sorted(found) == sorted(i for i, facts in held.items() if passes(asked, facts))
    await index.delete(name, [moved.row_id])
    assert await index.scan(name, "0", "g") == {row.row_id: row.seq for row in given[1:]}


@pytest.mark.parametrize("shape", [2, SHAPE])
async def test_slices_are_parts_of_the_whole(index: MilvusIndex, name: str, shape: int) -> None:
    """Check also a collection without the column that names slices, which older releases
    created."""
    given, asked = of_kinds(60), Comparison("category", Operator.EQUAL, "Wine")
    older = shaped(name, shape)
    found: list[str] = []
    try:
        await index.create(older, DIMENSION)
        await index.upsert(older, given)
        for number in range(3):
            hits = await index.search(
                older, [given[0].vector], asked, 60, None, latest=True, of=Slice(number, 3)
            )
            assert hits
            found += [hit.row_id for hit in hits]
    finally:
        await index.drop(older)
    assert sorted(found) == sorted(row.row_id for row in given if passes(asked, row.facts))


async def test_an_engine_says_whether_it_compares_under_narrow_filters(
    index: MilvusIndex, place: Place
) -> None:
    if place.process is None:
        pytest.skip("NOT MEASURED: the engine at MILVUS_URI may be any")
    # On a busy machine it may be asked in vain: it has 0.2 s, so that no search waits for it.
    *_, compares = [await index.compares() for _ in range(20)]
    assert compares is (place.process.name != "Milvus Lite")


async def searched(
    index: MilvusIndex, name: str, vector: Floats, limit: int, parameters: IndexParameters
) -> list[Hit]:
    return await index.search(
        name, [vector], EVERYTHING, limit, None, latest=limit > 100, parameters=parameters
    )


async def test_acknowledged_rows_survive_a_kill(
    index: MilvusIndex, name: str, place: Place
) -> None:
    """Kill the engine (kill -9) under four writers; its loss must be reported at once."""
    if place.process is None:
        pytest.skip("NOT MEASURED: the engine at MILVUS_URI is not ours to kill")
    await index.create(name, DIMENSION, EXACT)
    acknowledged: dict[str, int] = {}
    writers = [asyncio.create_task(write(place.uri, name, n, acknowledged)) for n in range(4)]
    while len(acknowledged) < 2_000:  # noqa: ASYNC110 # counted by four tasks
        await asyncio.sleep(0.01)
    place.process.kill()  # during writes
    await asyncio.gather(*writers)
    sure = dict(acknowledged)
    with pytest.raises(errors.IndexUnavailable):
        await newest(index, name, rows(1)[0].vector, 1)
    place.process.start()
    await until_loaded(index, name)
    held = await index.scan(name, "0", "g")
    assert held is not None
    assert sure.items() <= held.items()


async def write(uri: str, name: str, writer: int, acknowledged: dict[str, int]) -> None:
    """Write until the engine is gone, and record the acknowledged rows."""
    index, given = MilvusIndex(uri), rows(3_500, seed=1_000 + writer)
    with suppress(errors.IndexUnavailable):
        for start in range(0, len(given), 10):
            batch = given[start : start + 10]
            await index.upsert(name, batch)
            acknowledged |= {row.row_id: row.seq for row in batch}
        raise AssertionError("the engine was not killed in time")
    await index.close()


async def until_loaded(index: MilvusIndex, name: str) -> None:
    """Wait until the same client finds the restarted engine by itself."""
    until = time.monotonic() + SECONDS
    while True:
        with suppress(errors.IndexUnavailable):
            await index.load(name)
            if await index.state(name) is CollectionState.LOADED:
                return
        assert time.monotonic() < until, "the collection does not come back"
        await asyncio.sleep(0.1)
