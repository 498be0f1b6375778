"""Reads of the catalog. The retriever answers writes."""

from collections.abc import Collection
from typing import cast

import grpc

from gateway.clients.peer_calls import PeerCaller
from gateway.model.errors import ProductNotFound
from gateway.model.filters import carried
from gateway.model.price import REFERENCE_PRODUCTS, list_price, misfits_price
from gateway.model.query import AnswerScope
from gateway.ports import RetrieverPort
from gateway.servicer.list_tokens import ListTokens
from gateway.servicer.requests import admit, reads_costs
from gateway.state.prices import RequestPrices
from servicekit.keys.keyring import SigningKeys
from servicekit.rpc.requests import page_size
from servicekit.rpc.server import Context
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as pb
from sightline.gateway.v1 import catalog_service_pb2_grpc
from sightline.retriever.v1 import product_service_pb2 as retriever_pb
from sightline.retriever.v1 import product_service_pb2_grpc as retriever_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1 import vector_service_pb2_grpc as vectors_grpc

MOST_LISTED, DEFAULT_LISTED = 1_000, 100
MOST_JUDGED, DEFAULT_JUDGED = 200, 50


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Servicer of reads of the catalog."""

    def __init__(
        self,
        catalogs: Collection[str],
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        keys: SigningKeys,
        *,
        prices: RequestPrices,
        retriever: RetrieverPort,
    ) -> None:
        """`keys` sign page tokens."""
        self._prices, self._retriever = prices, retriever
        self._catalogs = catalogs
        self._tokens = ListTokens("ListProducts", keys)
        self._misfit_tokens = ListTokens("ListMisfits", keys)
        self._vectors = vectors_grpc.VectorServiceStub(channel)
        self._products = retriever_grpc.ProductServiceStub(channel)
        self._call = caller.call

    async def GetProduct(
        self, request: pb.GetProductRequest, context: Context
    ) -> product_pb2.Product:
        """Return one product."""
        catalog_id = admit(request, self._catalogs)
        scope = AnswerScope(market_id=request.market_id)
        found = await self._retriever.products(
            catalog_id, [request.product_id], scope, unshown=reads_costs()
        )
        if not found.rows:
            raise ProductNotFound("product_id")
        return cast(product_pb2.Product, found.rows[0])

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        """List products page by page."""
        request.catalog_id = admit(request, self._catalogs)
        page_size(request.page_size, 0, MOST_LISTED)
        asked = retriever_pb.ListProductsRequest(
            catalog_id=request.catalog_id,
            request_id=request.request_id,
            filter=request.filter if request.HasField("filter") else None,
            order=request.order,  # type: ignore[arg-type]  # the same numbers
            page_size=request.page_size,
            page_token=self._tokens.opened(request),
            view=retriever_pb.PRODUCT_VIEW_FULL,
            doubted_only=request.doubted_only,
            without_photo_only=request.without_photo_only,
            unshown=reads_costs(),
        )
        condition = carried(request.filter) if request.HasField("filter") else None
        flaw = "without_photo_only" if request.without_photo_only else ""
        flaw = "doubted_only" if request.doubted_only else flaw
        size = request.page_size or DEFAULT_LISTED
        products = self._prices.products(request.catalog_id)
        self._prices.check(list_price(condition, size, min(products, REFERENCE_PRODUCTS), flaw))
        price = list_price(condition, size, products, flaw)
        async with self._prices.charged(price, request.catalog_id):
            answer = await self._call(self._products.ListProducts, asked)
        token = self._tokens.sealed(request, answer.next_page_token)
        return pb.ListProductsResponse(products=answer.products, next_page_token=token)

    async def ListMisfits(
        self, request: pb.ListMisfitsRequest, context: Context
    ) -> pb.ListMisfitsResponse:
        """List photos that do not fit their product, page by page."""
        request.catalog_id = admit(request, self._catalogs)
        wanted = page_size(request.page_size, DEFAULT_JUDGED, MOST_JUDGED)
        asked = vectors_pb.ListMisfitsRequest(
            catalog_id=request.catalog_id,
            request_id=request.request_id,
            page_size=wanted,
            page_token=self._misfit_tokens.opened(request),
            min_lead=request.min_lead if request.HasField("min_lead") else None,
        )
        async with self._prices.charged(misfits_price(wanted), request.catalog_id):
            answer = await self._call(self._vectors.ListMisfits, asked)
        return pb.ListMisfitsResponse(
            misfits=answer.misfits,
            examined_count=answer.examined_count,
            next_page_token=self._misfit_tokens.sealed(request, answer.next_page_token),
            space=answer.space,
        )

    async def GetImage(
        self, request: pb.GetImageRequest, context: Context
    ) -> product_pb2.ProductImage:
        """Return a photo's bytes."""
        catalog_id = admit(request, self._catalogs)
        answer = await self._call(
            self._products.GetImage,
            retriever_pb.GetImageRequest(
                catalog_id=catalog_id, request_id=request.request_id, image_id=request.image_id
            ),
        )
        return answer.image
