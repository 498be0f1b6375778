"""The retriever's ProductService, as a training reads it."""

import grpc

from ranker.columns import products_of
from ranker.model import Product
from servicekit.status import from_rpc_error
from sightline.retriever.v1 import product_service_pb2, product_service_pb2_grpc

IDEMPOTENT = (("sightline.retriever.v1.ProductService", "ListProducts"),)
"""Calls that the channel may try again."""

PAGE_SIZE = 1000
PAGE_SECONDS = 30.0


class Catalogue:
    """The products of a catalog."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = product_service_pb2_grpc.ProductServiceStub(channel)

    async def products(self, catalog_id: str) -> tuple[Product, ...]:
        """All products, sorted by id. Raises what the retriever answers as a ServiceError."""
        products: dict[str, Product] = {}
        token = ""
        while True:
            page = await self._page(catalog_id, token)
            products |= {one.product_id: one for one in products_of(page.columns, "columns")}
            token = page.next_page_token
            if not token:
                return tuple(products[item] for item in sorted(products))

    async def _page(self, catalog_id: str, token: str) -> product_service_pb2.ListProductsResponse:
        request = product_service_pb2.ListProductsRequest(
            catalog_id=catalog_id,
            page_size=PAGE_SIZE,
            page_token=token,
            view=product_service_pb2.PRODUCT_VIEW_COLUMNS,
        )
        try:
            # A retriever that is only just starting is waited for.
            return await self._stub.ListProducts(request, timeout=PAGE_SECONDS, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
