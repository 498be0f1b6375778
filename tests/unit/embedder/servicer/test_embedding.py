"""Messages to values and back."""

from dataclasses import replace

import numpy as np
import pytest
from google.rpc import code_pb2

from embedder.adapters.line_images import OpenCvLines
from embedder.domain.errors import EmbedderUnavailable
from embedder.domain.items import Priority
from embedder.domain.labels import Label
from embedder.domain.models import TEXT, VISUAL
from embedder.domain.photos import Camera
from embedder.domain.urgency import urgency
from embedder.embedding.cache import EmbeddingCache
from embedder.embedding.compare import PhotoComparer
from embedder.embedding.embed import ItemEmbedder
from embedder.embedding.find_faces import FaceFinder
from embedder.embedding.patch_features import PatchFeatures
from embedder.embedding.photo_intake import PhotoIntake
from embedder.embedding.photos import PhotoEmbedder
from embedder.embedding.pixel_budget import PixelBudget
from embedder.embedding.read_labels import LabelReader
from embedder.embedding.regions import ObjectFinder, RegionEmbedder
from embedder.embedding.texts import TextEmbedder
from embedder.preprocessing import work
from embedder.servicer.embedding import EmbeddingServicer
from embedder.serving.model import ServedModel
from embedder.serving.model_routes import ServedSpaces
from embedder.serving.priority import ModelQueue, ModelQueues
from embedder.spaces.listing import SpaceListing
from servicekit import deadlines, telemetry
from servicekit.errors import DeadlineExceeded, ServiceError
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from servicekit.status import from_status
from sightline.common.v1 import photo_pb2, vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.embedding import FakeRecord, embedder_of
from tests.fakes.photos import photo
from tests.fakes.triton import (
    DESCRIPTION,
    FakeEncoder,
    FakeFetch,
    FakeInference,
    FakeModels,
    FakeNames,
)

SECOND = FakeInference(replace(DESCRIPTION, model="second", dimension=20, hashes={"1": "b" * 64}))


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


def regions(embedder: ItemEmbedder) -> RegionEmbedder:
    """Return an embedder of regions whose detector is never called."""
    photos, inference = embedder.photos, FakeInference()
    finder = ObjectFinder(photos.intake, photos.queues, inference, FakeModels(inference))
    return RegionEmbedder(embedder, finder)


def patches(embedder: ItemEmbedder) -> PatchFeatures:
    """Return what describes patches, which is never called: tests/wire/test_vision_patches.py tests
    it."""
    photos, inference = embedder.photos, FakeInference()
    return PatchFeatures(photos.intake, photos.queues, inference, FakeModels(inference))


def comparison(embedder: ItemEmbedder) -> PhotoComparer:
    """Return a comparer that is never called: tests/wire/test_embedder_triton.py tests
    comparisons."""
    return PhotoComparer(embedder, lambda model: FakeInference(), FakeModels())


def finder(embedder: ItemEmbedder) -> FaceFinder:
    """Return a finder of faces that is never called: tests/wire/test_embedder_triton.py tests
    them."""
    photos = embedder.photos
    return FaceFinder(photos.intake, photos.queues, FakeInference(), FakeModels())


def reader(embedder: ItemEmbedder) -> LabelReader:
    """Return a reader of labels that is never called; tested as the finder of faces is."""
    photos, model = embedder.photos, FakeInference()
    return LabelReader(
        photos.intake,
        photos.queues,
        detector=model,
        reader=model,
        models=FakeModels(),
        images=OpenCvLines(),
    )


class WatchedQueues(ModelQueues):
    """Queues that record their items."""

    def __init__(self) -> None:
        super().__init__(99)
        self.entered: list[Priority | None] = []

    def of(self, model: str) -> ModelQueue:
        self.entered.append(urgency.get())
        return super().of(model)


@pytest.fixture
def queues() -> WatchedQueues:
    return WatchedQueues()


@pytest.fixture
def servicer(inference: FakeInference, queues: WatchedQueues) -> EmbeddingServicer:
    intake = PhotoIntake(FakeDecoders(work.__name__), dict.fromkeys(Camera, PhotoLimits()))
    spaces = ServedSpaces({VISUAL: [ServedModel(inference, 30), ServedModel(SECOND, 30)], TEXT: []})
    photos = PhotoEmbedder(intake, queues, EmbeddingCache(0), FakeNames())
    texts = TextEmbedder(spaces, queues, FakeEncoder(), batch=4)
    embedder = ItemEmbedder(spaces, photos, texts, FakeFetch(), PixelBudget(intake, 10**9))
    listing = SpaceListing(spaces, FakeRecord())
    return EmbeddingServicer(
        embedder,
        comparison(embedder),
        listing,
        ("default", "wine"),
        faces=finder(embedder),
        labels=reader(embedder),
        regions=regions(embedder),
        patches=patches(embedder),
    )


def request(*items: pb.EmbedItem, **fields: object) -> pb.BatchEmbedRequest:
    return pb.BatchEmbedRequest(items=items, **fields)  # type: ignore[arg-type]


async def test_a_vector_travels_as_little_endian_float32_with_its_dimension(
    servicer: EmbeddingServicer,
) -> None:
    response = await servicer.BatchEmbed(request(pb.EmbedItem(image=photo())), None)
    (result,) = response.results
    assert result.HasField("status")
    assert result.status.code == code_pb2.OK
    assert (result.vector.space, result.vector.dimension) == ("visual", 12)
    values = np.frombuffer(result.vector.data, "<f4")
    assert values.shape == (12,)
    assert np.linalg.norm(values) == pytest.approx(1, abs=1e-6)


async def test_an_address_is_an_item_of_its_own_kind(servicer: EmbeddingServicer) -> None:
    items = [pb.EmbedItem(image_uri="https://x.test/photo"), pb.EmbedItem(image_uri="")]
    response = await servicer.BatchEmbed(request(*items), None)
    assert [from_status(result.status).reason for result in response.results] == [
        "URI_FORBIDDEN"
    ] * 2


async def test_labels_are_read_in_the_photo_at_an_address(
    servicer: EmbeddingServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[bytes]()

    async def label(photo: bytes, *_: object) -> Label:
        read.append(photo)
        return Label((), unsure=2)

    monkeypatch.setattr(servicer._labels, "read", label)
    fetch = servicer._embedder.fetch
    assert isinstance(fetch, FakeFetch)
    fetch.pages["https://x.test/photo"] = b"fetched"
    sent = pb.ReadLabelsRequest(image=b"sent", image_uri="https://x.test/photo")
    answers = [
        await servicer.ReadLabels(each, None)
        for each in (sent, pb.ReadLabelsRequest(image_uri="https://x.test/photo"))
    ]
    assert read == [b"sent", b"fetched"]
    assert [[each.stage for each in answer.stage_timings] for answer in answers] == [[], ["fetch"]]
    assert [answer.unsure_line_count for answer in answers] == [2, 2]
    with pytest.raises(ServiceError, match="host"):
        await servicer.ReadLabels(pb.ReadLabelsRequest(image_uri="https://y.test/photo"), None)


async def test_an_item_without_a_vector_says_why_and_has_none(servicer: EmbeddingServicer) -> None:
    items = [pb.EmbedItem(image=b"hello"), pb.EmbedItem(text="red"), pb.EmbedItem()]
    response = await servicer.BatchEmbed(request(*items), None)
    assert [from_status(result.status).reason for result in response.results] == [
        "IMAGE_UNDECODABLE",
        "SPACE_UNAVAILABLE",
        "ITEM_EMPTY",
    ]
    assert not any(result.HasField("vector") for result in response.results)


async def test_an_empty_photo_is_a_photo_of_no_bytes_and_no_empty_item(
    servicer: EmbeddingServicer,
) -> None:
    response = await servicer.BatchEmbed(request(pb.EmbedItem(image=b"")), None)
    assert from_status(response.results[0].status).reason == "IMAGE_UNDECODABLE"


async def test_an_undeclared_catalog_is_refused_by_every_call(servicer: EmbeddingServicer) -> None:
    with pytest.raises(CatalogNotFound):
        await servicer.BatchEmbed(request(pb.EmbedItem(image=photo()), catalog_id="x"), None)
    with pytest.raises(CatalogNotFound):
        await servicer.ListSpaces(pb.ListSpacesRequest(catalog_id="x"), None)
    for catalog in ("", "default", "wine"):
        await servicer.ListSpaces(pb.ListSpacesRequest(catalog_id=catalog), None)


async def test_each_stage_is_reported_once_from_its_first_start_to_its_last_end(
    servicer: EmbeddingServicer,
) -> None:
    items = [pb.EmbedItem(image=photo(seed=i)) for i in range(9)]
    response = await servicer.BatchEmbed(request(*items), None)
    timings = {timing.stage: timing for timing in response.stage_timings}
    assert list(timings) == ["intake_queue", "intake", "queue", "preprocess", "infer"]
    assert len(response.stage_timings) == 5
    assert all(timing.total.ToNanoseconds() > 0 for timing in timings.values())
    assert response.decoding_time.ToNanoseconds() == pytest.approx(18 * 0.01e9), "headers too"
    assert timings["intake"].start.ToNanoseconds() < timings["infer"].start.ToNanoseconds()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (vector_pb2.PRIORITY_UNSPECIFIED, Priority.INTERACTIVE),
        (vector_pb2.PRIORITY_INTERACTIVE, Priority.INTERACTIVE),
        (vector_pb2.PRIORITY_BULK, Priority.BULK),
        (99, Priority.INTERACTIVE),
    ],
)
async def test_a_request_enters_with_its_priority(
    queues: WatchedQueues, servicer: EmbeddingServicer, said: int, expected: Priority
) -> None:
    await servicer.BatchEmbed(request(pb.EmbedItem(image=photo()), priority=said), None)
    assert queues.entered == [expected]


async def test_a_call_that_comes_too_late_is_refused(servicer: EmbeddingServicer) -> None:
    with deadlines.within(0.01), pytest.raises(DeadlineExceeded):
        await servicer.BatchEmbed(request(pb.EmbedItem(image=photo())), None)


async def test_the_request_s_own_id_is_the_one_that_is_logged(servicer: EmbeddingServicer) -> None:
    await servicer.ListSpaces(pb.ListSpacesRequest(request_id="mine"), None)
    assert telemetry.request_id.get() == "mine"


async def test_a_space_whose_model_is_silent_is_listed_as_not_ready(
    servicer: EmbeddingServicer, inference: FakeInference
) -> None:
    inference.silence = EmbedderUnavailable("down")
    space, second = (await servicer.ListSpaces(pb.ListSpacesRequest(), None)).spaces
    assert (space.space, space.model, space.ready, space.version) == ("visual", "fake", False, "")
    assert space.default_version
    assert (second.model, second.ready, second.default_version) == ("second", True, False)
    assert second.dimension == 20


async def test_an_item_s_version_is_read_and_a_refusal_names_those_that_are_served(
    servicer: EmbeddingServicer,
) -> None:
    spaces = (await servicer.ListSpaces(pb.ListSpacesRequest(), None)).spaces
    versions = [space.version for space in spaces]
    items = [pb.EmbedItem(image=photo(), space_version=v) for v in [*versions, "0" * 16]]
    *done, lost = (await servicer.BatchEmbed(request(*items), None)).results
    assert [result.vector.space_version for result in done] == versions
    error = from_status(lost.status)
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "SPACE_VERSION_UNAVAILABLE")
    assert error.metadata["served_versions"].split(",") == versions


HEADED = FakeInference(
    replace(DESCRIPTION, cameras=True, categories=2, shopper_views=2, hashes={"1": "e" * 64})
)
APPLE, MILK = ("Fruit", "Apple"), ("Dairy", "Milk")


@pytest.fixture
def headed() -> EmbeddingServicer:
    """Return a servicer of one model with a head, in place of a fitted one."""
    HEADED.given.clear()
    names = FakeNames([APPLE, MILK], cosines=[[[0.25, 0.5]] * 2] * 4)
    embedder = embedder_of(HEADED, names=names)
    listing = SpaceListing(embedder.spaces, FakeRecord())
    return EmbeddingServicer(
        embedder,
        comparison(embedder),
        listing,
        ("default",),
        faces=finder(embedder),
        labels=reader(embedder),
        regions=regions(embedder),
        patches=patches(embedder),
    )


async def test_everything_that_can_be_said_of_an_item_is_read(headed: EmbeddingServicer) -> None:
    box = photo_pb2.Box(left=0.25, top=0, right=0.75, bottom=1)
    item = pb.EmbedItem(
        image=b"1", views=3, box=box, photo_kind=photo_pb2.PHOTO_KIND_CATALOGUE, classify=True
    )
    other = pb.EmbedItem(image=b"2")
    first, second = (await headed.BatchEmbed(request(item, other), None)).results
    reported = [tuple(guess.category_path) for guess in first.classification.guesses]
    assert reported == [APPLE, MILK]
    assert first.classification.space_version == first.vector.space_version
    assert not second.HasField("classification")
    assert ([*first.match_cosines], [*second.match_cosines]) == ([], [0.25, 0.5])
    kinds = sorted(given["kind"].ravel().tolist() for given in HEADED.given)
    assert kinds == [[0, 0], [1, 1, 1]]


async def test_a_bad_box_and_bad_views_are_reported_with_their_items(
    headed: EmbeddingServicer,
) -> None:
    items = [pb.EmbedItem(image=b"1", box=photo_pb2.Box()), pb.EmbedItem(image=b"1", views=-1)]
    response = await headed.BatchEmbed(request(*items), None)
    reasons = [from_status(result.status).reason for result in response.results]
    assert reasons == ["BOX_INVALID", "VIEWS_INVALID"]


async def test_photos_are_classified_each_with_a_status_of_its_own(
    headed: EmbeddingServicer,
) -> None:
    (space,) = (await headed.ListSpaces(pb.ListSpacesRequest(), None)).spaces
    items = [
        pb.EmbedItem(image=b"1", space_version=space.version),
        pb.EmbedItem(image=b"cut", space_version=space.version),
        pb.EmbedItem(text="red", space_version=space.version),
    ]
    response = await headed.Classify(pb.ClassifyRequest(items=items, top_k=1), None)
    good, bad, text = response.results
    reported = good.classification
    assert [tuple(guess.category_path) for guess in reported.guesses] == [APPLE]
    assert reported.guesses[0].probability == reported.unknown_probability == pytest.approx(0.5)
    assert reported.unknown
    assert tuple(reported.sure.category_path) == APPLE
    assert from_status(bad.status).reason == "IMAGE_UNDECODABLE"
    assert from_status(text.status).reason == "SPACE_UNAVAILABLE"


async def test_without_a_space_that_knows_categories_every_item_says_so(
    servicer: EmbeddingServicer,
) -> None:
    spaces = (await servicer.ListSpaces(pb.ListSpacesRequest(), None)).spaces
    for version in ("", spaces[0].version):
        item = pb.EmbedItem(image=photo(), space_version=version)
        (result,) = (await servicer.Classify(pb.ClassifyRequest(items=[item]), None)).results
        assert from_status(result.status).reason == "CLASSIFIER_UNAVAILABLE"


@pytest.mark.parametrize("top_k", [-1, 21])
async def test_more_guesses_than_there_are_to_be_had_are_refused(
    headed: EmbeddingServicer, top_k: int
) -> None:
    item = pb.EmbedItem(image=b"1")
    with pytest.raises(RequestInvalid, match="top_k"):
        await headed.Classify(pb.ClassifyRequest(items=[item], top_k=top_k), None)


async def test_given_regions_have_vectors_one_after_the_other(
    servicer: EmbeddingServicer,
) -> None:
    boxes = [photo_pb2.Box(right=0.5, bottom=1), photo_pb2.Box(left=0.5, right=1, bottom=1)]
    asked = pb.EmbedRegionsRequest(image=photo(), boxes=boxes)
    response = await servicer.EmbedRegions(asked, None)
    assert [each.box for each in response.regions] == boxes
    assert [each.objectness for each in response.regions] == [1, 1]
    assert response.dimension == DESCRIPTION.dimension
    assert len(response.vectors) == 2 * 4 * response.dimension
    assert response.embedded_views == 4
    assert response.space_version
    assert {each.stage for each in response.stage_timings} >= {"intake", "infer"}


@pytest.mark.parametrize("most", [-1, 301])
async def test_more_regions_than_can_be_embedded_are_refused(
    servicer: EmbeddingServicer, most: int
) -> None:
    asked = pb.EmbedRegionsRequest(image=photo(), max_regions=most)
    with pytest.raises(RequestInvalid):
        await servicer.EmbedRegions(asked, None)
