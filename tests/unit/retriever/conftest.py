"""A record on real SQLite and PostgreSQL, and products for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from retriever.domain.collection_names import shaped
from retriever.domain.generation import Generation, GenerationState
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.record import Record
from servicekit.sql.database import Database
from sightline_rules.filters import Money
from sightline_rules.photos import image_id
from tests.fakes.clock import Clock
from tests.fakes.index import DIMENSION, VERSION, vector_of
from tests.stores import SQLITE, NewStore, Stores

MIGRATIONS = "retriever.record.migrations"


@pytest.fixture
def new_store(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[NewStore]:
    """Return a factory of stores on SQLite; the tests of the record itself request each engine."""
    with stores.on(getattr(request, "param", SQLITE), tmp_path) as make:
        yield make


@pytest.fixture
def db(new_store: NewStore) -> Iterator[Database]:
    """Return an empty record."""
    made = record_at(new_store, "record.db")
    yield made
    made.close()


def record_at(new_store: NewStore, file: str) -> Database:
    """Return a separate record, in `file` if it is on SQLite."""
    return Database(new_store(MIGRATIONS, file), migrations=MIGRATIONS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(db: Database, clock: Clock) -> Record:
    return Record(db, clock)


def write(product_id: str, *photos: bytes, **content: object) -> ProductWrite:
    """Return a product with these photos, all of them new."""
    images = {image_id(data): Image(image_id(data), "image/jpeg", 10, 4, 3) for data in photos}
    made = ProductContent(product_id, "A wine", price=Money("EUR", 5), image_ids=tuple(images))
    return ProductWrite(replace(made, **content), images)  # type: ignore[arg-type]


def generation(**fields: object) -> Generation:
    """Return the first generation of the fake embedder's space."""
    made = Generation(
        catalog_id="default",
        name="visual-1",
        space="visual",
        space_version=VERSION,
        dimension=DIMENSION,
        collection=shaped("c_visual_1"),
        state=GenerationState.READY,
        active=True,
        created=0,
        applied_seq=0,
        applied_time=0,
        check_wanted=False,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def vectors(*photos: bytes) -> list[VectorWrite]:
    """Return the photos' vectors."""
    return [VectorWrite(image_id(data), vector_of(data)) for data in photos]
