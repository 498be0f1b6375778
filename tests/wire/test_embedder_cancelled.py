"""Each call of the embedder, cancelled at each await and made again."""

from dataclasses import replace
from typing import Any

import pytest

from embedder.embedding.compare import PhotoComparer
from embedder.embedding.patch_features import PatchFeatures
from embedder.servicer.embedding import EmbeddingServicer
from embedder.servicer.spaces import SpaceServicer
from embedder.settings import EmbedderSettings
from embedder.spaces.listing import SpaceListing
from sightline.embedder.v1 import embedding_service_pb2 as pb
from tests.fakes.embedding import FakeRecord, embedder_of
from tests.fakes.gateway_rest import scripted
from tests.fakes.photos import photo
from tests.fakes.triton import FakeInference, FakeModels, FakeNames
from tests.unit.embedder.embedding.test_find_faces import detector as face_detector
from tests.unit.embedder.embedding.test_find_faces import finder
from tests.unit.embedder.embedding.test_patch_features import FakeMaps, features, model, models
from tests.unit.embedder.embedding.test_read_labels import detector as label_detector
from tests.unit.embedder.embedding.test_read_labels import labelled, reader
from tests.unit.embedder.embedding.test_texts import READER
from tests.unit.embedder.servicer.test_embedding import regions
from tests.unit.embedder.spaces.test_promote import Service, fitted, service
from tests.wire.cancelled_calls import Offered, cancel_all
from tests.wire.test_embedder_repeated import STREAM

__all__ = [
    "face_detector",
    "features",
    "fitted",
    "label_detector",
    "model",
    "models",
    "reader",
    "service",
]

pytestmark = [pytest.mark.slow, pytest.mark.full]
PHOTO = photo()
ROWS: dict[str, dict[str, Any]] = {
    "EmbeddingService/BatchEmbed": {"items": [{"image": PHOTO}, {"text": "red wine"}]},
    "EmbeddingService/ComparePhotos": {"first": {"image": PHOTO}, "second": {"image": PHOTO}},
    "EmbeddingService/EmbedRegions": {"boxes": [{"left": 0, "top": 0, "right": 0.5, "bottom": 1}]},
}


@pytest.fixture
def embedding(
    model: FakeMaps,
    models: FakeModels,
    features: PatchFeatures,
    face_detector: FakeInference,
    label_detector: FakeInference,
    reader: FakeInference,
) -> EmbeddingServicer:
    """Return a servicer whose calls all find something."""
    described = replace(model.description, categories=2, shopper_views=2, cameras=True)
    embedder = embedder_of(
        FakeInference(described),
        texts=(FakeInference(READER),),
        intake=features._intake,
        names=FakeNames([("Fruit", "Apple"), ("Dairy", "Milk")]),
    )
    return EmbeddingServicer(
        embedder,
        PhotoComparer(embedder, lambda name: model, models),
        SpaceListing(embedder.spaces, FakeRecord()),
        ("default",),
        faces=finder(face_detector),
        labels=labelled(label_detector, reader),
        regions=regions(embedder),
        patches=features,
    )


async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(
    embedding: EmbeddingServicer, service: Service
) -> None:
    version, _ = service.only()
    spaces = SpaceServicer(None, service.promotion, ("default",))  # type: ignore[arg-type]
    servicers = (embedding, spaces)
    offered = Offered(scripted("embedder", servicers), EmbedderSettings(port=0))
    for name in STREAM:
        del offered.methods[name]
    space = {"version": version.version}
    visual, *_ = (await embedding.ListSpaces(pb.ListSpacesRequest(), None)).spaces
    rows = {
        **ROWS,
        "EmbeddingService/Classify": {"items": [{"image": PHOTO, "space_version": visual.version}]},
        "AdminService/PromoteSpace": space,
        "AdminService/RetireSpace": space,
    }
    awaits = await cancel_all(offered, {"image": PHOTO}, rows)
    assert all(awaits.values()), awaits
