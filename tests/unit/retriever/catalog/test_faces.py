"""Treatment of faces before a photo is stored, on a real record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from retriever.catalog import products
from retriever.catalog.faces import FaceRules
from retriever.catalog.takedowns import PermittedPhotos, take_down
from retriever.domain.errors import EmbedderUnavailable, ImageRejected
from retriever.domain.faces import FacePolicy
from retriever.domain.product import ImageDraft, ProductDraft
from retriever.record import Record
from servicekit.errors import ServiceError
from sightline_rules.photo_areas import PhotoArea
from sightline_rules.photos import image_id
from tests.fakes.photo_store import FakePhotos
from tests.fakes.photos import encoded, photo, picture
from tests.stores import each_engine
from tests.unit.retriever.catalog.conftest import reported

pytestmark = each_engine
PERSON, BOTTLE = photo(seed=1), photo(seed=2)
FACE = PhotoArea(0.25, 0.25, 0.5, 0.5)
POLICIES = {"blur": FacePolicy.BLURRED, "default": FacePolicy.REFUSED, "left": FacePolicy.LEFT}


@dataclass
class FakeFinder:
    """A detector that finds a face in some photos."""

    people: Sequence[bytes] = (PERSON,)
    error: ServiceError | None = None
    asked: list[bytes] = field(default_factory=list)

    async def faces(self, catalog_id: str, photo: bytes) -> list[PhotoArea]:
        self.asked.append(photo)
        if self.error is not None:
            raise self.error
        return [FACE] if photo in self.people else []


@dataclass
class Blur:
    """Stands for the decoding process that blurs."""

    async def blurred(
        self, catalog_id: str, data: bytes, faces: Sequence[PhotoArea], box: PhotoArea | None = None
    ) -> bytes:
        assert list(faces) == [FACE]
        return photo(seed=9)


@pytest.fixture
def finder() -> FakeFinder:
    return FakeFinder()


@pytest.fixture
def photos(record: Record, finder: FakeFinder) -> PermittedPhotos:
    return PermittedPhotos(FakePhotos(), record, FaceRules(finder, Blur(), POLICIES))


def stored(photos: PermittedPhotos) -> set[str]:
    assert isinstance(photos.photos, FakePhotos)
    return {name for _, name in photos.photos.stored}


async def test_a_photo_with_a_face_is_refused_with_its_field_and_the_rest_goes_through(
    record: Record, photos: PermittedPhotos
) -> None:
    drafts = [
        ProductDraft("a", title="A wine", images=(ImageDraft(BOTTLE, ""), ImageDraft(PERSON, ""))),
        ProductDraft("b", title="A wine", images=(ImageDraft(BOTTLE, ""),)),
    ]
    written, _ = await products.upsert("default", drafts, record, photos)
    assert reported(written) == ["FACE_IN_PHOTO products[0].images[1].content", "OK"]
    assert stored(photos) == {image_id(BOTTLE)}


@pytest.mark.parametrize(("catalog", "kept"), [("blur", photo(seed=9)), ("left", PERSON)])
async def test_a_photo_is_kept_as_its_catalog_wants_it(
    photos: PermittedPhotos, catalog: str, kept: bytes
) -> None:
    assert await photos.as_stored(catalog, PERSON) == kept
    assert await photos.as_stored(catalog, BOTTLE) == BOTTLE


async def test_where_faces_are_left_none_is_searched(
    photos: PermittedPhotos, finder: FakeFinder
) -> None:
    await photos.as_stored("left", PERSON)
    await photos.as_stored("of no policy", PERSON)
    assert not finder.asked


async def test_a_policy_of_all_others_spares_those_that_are_named(
    record: Record, finder: FakeFinder
) -> None:
    rules = FaceRules(finder, Blur(), {"*": FacePolicy.REFUSED, "people": FacePolicy.BLURRED})
    assert await rules.applied("people", PERSON) == photo(seed=9)
    with pytest.raises(ImageRejected):
        await rules.applied("any", PERSON)


async def test_a_photo_that_can_not_be_searched_is_not_stored(
    record: Record, photos: PermittedPhotos, finder: FakeFinder
) -> None:
    finder.error = EmbedderUnavailable()
    drafts = [ProductDraft("a", title="A wine", images=(ImageDraft(BOTTLE, ""),))]
    written, _ = await products.upsert("default", drafts, record, photos)
    assert reported(written) == ["EMBEDDER_UNAVAILABLE"]
    assert stored(photos) == set()


async def test_metadata_is_gone_before_a_face_is_searched(
    photos: PermittedPhotos, finder: FakeFinder
) -> None:
    await photos.as_stored("default", encoded(picture(), comment=b"by ann"))
    assert b"by ann" not in finder.asked[0]


async def test_bytes_that_were_taken_down_stay_away_though_they_would_be_stored_as_others(
    record: Record, photos: PermittedPhotos
) -> None:
    commented = encoded(picture(), comment=b"by ann")
    for data in (PERSON, commented):
        await take_down("blur", image_id(data), "", record, photos.photos)
        with pytest.raises(ServiceError, match="taken down"):
            await photos.as_stored("blur", data)
