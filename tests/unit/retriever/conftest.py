"""A record on real SQLite, and products for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from retriever.filters import shaped
from retriever.model import (
    Generation,
    GenerationState,
    Image,
    ProductContent,
    ProductWrite,
    VectorWrite,
)
from retriever.record import Record
from servicekit.sql import Database
from sightline_rules.filters import Money
from sightline_rules.photos import image_id
from tests.fakes.index import DIMENSION, VERSION, vector_of


@dataclass
class Clock:
    """Microseconds that pass only when a test says so."""

    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty record's file: migrations take ten times as long as a copy."""
    file = tmp_path_factory.mktemp("record") / "record.db"
    made = Database(f"sqlite:///{file}", migrations="retriever.migrations")
    made.migrate()
    made.close()
    return file


@pytest.fixture
def db(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    made = record_at(migrated, tmp_path / "record.db")
    yield made
    made.close()


def record_at(migrated: Path, file: Path) -> Database:
    """A record of its own in `file`, which is not there yet."""
    shutil.copyfile(migrated, file)
    return Database(f"sqlite:///{file}", migrations="retriever.migrations")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(db: Database, clock: Clock) -> Record:
    return Record(db, clock)


def write(product_id: str, *photos: bytes, **content: object) -> ProductWrite:
    """A product with these photos, all of them new."""
    images = {image_id(data): Image(image_id(data), "image/jpeg", 10, 4, 3) for data in photos}
    made = ProductContent(product_id, "A wine", price=Money("EUR", 5), image_ids=tuple(images))
    return ProductWrite(replace(made, **content), images)  # type: ignore[arg-type]


def generation(**fields: object) -> Generation:
    """The first generation of the fake embedder's space."""
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
    """The photos' vectors."""
    return [VectorWrite(image_id(data), vector_of(data)) for data in photos]
