"""Invalid input is rejected with a reason, the rest of its batch succeeds, and unusual valid input
succeeds.
"""

import io
import math
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from PIL import Image

from examples.wines.catalogue import HERE
from local_suite.suite import Suite
from sightline.common.v1 import job_service_pb2
from sightline.common.v1.filter_pb2 import Comparison, Filter, FilterValue
from sightline.common.v1.vector_pb2 import Vector
from sightline.embedder.v1 import embedding_service_pb2 as embedding
from sightline.embedder.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from sightline.gateway.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    user_event_service_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from sightline.gateway.v1 import recommendation_service_pb2 as recommendation
from sightline.gateway.v1.catalog_service_pb2 import ListProductsRequest
from sightline.gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.ranker.v1 import (
    answer_service_pb2,
    event_service_pb2,
    model_service_pb2,
    ranking_service_pb2,
)
from sightline.retriever.v1 import product_service_pb2
from sightline.retriever.v1 import vector_service_pb2 as vectors
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from sightline_client import (
    Event,
    EventType,
    F,
    Product,
    ProductImage,
    SightlineClient,
    SightlineError,
)
from sightline_client.errors import from_rpc_error
from tests.live.conftest import until_indexed

WINE = (HERE / "images" / "100062.jpg").read_bytes()
CATALOG = "rubbish"


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def bomb() -> bytes:
    """Return a PNG whose header claims 30,000 × 30,000 pixels."""
    data = bytearray(png(Image.new("1", (8, 8))))
    header = struct.pack(">II", 30_000, 30_000) + bytes(data[24:29])
    data[16:33] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return bytes(data)


PUBLIC = {
    "gateway": [
        *(recommendation, catalog_service_pb2, user_event_service_pb2, admin_service_pb2),
        *(watch_service_pb2, webhook_service_pb2),
    ],
}
PRIVATE = {
    "embedder": [embedding],
    "retriever": [product_service_pb2, vectors],
    "ranker": [
        ranking_service_pb2,
        event_service_pb2,
        answer_service_pb2,
        model_service_pb2,
        job_service_pb2,
    ],
}

BAD_PHOTOS = {
    "a text file": (b"This is not a photo.\n", "IMAGE_UNDECODABLE"),
    "a truncated jpeg": (WINE[: len(WINE) // 2], "IMAGE_UNDECODABLE"),
    "0 bytes": (b"", "IMAGE_UNDECODABLE"),
    "over the byte cap": (WINE + bytes(10 * 2**20), "IMAGE_TOO_LARGE"),
    "over the pixel cap": (bomb(), "IMAGE_TOO_LARGE"),
}


@pytest_asyncio.fixture
async def rubbish(gateway: str) -> AsyncIterator[SightlineClient]:
    async with SightlineClient(gateway, catalog=CATALOG) as opened:
        yield opened


@pytest_asyncio.fixture
async def public(gateway: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gateway) as channel:
        yield channel


async def refusal(call: Awaitable[object]) -> tuple[str, str]:
    """Return code and reason of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.code.name, error.reason


@pytest.mark.parametrize("name", [name for name in BAD_PHOTOS if name != "0 bytes"])
async def test_a_bad_photo_refuses_its_product_and_the_rest_goes_through(
    rubbish: SightlineClient, name: str
) -> None:
    data, reason = BAD_PHOTOS[name]
    report = await rubbish.upsert_products(
        [
            Product(f"good before {name}", "Good", images=(ProductImage(WINE),)),
            Product(f"bad {name}", "Bad", images=(ProductImage(data),)),
            Product(f"good after {name}", "Good", images=(ProductImage(WINE),)),
        ]
    )
    assert [(row.product_id, row.error and row.error.reason) for row in report.failures] == [
        (f"bad {name}", reason)
    ]
    assert report.stored_count == 2
    assert (await rubbish.get_product(f"good after {name}")).title == "Good"
    with pytest.raises(SightlineError) as caught:
        await rubbish.get_product(f"bad {name}")
    assert caught.value.reason == "PRODUCT_NOT_FOUND"


async def test_a_product_photo_of_0_bytes_is_refused(rubbish: SightlineClient) -> None:
    report = await rubbish.upsert_products([Product("empty", "Empty", images=(ProductImage(),))])
    assert [row.error and row.error.code.name for row in report.failures] == ["INVALID_ARGUMENT"]


@pytest.mark.parametrize("name", BAD_PHOTOS)
async def test_a_bad_photo_as_a_query_is_refused_with_its_field(
    client: SightlineClient, name: str
) -> None:
    data, reason = BAD_PHOTOS[name]
    with pytest.raises(SightlineError) as caught:
        await client.recommend(image=data)
    assert (caught.value.code.name, caught.value.reason) == ("INVALID_ARGUMENT", reason)
    assert "signals[0].image" in {violation.field for violation in caught.value.violations}


async def test_the_embedder_refuses_item_by_item(suite: Suite) -> None:
    items = [embedding.EmbedItem(image=data) for data, _ in BAD_PHOTOS.values()]
    unknown = embedding.EmbedItem(image=WINE, space="smell")
    async with grpc.aio.insecure_channel(suite.addresses()["embedder"]) as channel:
        answer = await EmbeddingServiceStub(channel).BatchEmbed(
            embedding.BatchEmbedRequest(items=[*items, unknown, embedding.EmbedItem(image=WINE)])
        )
    codes = [result.status.code for result in answer.results]
    assert all(code not in (0, 2, 13) for code in codes[:-1]), codes
    assert codes[-1] == 0
    assert answer.results[-1].vector.dimension == 1_280


async def test_unknown_names_are_refused(
    gateway: str, client: SightlineClient, public: grpc.aio.Channel, suite: Suite
) -> None:
    async with SightlineClient(gateway, catalog="nowhere") as nowhere:
        for call in (
            nowhere.recommend(products="100062"),
            nowhere.get_product("100062"),
            nowhere.write_events([Event("e", EventType.VIEW, "p", visitor="v")]),
        ):
            with pytest.raises(SightlineError) as caught:
                await call
            assert caught.value.reason == "CATALOG_NOT_FOUND"
    for awaitable, reason in (
        (client.recommend(products="no such wine"), "PRODUCT_NOT_FOUND"),
        (client.get_product("no such wine"), "PRODUCT_NOT_FOUND"),
        (client.recommend(scene="no such scene"), "SCENE_NOT_FOUND"),
    ):
        with pytest.raises(SightlineError) as caught:
            await awaitable
        assert (caught.value.code.name, caught.value.reason) == ("NOT_FOUND", reason)
    async with grpc.aio.insecure_channel(suite.addresses()["retriever"]) as channel:
        request = vectors.SearchRequest(product_id="100062", space="smell")
        assert (await refusal(VectorServiceStub(channel).Search(request)))[1] == "SPACE_UNAVAILABLE"


async def test_an_unknown_filter_field_is_refused_with_its_path(
    client: SightlineClient, public: grpc.aio.Channel
) -> None:
    comparison = Comparison(
        field="colour", operator=Comparison.OPERATOR_EQUAL, value=FilterValue(text="red")
    )
    request = recommendation.RecommendRequest(filter=Filter(comparison=comparison))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await RecommendationServiceStub(public).Recommend(request)
    error = from_rpc_error(caught.value)
    assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "FILTER_INVALID")
    assert [violation.field for violation in error.violations] == ["filter.comparison.field"]


HOSTILE = [
    'O\'Neil "the" \\ winery',
    '" or brand != "',
    "' or 1 == 1 or brand == '",
    "\\",
    '\\" || true || \\"',
    "100%_like\t",
    "酒庄\N{GRINNING FACE}",
]


async def test_hostile_filter_values_match_only_themselves(rubbish: SightlineClient) -> None:
    report = await rubbish.upsert_products(
        Product(f"hostile-{number}", "Hostile", brand=brand, images=(ProductImage(WINE),))
        for number, brand in enumerate(HOSTILE)
    )
    assert report.failures == ()
    await until_indexed(rubbish, images=len(HOSTILE))
    for number, brand in enumerate(HOSTILE):
        answer = await rubbish.recommend(image=WINE, filter=F.brand == brand)
        listed = [
            product.product_id async for product in rubbish.list_products(filter=F.brand == brand)
        ]
        assert [result.product.product_id for result in answer.results] == [f"hostile-{number}"]
        assert listed == [f"hostile-{number}"]
    nothing = await rubbish.recommend(image=WINE, filter=F.brand == '" or true or brand == "')
    assert nothing.results == ()
    assert nothing.degradations == ()


@pytest.mark.parametrize("size", [-1, 10**9])
async def test_an_impossible_page_size_is_refused(
    client: SightlineClient, public: grpc.aio.Channel, size: int
) -> None:
    recommend = RecommendationServiceStub(public)
    signal = recommendation.QuerySignal(product_id="100062")
    for call in (
        recommend.Recommend(recommendation.RecommendRequest(page_size=size)),
        recommend.Search(recommendation.SearchRequest(signals=[signal], page_size=size)),
        CatalogServiceStub(public).ListProducts(ListProductsRequest(page_size=size)),
    ):
        code, reason = await refusal(call)
        assert code == "INVALID_ARGUMENT"
        assert "PAGE_SIZE" in reason


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
async def test_a_vector_that_is_no_direction_is_refused(
    client: SightlineClient, suite: Suite, value: float
) -> None:
    status = await client.status()
    assert status.visual_space is not None
    vector = Vector(
        space="visual",
        space_version=status.visual_space.version,
        dimension=1_280,
        data=struct.pack("<1280f", *[value] * 1_280),
    )
    image_id = (await client.get_product("100062")).images[0].image_id
    given = vectors.ImageVector(product_id="100062", image_id=image_id, vector=vector)
    async with grpc.aio.insecure_channel(suite.addresses()["retriever"]) as channel:
        stub = VectorServiceStub(channel)
        found = await refusal(stub.Search(vectors.SearchRequest(vector=vector)))
        assert found == ("INVALID_ARGUMENT", "VECTOR_INVALID")
        stored = await stub.UpsertVectors(vectors.UpsertVectorsRequest(vectors=[given]))
        assert [status.code for status in stored.statuses] == [3]


async def test_events_from_the_far_future_are_refused_and_the_rest_is_kept(
    rubbish: SightlineClient,
) -> None:
    now = datetime.now(UTC)
    report = await rubbish.write_events(
        [
            Event("future", EventType.VIEW, "p", visitor="v", time=now + timedelta(days=400)),
            Event("present", EventType.VIEW, "p", visitor="v", time=now),
        ]
    )
    assert [(row.event_id, row.error.reason) for row in report.failures] == [
        ("future", "EVENT_TIME_INVALID")
    ]
    assert report.written_count == 1


async def test_odd_but_good_input_succeeds(rubbish: SightlineClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    Image.open(io.BytesIO(WINE)).rotate(90, expand=True).save(turned, "JPEG", exif=exif)
    report = await rubbish.upsert_products(
        [
            Product("turned", "Turned", images=(ProductImage(turned.getvalue()),)),
            Product("dot", "Dot", images=(ProductImage(png(Image.new("RGB", (1, 1), "red"))),)),
            Product("上海-1", "长城干红葡萄酒", language="zh-Hans", images=(ProductImage(WINE),)),
        ]
    )
    assert report.failures == ()
    assert (await rubbish.get_product("上海-1")).title == "长城干红葡萄酒"
    turned_image = (await rubbish.get_product("turned")).images[0]
    assert turned_image.height > turned_image.width
    answer = await rubbish.recommend(image=WINE, min_index_token=report.index_token, page_size=200)
    # The turned one shows the same picture, as does what other tests made of it.
    shown = {
        result.product.product_id: set(result.collapsed_product_ids) for result in answer.results
    }
    assert {"turned", "dot", "上海-1"} <= shown.keys() | set().union(*shown.values())


async def test_a_duplicate_event_counts_once_and_unknown_products_are_kept(
    rubbish: SightlineClient,
) -> None:
    event = Event("twice", EventType.VIEW, "not yet known", visitor="w", time=datetime.now(UTC))
    first, again = [await rubbish.write_events([event]) for _ in range(2)]
    assert (first.written_count, first.duplicate_count, first.failures) == (1, 0, ())
    assert (again.written_count, again.duplicate_count, again.failures) == (0, 1, ())


@pytest.mark.parametrize("service", ["gateway", "embedder", "retriever", "ranker"])
async def test_bytes_that_are_no_message_are_refused_by_every_call(
    suite: Suite, service: str
) -> None:
    methods = [
        f"/{name.full_name}/{method.name}"
        for file in (PUBLIC | PRIVATE)[service]
        for name in file.DESCRIPTOR.services_by_name.values()
        for method in name.methods
        if not method.server_streaming
    ]
    assert methods
    async with grpc.aio.insecure_channel(suite.addresses()[service]) as channel:
        for method in methods:
            found = await refusal(channel.unary_unary(method, None, None)(b"\xff\xff garbage"))
            assert found == ("INVALID_ARGUMENT", "REQUEST_MALFORMED"), method


def test_nothing_of_this_was_taken_for_a_mistake_of_our_own(suite: Suite) -> None:
    """Check, last in this file, that no service answered INTERNAL or UNKNOWN to any of it."""
    logs = [path for path in Path(suite.layout.logs).glob("*.log") if path.stem != "triton"]
    assert {path.stem for path in logs} >= {"all", "milvus", "retriever-worker", "ranker-worker"}
    guilty = [
        (path.name, line)
        for path in logs
        for line in path.read_text(errors="replace").splitlines()
        if '"code": "INTERNAL"' in line or '"code": "UNKNOWN"' in line
    ]
    assert guilty == []
