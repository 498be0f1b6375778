"""Columns of a real record, on either engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from retriever.columns.column_cache import Columns
from retriever.domain.column_rows import Changes
from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import Generation
from retriever.domain.words import Words
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_rules.filters import All, Comparison, Money, Operator
from sightline_rules.photos import image_id
from tests.fakes.index import vector_of
from tests.stores import address
from tests.unit.retriever.conftest import Clock, generation, vectors, write

A, B, C = b"photo a", b"photo b", b"photo c"
HASH = 0x9234_5678_9ABC_DEF0
CHEAP = Comparison("price", Operator.LESS, Money("EUR", 5))


class Counting(Record):
    """Record that counts its reads."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self.counted: list[str] = []
        self.read_rows: list[str] = []

    async def written(self, catalog_id: str, after: int | None) -> Changes:
        self.counted.append("all" if after is None else "written")
        return await super().written(catalog_id, after)

    async def product_rows(self, catalog_id: str, product_ids: Sequence[str]) -> Changes:
        self.counted.append("product_rows")
        return await super().product_rows(catalog_id, product_ids)

    async def product_count(self, catalog_id: str, most: int) -> int:
        self.counted.append("product_count")
        return await super().product_count(catalog_id, most)

    async def row_count(self, generation: Generation, most: int | None = None) -> int:
        self.counted.append("row_count")
        return await super().row_count(generation, most)

    async def words(
        self, catalog_id: str, product_ids: Sequence[str] | None
    ) -> list[tuple[str, Words]]:
        self.counted.append("words")
        return await super().words(catalog_id, product_ids)

    async def vectors_of_rows(self, generation: Generation, row_ids: Sequence[str]) -> MatchingRows:
        self.read_rows += row_ids
        return await super().vectors_of_rows(generation, row_ids)

    def took(self) -> list[str]:
        """Return the reads since the last call."""
        counted, self.counted = self.counted, []
        return counted


@pytest.fixture
def counting(db: Database, clock: Clock) -> Counting:
    return Counting(db, clock)


@pytest.fixture
def neighbour(db: Database, record: Record) -> Iterator[Record]:
    """Yield the same record as another process sees it."""
    other = Database(address(db), migrations="retriever.record.migrations")
    yield Record(other)
    other.close()


def patient(record: Record, **bounds: Any) -> Columns:
    """Return columns whose callers wait until all products are read."""
    return Columns(record, patience=None, **bounds)


async def ids(columns: Columns, catalog_id: str = "default") -> set[str]:
    """Return the ids of the products in the columns."""
    view = await columns.view(catalog_id)
    assert view is not None
    table = view.table
    passing = await view.conditions.passing(All(), np.arange(len(table.ids)))
    assert passing.tolist() == table.alive[: len(table.ids)].tolist()
    return {table.ids[place] for place in np.flatnonzero(passing).tolist()}


async def cheap(columns: Columns) -> set[str]:
    view = await columns.view("default")
    assert view is not None
    passing = await view.conditions.passing(CHEAP, np.arange(len(view.table.ids)))
    return {view.table.ids[place] for place in np.flatnonzero(passing).tolist()}


async def held(columns: Columns, made: Generation) -> dict[str, list[tuple[str, list[float]]]]:
    """Return the photos in order with their vectors by product, after a comparison with the
    searched ones."""
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
