"""Messages to values and back."""

from dataclasses import replace

import numpy as np
import pytest
from google.rpc import code_pb2

from embedder.embed import Embedder
from embedder.intake import Gate, PhotoIntake
from embedder.model import EmbedderUnavailable, Priority
from embedder.servicer import EmbeddingServicer
from embedder.space import VisualSpace
from embedder.versions import VisualSpaces
from servicekit import deadlines, telemetry
from servicekit.errors import DeadlineExceeded
from servicekit.requests import CatalogNotFound
from servicekit.status import from_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline_rules.photos import PhotoLimits
from tests.fakes.decoding import FakeDecoders
from tests.fakes.photos import photo
from tests.fakes.triton import DESCRIPTION, FakeFetch, FakeInference

SECOND = FakeInference(replace(DESCRIPTION, model="second", dimension=20, hashes={"1": "b" * 64}))


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


class WatchedGate(Gate):
    """A gate that remembers who came."""

    entered: list[Priority]

    async def enter(self, priority: Priority) -> None:
        self.entered.append(priority)
        await super().enter(priority)


@pytest.fixture
def gate() -> WatchedGate:
    gate = WatchedGate(2, 9)
    gate.entered = []
    return gate


@pytest.fixture
def servicer(inference: FakeInference, gate: WatchedGate) -> EmbeddingServicer:
    intake = PhotoIntake(FakeDecoders(), PhotoLimits())
    visual = VisualSpaces([VisualSpace(inference, 30), VisualSpace(SECOND, 30)])
    gates = {"fake": gate, "second": gate}
    embedder = Embedder(visual, intake, FakeFetch(), gates, batch=4)
    return EmbeddingServicer(embedder, ("default", "wine"))


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
    assert list(timings) == ["queue", "intake", "preprocess", "infer"]
    assert len(response.stage_timings) == 4
    assert all(timing.total.ToNanoseconds() > 0 for timing in timings.values())
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
    gate: WatchedGate, servicer: EmbeddingServicer, said: int, expected: Priority
) -> None:
    await servicer.BatchEmbed(request(pb.EmbedItem(image=photo()), priority=said), None)
    assert gate.entered == [expected]


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
