"""CatalogService on the wire: the retriever's ProductService under the public contract."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

from collections.abc import Sequence
from typing import Any

import grpc

from gateway.clients.calls import Caller
from gateway.model import ProductNotFound
from gateway.servicer.requests import Context, admit, check_count
from servicekit.requests import page_size
from sightline.common.v1 import import_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as pb
from sightline.gateway.v1 import catalog_service_pb2_grpc
from sightline.retriever.v1 import product_service_pb2 as retriever_pb
from sightline.retriever.v1 import product_service_pb2_grpc as retriever_grpc

NAME = "sightline.gateway.v1.CatalogService"
MOST_PRODUCTS = 100
MOST_OFFERS = 1_000
MOST_DELETED = 1_000
MOST_LISTED = 1_000


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Passes the catalogue's calls on to the retriever."""

    def __init__(self, catalogs: Sequence[str], channel: grpc.aio.Channel, caller: Caller) -> None:
        self._catalogs = catalogs
        self._products = retriever_grpc.ProductServiceStub(channel)
        self._caller = caller

    async def UpsertProducts(
        self, request: pb.UpsertProductsRequest, context: Context
    ) -> pb.UpsertProductsResponse:
        """Create or replace products."""
        catalog_id = admit(request, self._catalogs)
        check_count("products", len(request.products), MOST_PRODUCTS)
        answer: retriever_pb.UpsertProductsResponse = await self._call(
            self._products.UpsertProducts,
            retriever_pb.UpsertProductsRequest(
                catalog_id=catalog_id, request_id=request.request_id, products=request.products
            ),
        )
        return pb.UpsertProductsResponse(
            results=map(_result, answer.results), index_token=answer.index_token
        )

    async def GetProduct(
        self, request: pb.GetProductRequest, context: Context
    ) -> product_pb2.Product:
        """One product."""
        catalog_id = admit(request, self._catalogs)
        answer: retriever_pb.BatchGetProductsResponse = await self._call(
            self._products.BatchGetProducts,
            retriever_pb.BatchGetProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                product_ids=[request.product_id],
            ),
        )
        if not answer.products:
            raise ProductNotFound("product_id")
        return answer.products[0]

    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        """Products page by page."""
        catalog_id = admit(request, self._catalogs)
        page_size(request.page_size, 0, MOST_LISTED)
        answer: retriever_pb.ListProductsResponse = await self._call(
            self._products.ListProducts,
            retriever_pb.ListProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                filter=request.filter if request.HasField("filter") else None,
                order=_ORDERS.get(request.order, request.order),  # type: ignore[arg-type]
                page_size=request.page_size,
                page_token=request.page_token,
                view=retriever_pb.PRODUCT_VIEW_FULL,
                doubted_only=request.doubted_only,
            ),
        )
        return pb.ListProductsResponse(
            products=answer.products, next_page_token=answer.next_page_token
        )

    async def DeleteProducts(
        self, request: pb.DeleteProductsRequest, context: Context
    ) -> pb.DeleteProductsResponse:
        """Delete products."""
        catalog_id = admit(request, self._catalogs)
        check_count("product_ids", len(request.product_ids), MOST_DELETED)
        answer: retriever_pb.DeleteProductsResponse = await self._call(
            self._products.DeleteProducts,
            retriever_pb.DeleteProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                product_ids=request.product_ids,
            ),
        )
        return pb.DeleteProductsResponse(
            deleted_count=answer.deleted_count, index_token=answer.index_token
        )

    async def UpdateProducts(
        self, request: pb.UpdateProductsRequest, context: Context
    ) -> pb.UpsertProductsResponse:
        """Change products in part."""
        catalog_id = admit(request, self._catalogs)
        check_count("updates", len(request.updates), MOST_PRODUCTS)
        answer: retriever_pb.UpsertProductsResponse = await self._call(
            self._products.UpdateProducts,
            retriever_pb.UpdateProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                updates=[
                    retriever_pb.ProductUpdate(product=item.product, update_mask=item.update_mask)
                    for item in request.updates
                ],
            ),
        )
        return pb.UpsertProductsResponse(
            results=map(_result, answer.results), index_token=answer.index_token
        )

    async def UpdateOffers(
        self, request: pb.UpdateOffersRequest, context: Context
    ) -> pb.UpdateOffersResponse:
        """Set prices and availability."""
        catalog_id = admit(request, self._catalogs)
        check_count("offers", len(request.offers), MOST_OFFERS)
        answer: retriever_pb.UpdateOffersResponse = await self._call(
            self._products.UpdateOffers,
            retriever_pb.UpdateOffersRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                offers=[
                    retriever_pb.Offer(
                        product_id=item.product_id,
                        price=item.price if item.HasField("price") else None,
                        availability=item.availability,
                    )
                    for item in request.offers
                ],
            ),
        )
        return pb.UpdateOffersResponse(statuses=answer.statuses, index_token=answer.index_token)

    async def PurgeProducts(
        self, request: pb.PurgeProductsRequest, context: Context
    ) -> pb.PurgeProductsResponse:
        """Count the products that pass a filter, or start the job that deletes them."""
        catalog_id = admit(request, self._catalogs)
        answer: retriever_pb.PurgeProductsResponse = await self._call(
            self._products.PurgeProducts,
            retriever_pb.PurgeProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                filter=request.filter if request.HasField("filter") else None,
                force=request.force,
            ),
        )
        return pb.PurgeProductsResponse(
            product_count=answer.product_count,
            sample_product_ids=answer.sample_product_ids,
            job=answer.job if answer.HasField("job") else None,
        )

    async def OpenImport(
        self, request: pb.OpenImportRequest, context: Context
    ) -> import_pb2.ImportState:
        """Begin an import, or say how far it is."""
        catalog_id = admit(request, self._catalogs)
        state: import_pb2.ImportState = await self._call(
            self._products.OpenImport,
            retriever_pb.OpenImportRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                import_id=request.import_id,
                mode=request.mode,
            ),
        )
        return state

    async def ImportProducts(
        self, request: pb.ImportProductsRequest, context: Context
    ) -> pb.ImportProductsResponse:
        """Write rows of an import."""
        catalog_id = admit(request, self._catalogs)
        check_count("rows", len(request.rows), MOST_PRODUCTS)
        answer: retriever_pb.ImportProductsResponse = await self._call(
            self._products.ImportProducts,
            retriever_pb.ImportProductsRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                import_id=request.import_id,
                rows=[
                    retriever_pb.ImportRow(
                        row_number=row.row_number,
                        product=row.product if row.HasField("product") else None,
                    )
                    for row in request.rows
                ],
            ),
        )
        return pb.ImportProductsResponse(
            results=map(_result, answer.results),
            state=answer.state,
            index_token=answer.index_token,
        )

    async def CloseImport(
        self, request: pb.CloseImportRequest, context: Context
    ) -> pb.CloseImportResponse:
        """End an import."""
        catalog_id = admit(request, self._catalogs)
        answer: retriever_pb.CloseImportResponse = await self._call(
            self._products.CloseImport,
            retriever_pb.CloseImportRequest(
                catalog_id=catalog_id,
                request_id=request.request_id,
                import_id=request.import_id,
                force=request.force,
                dry_run=request.dry_run,
            ),
        )
        return pb.CloseImportResponse(
            state=answer.state,
            delete_count=answer.delete_count,
            sample_product_ids=answer.sample_product_ids,
            job=answer.job if answer.HasField("job") else None,
        )

    async def GetImage(
        self, request: pb.GetImageRequest, context: Context
    ) -> product_pb2.ProductImage:
        """A photo's bytes."""
        catalog_id = admit(request, self._catalogs)
        answer: retriever_pb.GetImageResponse = await self._call(
            self._products.GetImage,
            retriever_pb.GetImageRequest(
                catalog_id=catalog_id, request_id=request.request_id, image_id=request.image_id
            ),
        )
        return answer.image

    async def _call(self, method: Any, request: Any) -> Any:
        return await self._caller.call(method, request)


def _result(item: retriever_pb.UpsertResult) -> pb.UpsertResult:
    return pb.UpsertResult(
        status=item.status,
        product_id=item.product_id,
        etag=item.etag,
        image_ids=item.image_ids,
    )


_ORDERS = {
    pb.ListProductsRequest.ORDER_UNSPECIFIED: retriever_pb.ListProductsRequest.ORDER_UNSPECIFIED,
    pb.ListProductsRequest.ORDER_PRODUCT_ID: retriever_pb.ListProductsRequest.ORDER_PRODUCT_ID,
    pb.ListProductsRequest.ORDER_NEWEST: retriever_pb.ListProductsRequest.ORDER_NEWEST,
}
"""An order that neither knows is passed on as its number, for the retriever to refuse."""
