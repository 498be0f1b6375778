"""Searches on a real record and an engine in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retriever.domain.generation import Generation
from retriever.domain.vectors import GivenVector
from retriever.indexing.outbox import apply_outbox
from retriever.record import Record
from retriever.search import search
from retriever.search.query import SearchQuery
from retriever.search.search import FoundNearest
from tests.fakes.index import DIMENSION, VERSION, Always, FakeIndex, vector_of
from tests.unit.retriever.conftest import generation, vectors, write
from tests.unit.retriever.rows import searcher


def given(data: bytes, **fields: object) -> GivenVector:
    made = GivenVector("visual", VERSION, DIMENSION, vector_of(data).tobytes())
    return replace(made, **fields)  # type: ignore[arg-type]


def near(data: bytes, **fields: object) -> SearchQuery:
    return replace(SearchQuery("default", vector=given(data)), **fields)  # type: ignore[arg-type]


def forever() -> float | None:
    return None


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    return found


async def stock(
    made: Generation, record: Record, index: FakeIndex, products: dict[str, list[bytes]]
) -> Generation:
    await record.write("default", [write(name, *photos) for name, photos in products.items()])
    return await follow(made, record, index, *(p for photos in products.values() for p in photos))


async def follow(made: Generation, record: Record, index: FakeIndex, *photos: bytes) -> Generation:
    if photos:
        await record.save_vectors(made, vectors(*photos))
    while (done := await apply_outbox(made, record, index, Always())).rows:
        made = done.generation
    return done.generation


def own(answer: FoundNearest) -> list[str]:
    """Return the query's products whose near-duplicates were left out."""
    return [answer.candidates.view.table.ids[place] for place in answer.own]


async def names(query: SearchQuery, record: Record, index: FakeIndex) -> list[str]:
    answer = await search.search(query, searcher(record, index), forever)
    return answer.candidates.product_ids
