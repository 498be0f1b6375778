"""Engine, embedder and photos in memory, for tests of the index's updates."""

from __future__ import annotations

import pytest

from retriever.domain.generation import Generation
from retriever.indexing.outbox import apply_outbox
from retriever.record import Record
from sightline_rules.photos import image_id
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import DIMENSION, Always, FakeIndex
from tests.fakes.photo_store import FakePhotos
from tests.unit.retriever.conftest import generation

PHOTOS = [b"photo %d" % n for n in range(40)]


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
def photos() -> FakePhotos:
    return FakePhotos({("default", image_id(data)): data for data in PHOTOS})


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def made(record: Record, index: FakeIndex) -> Generation:
    found = await record.create_generation(generation())
    await index.create(found.collection, DIMENSION)
    return found


async def applied(made: Generation, record: Record, index: FakeIndex) -> Generation:
    while (done := await apply_outbox(made, record, index, Always())).rows:
        made = done.generation
    return done.generation


def held(made: Generation, index: FakeIndex) -> dict[str, int]:
    """Return the seq of the engine's rows by product id and photo."""
    rows = index.rows[made.collection].values()
    return {f"{row.product_id}/{row.image_id[:4]}": row.seq for row in rows}
