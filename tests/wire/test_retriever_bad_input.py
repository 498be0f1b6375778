"""Requests that the retriever rejects over real gRPC, with reason and field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.type import money_pb2

from retriever.domain.errors import ImageRejected
from servicekit.status import from_status
from sightline.common.v1 import product_pb2, vector_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.fakes.index import DIMENSION
from tests.fakes.photos import encoded, photo, picture
from tests.wire.retriever_shop import (
    Shop,
    by_the_engine,
    exact_rows,
    reason,
    refused,
    shop,
    vector,
    wine,
)

__all__ = ["exact_rows", "shop"]  # fixtures


async def test_bad_photos_are_refused_and_the_rest_goes_through(shop: Shop) -> None:
    whole = encoded(picture(300, 300), quality=95)
    bad = {
        "text": b"not a photo at all",
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "heavy": photo() + b"\0" * 100_000,
        "huge": encoded(picture(1, 1).resize((1_100, 1_000)), "PNG"),
    }
    items = [
        wine(name, images=[product_pb2.ProductImage(content=data)]) for name, data in bad.items()
    ]
    written = await shop.upsert(*items, wine("good", 1))
    assert {result.product_id: reason(result.status) for result in written.results} == {
        "text": "IMAGE_UNDECODABLE",
        "cut": "IMAGE_UNDECODABLE",
        "empty": "IMAGE_UNDECODABLE",
        "heavy": "IMAGE_TOO_LARGE",
        "huge": "IMAGE_TOO_LARGE",
        "good": "OK",
    }
    violation = from_status(written.results[0].status).violations[0]
    assert violation.field == "products[0].images[0].content"
    found = await shop.seen(written.index_token)
    assert list(found.candidates.product_ids) == ["good"]


async def test_bad_fields_are_named_by_their_path(shop: Shop) -> None:
    negative = money_pb2.Money(currency_code="EUR", units=-1)
    written = await shop.upsert(
        wine("a" * 129, 1),
        wine("b", 1, title="", tags=["x", "x"], price=negative),
        wine("c", 1),
        wine("c", 2),
        wine("d", 1, etag="stale"),
    )
    assert [reason(result.status) for result in written.results] == [
        "PRODUCT_INVALID",
        "PRODUCT_INVALID",
        "OK",
        "PRODUCT_INVALID",
        "ETAG_MISMATCH",
    ]
    fields = [v.field for v in from_status(written.results[1].status).violations]
    assert fields == ["products[1].title", "products[1].price.units", "products[1].tags"]


@pytest.mark.parametrize("page_size", [-1, 1_001, 10**9])
async def test_a_page_size_out_of_range_is_refused(shop: Shop, page_size: int) -> None:
    with refused("INVALID_ARGUMENT", "PAGE_SIZE_INVALID", "page_size"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(page_size=page_size))


async def test_unknown_names_are_refused_with_their_reason(shop: Shop) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    with refused("NOT_FOUND", "CATALOG_NOT_FOUND"):
        await shop.search(catalog_id="nobody", product_id="a")
    with refused("NOT_FOUND", "PRODUCT_NOT_FOUND"):
        await shop.search(product_id="nobody")
    with refused("FAILED_PRECONDITION", "SPACE_UNAVAILABLE"):
        await shop.search(product_id="a", space="text")
    with refused("NOT_FOUND", "GENERATION_NOT_FOUND"):
        await shop.search(product_id="a", generation="nobody")
    with refused("FAILED_PRECONDITION", "INDEX_VERSION_MISMATCH"):
        await shop.search(vector=vector(photo(), space_version="v0"))
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "query"):
        await shop.search()
    with refused("INVALID_ARGUMENT", "REQUEST_INVALID", "top_k"):
        await shop.search(product_id="a", top_k=10**9)
    with refused("INVALID_ARGUMENT", "INDEX_TOKEN_INVALID", "min_index_token"):
        await shop.search(product_id="a", min_index_token="!!")
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", "page_token"):
        await shop.products.ListProducts(products_pb.ListProductsRequest(page_token="!!"))
    with refused("NOT_FOUND", "IMAGE_NOT_FOUND"):
        await shop.products.GetImage(products_pb.GetImageRequest(image_id="../../etc/passwd"))


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"data": np.full(DIMENSION, np.nan, "<f4").tobytes()}, "vector.data"),
        ({"data": np.full(DIMENSION, np.inf, "<f4").tobytes()}, "vector.data"),
        ({"data": bytes(4 * DIMENSION)}, "vector.data"),
        ({"data": b"123"}, "vector.data"),
        ({"dimension": 3}, "vector.dimension"),
    ],
)
async def test_a_vector_that_can_not_be_compared_is_refused(
    shop: Shop, bad: dict[str, Any], field: str
) -> None:
    await shop.seen((await shop.upsert(wine("a", 1))).index_token)
    with refused("INVALID_ARGUMENT", "VECTOR_INVALID", field):
        await shop.search(vector=vector(photo(), **bad))


# Items with a status of their own


async def test_vectors_are_taken_one_by_one(shop: Shop) -> None:
    written = await shop.upsert(wine("a", 1))
    await shop.seen(written.index_token)
    image_id = written.results[0].image_ids[0]
    mine = vector(b"my own")

    def item(product_id: str, given: vector_pb2.Vector, image: str = image_id) -> Any:
        return vectors_pb.ImageVector(product_id=product_id, image_id=image, vector=given)

    nan = np.full(DIMENSION, np.nan, "<f4").tobytes()
    answer = await shop.vectors.UpsertVectors(
        vectors_pb.UpsertVectorsRequest(
            vectors=[
                item("a", mine),
                item("nobody", mine),
                item("a", mine, "0" * 64),
                item("a", vector(b"", data=nan)),
                item("a", vector(b"", data=bytes(4 * DIMENSION))),
                item("a", vector(b"", dimension=2)),
                item("a", vector(b"", space_version="v0")),
                item("a", vector(b"", space="text")),
            ]
        )
    )
    assert [reason(status) for status in answer.statuses] == [
        "OK",
        "PRODUCT_NOT_FOUND",
        "IMAGE_NOT_FOUND",
        "VECTOR_INVALID",
        "VECTOR_INVALID",
        "VECTOR_INVALID",
        "INDEX_VERSION_MISMATCH",
        "SPACE_UNAVAILABLE",
    ]
    found = await shop.search(vector=mine, min_index_token=answer.index_token)
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-5)


@by_the_engine
async def test_a_photo_that_the_embedder_refuses_holds_up_no_other(shop: Shop) -> None:
    shop.embedder.poison[photo(seed=1)] = ImageRejected("IMAGE_UNDECODABLE", "no")
    written = await shop.upsert(wine("bad", 1), wine("good", 2))
    found = await shop.seen(written.index_token)
    assert list(found.candidates.product_ids) == ["good"]
    count = await shop.vectors.Count(vectors_pb.CountRequest())
    assert (count.products, count.indexed, count.pending, count.failed) == (2, 1, 0, 1)
