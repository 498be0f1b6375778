"""The retriever's products and what they look like, as a training reads them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np

from ranker.adapters.collaborative import told
from ranker.domain.columns import products_of
from ranker.domain.product import Product, Vectors
from servicekit.errors import ServiceError
from servicekit.telemetry import get_logger
from sightline.retriever.v1 import (
    product_service_pb2,
    product_service_pb2_grpc,
    vector_service_pb2,
    vector_service_pb2_grpc,
)

IDEMPOTENT = (
    ("sightline.retriever.v1.ProductService", "ListProducts"),
    ("sightline.retriever.v1.VectorService", "ListVectors"),
)
"""Calls that the channel may try again."""

PAGE_SIZE = 1000
PAGE_SECONDS = 30.0

VISUAL = "visual"
NO_VECTORS = frozenset({"SPACE_UNAVAILABLE", "UNIMPLEMENTED"})
"""Why a retriever has none to give: no photo is indexed, or it is of an older release."""


class Catalog:
    """The products of a catalog. Each call raises what the retriever answers as a ServiceError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._products = product_service_pb2_grpc.ProductServiceStub(channel)
        self._vectors = vector_service_pb2_grpc.VectorServiceStub(channel)

    async def products(self, catalog_id: str) -> tuple[Product, ...]:
        """All products, sorted by id."""
        request = product_service_pb2.ListProductsRequest(
            catalog_id=catalog_id,
            page_size=PAGE_SIZE,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        products: dict[str, Product] = {}
        async for page in _pages(self._products.ListProducts, request):
            products |= {one.product_id: one for one in products_of(page.columns, "columns")}
        return tuple(products[item] for item in sorted(products))

    async def vectors(self, catalog_id: str) -> Vectors | None:
        """The vectors of all products' photos; None = there are none.

        They are held in memory: 4 bytes × dimension for each product.
        """
        request = vector_service_pb2.ListVectorsRequest(
            catalog_id=catalog_id, space=VISUAL, page_size=PAGE_SIZE
        )
        vectors: dict[str, bytes] = {}
        version, dimension = "", 0
        try:
            async for page in _pages(self._vectors.ListVectors, request):
                dimension, version = page.dimension, page.space.version
                width = 4 * dimension
                for place, item in enumerate(page.product_ids):
                    vectors[item] = page.vectors[place * width : (place + 1) * width]
        except ServiceError as error:
            if error.reason not in NO_VECTORS and error.code not in NO_VECTORS:
                raise
            get_logger().info("no style is learned", reason=error.reason)
            return None
        ids = tuple(sorted(vectors))
        values = np.frombuffer(b"".join(vectors[item] for item in ids), "<f4")
        return Vectors(ids, values.reshape(len(ids), dimension), version)


async def _pages(call: Callable[..., Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
    """All pages of a list. A retriever that is only just starting is waited for."""
    while True:
        page = await told(call(request, timeout=PAGE_SECONDS, wait_for_ready=True))
        yield page
        request.page_token = page.next_page_token
        if not request.page_token:
            return
