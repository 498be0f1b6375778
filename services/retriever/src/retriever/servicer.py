"""ProductService and VectorService on gRPC: translate, call the use case, translate back."""
# ruff: noqa: ARG002 - gRPC hands every call its context

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import grpc

from retriever import catalogue, search, wire
from retriever.model import (
    Product,
)
from retriever.ports import CatalogueRecord, Photos, SearchRecord, VectorIndex
from servicekit import deadlines, telemetry
from servicekit.jobs import now_micros
from servicekit.requests import enter
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import product_service_pb2_grpc as products_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1 import vector_service_pb2_grpc as vectors_grpc

PRODUCT_SERVICE = "sightline.retriever.v1.ProductService"
VECTOR_SERVICE = "sightline.retriever.v1.VectorService"

RESERVE_SECONDS = 0.03
"""Kept back of a deadline to answer that the engine did not."""

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ProductServicer(products_grpc.ProductServiceServicer):
    """The record, as product_service.proto describes it."""

    def __init__(self, catalogs: Collection[str], record: CatalogueRecord, photos: Photos) -> None:
        self._catalogs = catalogs
        self._record = record
        self._photos = photos

    async def UpsertProducts(
        self, request: products_pb.UpsertProductsRequest, context: Context
    ) -> products_pb.UpsertProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        drafts = [wire.draft(product) for product in request.products]
        outcomes, seq = await catalogue.upsert(catalog, drafts, self._record, self._photos)
        return products_pb.UpsertProductsResponse(
            results=[
                wire.outcome(draft.product_id, outcome)
                for draft, outcome in zip(drafts, outcomes, strict=True)
            ],
            index_token=search.write_index_token(catalog, seq),
        )

    async def BatchGetProducts(
        self, request: products_pb.BatchGetProductsRequest, context: Context
    ) -> products_pb.BatchGetProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        as_columns = wire.as_columns(request.view)
        condition = wire.condition(request.filter)
        found = await catalogue.batch_get(catalog, request.product_ids, condition, self._record)
        response = products_pb.BatchGetProductsResponse(
            missing_product_ids=found.missing, filtered_product_ids=found.filtered
        )
        _fill(response, found.products, as_columns)
        return response

    async def ListProducts(
        self, request: products_pb.ListProductsRequest, context: Context
    ) -> products_pb.ListProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        as_columns = wire.as_columns(request.view)
        page = await catalogue.list_products(
            catalog,
            self._record,
            condition=wire.condition(request.filter),
            order=wire.order(request.order),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        response = products_pb.ListProductsResponse(next_page_token=page.next_token)
        _fill(response, page.products, as_columns)
        return response

    async def DeleteProducts(
        self, request: products_pb.DeleteProductsRequest, context: Context
    ) -> products_pb.DeleteProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        deleted, seq = await catalogue.delete(catalog, request.product_ids, self._record)
        return products_pb.DeleteProductsResponse(
            deleted_count=deleted, index_token=search.write_index_token(catalog, seq)
        )

    async def GetImage(
        self, request: products_pb.GetImageRequest, context: Context
    ) -> products_pb.GetImageResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        image, content = await catalogue.get_image(
            catalog, request.image_id, self._record, self._photos
        )
        return products_pb.GetImageResponse(image=wire.image_message(image, content))


def _fill(
    response: products_pb.BatchGetProductsResponse | products_pb.ListProductsResponse,
    found: list[Product],
    as_columns: bool,
) -> None:
    if as_columns:
        response.columns.CopyFrom(wire.columns(found))
    else:
        response.products.extend(wire.row(product) for product in found)


class VectorServicer(vectors_grpc.VectorServiceServicer):
    """Searches, as vector_service.proto describes them."""

    def __init__(
        self,
        catalogs: Collection[str],
        record: SearchRecord,
        index: VectorIndex,
        index_seconds: float,
        *,
        spaces: Collection[str] = (),
        clock: Callable[[], int] = now_micros,
    ) -> None:
        """`index_seconds`: how long the engine may take when a caller sets no deadline. `spaces`:
        those that the worker fills."""
        self._catalogs = catalogs
        self._record = record
        self._index = index
        self._seconds = index_seconds
        self._spaces = spaces
        self._clock = clock

    async def Search(
        self, request: vectors_pb.SearchRequest, context: Context
    ) -> vectors_pb.SearchResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        given = request.WhichOneof("query") == "vector"
        query = search.Query(
            catalog_id=catalog,
            vector=wire.vector(request.vector) if given else None,
            product_id=request.product_id,
            space=request.space or search.DEFAULT_SPACE,
            condition=wire.condition(request.filter),
            top_k=request.top_k or search.DEFAULT_TOP_K,
            excluded=tuple(request.exclude_product_ids),
            include_query_product=request.include_query_product,
            min_index_token=request.min_index_token,
            generation=request.generation,
        )
        stages = telemetry.Stages()
        answer = await search.search(
            query,
            self._record,
            self._index,
            self._remaining,
            stages.measure,
            awaited=self._spaces,
        )
        return vectors_pb.SearchResponse(
            candidates=wire.columns([match.product for match in answer.matches]),
            similarities=[match.similarity for match in answer.matches],
            image_ids=[match.image_id for match in answer.matches],
            space=wire.space_version(answer.generation),
            freshness=wire.freshness(
                answer.freshness,
                search.write_index_token(catalog, answer.freshness.seq),
                self._clock(),
            ),
            plan=answer.plan,
            stage_timings=wire.timings(stages.finished),
        )

    def _remaining(self) -> float | None:
        return deadlines.budget(RESERVE_SECONDS, cap=self._seconds)

    async def UpsertVectors(
        self, request: vectors_pb.UpsertVectorsRequest, context: Context
    ) -> vectors_pb.UpsertVectorsResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        outcomes, seq = await search.upsert_vectors(
            catalog, wire.given_vectors(request.vectors), self._record
        )
        return vectors_pb.UpsertVectorsResponse(
            statuses=[wire.status(outcome) for outcome in outcomes],
            index_token=search.write_index_token(catalog, seq) if seq else "",
        )

    async def Count(
        self, request: vectors_pb.CountRequest, context: Context
    ) -> vectors_pb.CountResponse:
        catalog = enter(request.catalog_id, request.request_id, self._catalogs)
        space = request.space or search.DEFAULT_SPACE
        census = await search.count(catalog, space, self._record, self._index)
        response = vectors_pb.CountResponse(
            products=census.counts.products,
            images=census.counts.images,
            indexed=census.indexed,
            pending=census.counts.pending,
            failed=census.counts.failed,
            outbox=census.counts.outbox,
        )
        if census.generation is not None and census.freshness is not None:
            response.space.CopyFrom(wire.space_version(census.generation))
            token = search.write_index_token(catalog, census.freshness.seq)
            response.freshness.CopyFrom(wire.freshness(census.freshness, token, self._clock()))
        return response
