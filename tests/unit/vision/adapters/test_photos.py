"""The store of photos of watches on a real folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import PhotoLimits, decode, image_id
from tests.fakes.photos import photo
from vision.adapters.photos import PhotoStore
from vision.domain.catalog_keys import key_with
from vision.domain.errors import ImageNotFound

DATA = photo()
ID = image_id(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PhotoStore]:
    made = PhotoStore(str(tmp_path / "photos"), limits=PhotoLimits(100_000, 1_000_000))
    yield made
    made.close()


@pytest.mark.full
async def test_parts_of_a_frame_keep_their_pixels(store: PhotoStore) -> None:
    boxes = [PhotoArea(0.0, 0.0, 1.0, 1.0), PhotoArea(0.5, 0.25, 1.0, 0.75)]
    _, parts = await store.measure_frame("default", DATA, boxes)
    whole = decode(DATA, PhotoLimits())
    wanted = [whole, whole.crop((32, 12, 64, 36))]
    assert [Image.open(io.BytesIO(part)).convert("RGB").tobytes() for part in parts] == [
        each.tobytes() for each in wanted
    ]
    assert [decode(part, PhotoLimits()).size for part in parts] == [(64, 48), (32, 24)]


async def test_photos_are_stored_under_the_key_of_their_catalog(tmp_path: Path) -> None:
    uid = ["first"]
    store = PhotoStore(str(tmp_path), key_of=lambda name: key_with(name, uid[0]))
    await store.put("shop", ID, DATA)
    assert (tmp_path / "shop@first" / ID[:2] / ID[2:4] / ID).read_bytes() == DATA
    assert await store.get("shop", ID) == DATA
    uid[0] = "second"
    with pytest.raises(ImageNotFound):
        await store.get("shop", ID)
    store.close()
