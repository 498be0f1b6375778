"""ProductService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from retriever.catalog import deletions, imports, partial_updates, products
from retriever.catalog.products import FoundProducts, PlacesPage
from retriever.catalog.synonyms import HeldSynonyms
from retriever.columns.column_cache import Columns
from retriever.ports.catalog import CatalogRecord, DeletionRecord, ImportRecord
from retriever.ports.columns import ColumnRecord
from retriever.ports.photos import Photos
from retriever.search import facets, listing
from retriever.search.freshness import write_index_token
from retriever.servicer import (
    column_messages,
    facet_messages,
    filter_messages,
    listing_messages,
    product_messages,
)
from retriever.servicer import messages as wire
from retriever.servicer.shown_products import ShownProduct, ShownProducts
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from servicekit.tasks.off_loop import in_parts
from sightline.common.v1 import facet_pb2, import_pb2
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import product_service_pb2_grpc as products_grpc
from sightline_core.lending import ReadFilter
from sightline_core.search import ListingRequest, Rejection

R = TypeVar("R", products_pb.BatchGetProductsResponse, products_pb.ListProductsResponse)


class ProductRecord(
    CatalogRecord, ImportRecord, DeletionRecord, ColumnRecord, listing.WordRecord, Protocol
):
    """Calls of the record that this servicer uses."""


@dataclass(frozen=True)
class ProductServicer(products_grpc.ProductServiceServicer):
    """Servicer of product_service.proto."""

    catalogs: Collection[str]
    record: ProductRecord
    photos: Photos
    jobs: Jobs
    import_delete_share: float
    """Share of a catalog that an import may delete without `force`, 0 to 1."""
    columns: Columns
    synonyms: HeldSynonyms

    @cached_property
    def shown(self) -> ShownProducts:
        """Products as callers see them."""
        return ShownProducts(self.record, self.columns)

    async def UpsertProducts(
        self, request: products_pb.UpsertProductsRequest, context: Context
    ) -> products_pb.UpsertProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        drafts = await in_parts(map(product_messages.draft, request.products))
        outcomes, seq = await products.upsert(catalog, drafts, self.record, self.photos)
        return products_pb.UpsertProductsResponse(
            results=[
                product_messages.outcome(draft.product_id, outcome)
                for draft, outcome in zip(drafts, outcomes, strict=True)
            ],
            index_token=write_index_token(catalog, seq),
        )

    async def BatchGetProducts(
        self, request: products_pb.BatchGetProductsRequest, context: Context
    ) -> products_pb.BatchGetProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        as_columns = product_messages.as_columns(request.view)
        passing, named = filter_messages.read(request.filter), request.title_product_ids
        found = await products.batch_get(
            catalog, request.product_ids, passing.condition, self.columns, beside=named
        )
        titles = found.titles(named, passing.market_id) if named else {}
        response = products_pb.BatchGetProductsResponse(
            missing_product_ids=found.missing,
            filtered_product_ids=found.filtered,
            titles=[titles.get(each, "") for each in named],
            catalog_product_count=self.columns.product_count(catalog),
        )
        if request.explain_filter:
            why = await self.rejections(catalog, found.filtered, passing)
            response.rejections.extend(map(filter_messages.rejection_message, why.values()))
        return await self._with(
            response, catalog, found, passing, unshown=request.unshown, as_columns=as_columns
        )

    async def rejections(
        self, catalog: str, filtered: Sequence[str], passing: ReadFilter
    ) -> dict[str, Rejection]:
        """Return why products do not pass a filter, of those that don't."""
        why = await products.rejections(catalog, filtered, passing.condition, self.record)
        sent = passing.sent
        return {name: filter_messages.rejection(name, each, sent) for name, each in why.items()}

    async def ListProducts(
        self, request: products_pb.ListProductsRequest, context: Context
    ) -> products_pb.ListProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        as_columns = product_messages.as_columns(request.view)
        passing = filter_messages.read(request.filter)
        page = await products.list_places(
            *(catalog, self.record, self.columns),
            condition=passing.condition,
            order=product_messages.order(request.order),
            page_size=request.page_size,
            page_token=request.page_token,
            mismatched_only=request.doubted_only,
        )
        response = products_pb.ListProductsResponse(next_page_token=page.next_token)
        return await self._with(
            response, catalog, page, passing, unshown=request.unshown, as_columns=as_columns
        )

    async def _with(
        self,
        response: R,
        catalog: str,
        found: FoundProducts | PlacesPage,
        passing: ReadFilter,
        *,
        unshown: bool,
        as_columns: bool,
    ) -> R:
        """Return the response with the products that were found, as columns or whole."""
        table, places, market_id = found.view.table, found.places, passing.market_id
        if as_columns:
            await column_messages.fill(response.columns, table, places, market_id)
            return response
        _, shown = await self.shown.passing(
            catalog, table, places, passing.condition, market_id, unshown=unshown
        )
        response.MergeFromString(b"".join([each.entry for each in shown]))
        return response

    async def CountFacets(
        self, request: products_pb.CountFacetsRequest, context: Context
    ) -> products_pb.CountFacetsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        passing = filter_messages.read(request.filter)
        found, total = await self.counted(catalog, request.facets, passing)
        return products_pb.CountFacetsResponse(facets=found, product_count=total)

    async def counted(
        self, catalog: str, asked: Sequence[facet_pb2.FacetRequest], passing: ReadFilter
    ) -> tuple[Sequence[facet_pb2.Facet], int]:
        """Return the facets and the number of the products that pass. Raises FacetInvalid."""
        counted = facet_messages.asked(asked, passing.market_id)
        total, found = await facets.count(catalog, passing.condition, counted, self.columns)
        return tuple(map(facet_messages.message, found)), total

    async def BrowseProducts(
        self, request: products_pb.BrowseProductsRequest, context: Context
    ) -> products_pb.BrowseProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        passing, last = filter_messages.read(request.filter), None
        if request.HasField("last_filter"):
            last = filter_messages.read(request.last_filter)
        asked = listing_messages.asked(request)
        page, places, shown = await self.listed(catalog, asked, passing, last)
        response = listing_messages.response(page, places, self.columns.product_count(catalog))
        response.MergeFromString(b"".join([each.entry for each in shown]))
        if request.costs:
            listing_messages.add_costs(response, page.view.table, places)
        return response

    async def listed(
        self, catalog: str, asked: ListingRequest, passing: ReadFilter, last: ReadFilter | None
    ) -> tuple[listing.ListingPage, Sequence[int], Sequence[ShownProduct]]:
        """Return a page of the products that pass, and those of it that still do with their places
        in the table. `last`: see ListingRequest."""
        query = listing_messages.query(catalog, asked, passing, last)
        synonyms = await self.synonyms.of(catalog)
        page = await listing.browse(query, self.columns, self.record, synonyms)
        places, shown = await self.shown.passing(
            *(catalog, page.view.table, page.places, query.condition, query.market_id),
            unshown=False,
        )
        return page, places, shown

    async def DeleteProducts(
        self, request: products_pb.DeleteProductsRequest, context: Context
    ) -> products_pb.DeleteProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        deleted, seq = await products.delete(catalog, request.product_ids, self.record)
        return products_pb.DeleteProductsResponse(
            deleted_count=deleted, index_token=write_index_token(catalog, seq)
        )

    async def UpdateProducts(
        self, request: products_pb.UpdateProductsRequest, context: Context
    ) -> products_pb.UpsertProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        drafts = await in_parts(map(product_messages.update, request.updates))
        outcomes, seq = await partial_updates.update(catalog, drafts, self.record, self.photos)
        return products_pb.UpsertProductsResponse(
            results=[
                product_messages.outcome(draft.product.product_id, outcome)
                for draft, outcome in zip(drafts, outcomes, strict=True)
            ],
            index_token=write_index_token(catalog, seq),
        )

    async def UpdateOffers(
        self, request: products_pb.UpdateOffersRequest, context: Context
    ) -> products_pb.UpdateOffersResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        market_id = request.market_id
        drafts = [product_messages.offer(offer, market_id) for offer in request.offers]
        outcomes, seq = await partial_updates.update_offers(catalog, drafts, self.record)
        return products_pb.UpdateOffersResponse(
            statuses=[wire.status(outcome) for outcome in outcomes],
            index_token=write_index_token(catalog, seq),
        )

    async def PurgeProducts(
        self, request: products_pb.PurgeProductsRequest, context: Context
    ) -> products_pb.PurgeProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found = await deletions.purge(
            catalog,
            filter_messages.required_condition(request.filter),
            filter_messages.packed(request.filter),
            self.record,
            self.jobs,
            force=request.force,
            request_id=request.request_id,
        )
        return products_pb.PurgeProductsResponse(
            product_count=found.count,
            sample_product_ids=found.sample,
            job=None if found.job is None else wire.job(found.job),
        )

    async def OpenImport(
        self, request: products_pb.OpenImportRequest, context: Context
    ) -> import_pb2.ImportState:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        mode = product_messages.import_mode(request.mode)
        progress = await imports.open_import(catalog, request.import_id, mode, self.record)
        return product_messages.import_state(progress)

    async def ImportProducts(
        self, request: products_pb.ImportProductsRequest, context: Context
    ) -> products_pb.ImportProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        rows = [(row.row_number, product_messages.draft(row.product)) for row in request.rows]
        taken = await imports.take(catalog, request.import_id, rows, self.record, self.photos)
        return products_pb.ImportProductsResponse(
            results=[
                product_messages.outcome(draft.product_id, outcome)
                for (_, draft), outcome in zip(rows, taken.outcomes, strict=True)
            ],
            state=product_messages.import_state(taken.progress),
            index_token=write_index_token(catalog, taken.seq),
        )

    async def CloseImport(
        self, request: products_pb.CloseImportRequest, context: Context
    ) -> products_pb.CloseImportResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        closed = await imports.close(
            catalog,
            request.import_id,
            self.record,
            self.jobs,
            share=self.import_delete_share,
            force=request.force,
            dry_run=request.dry_run,
        )
        return products_pb.CloseImportResponse(
            state=product_messages.import_state(closed.progress),
            delete_count=closed.delete_count,
            sample_product_ids=closed.sample,
            job=None if closed.job is None else wire.job(closed.job),
        )

    async def GetImage(
        self, request: products_pb.GetImageRequest, context: Context
    ) -> products_pb.GetImageResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        image, content = await products.get_image(
            catalog, request.image_id, self.record, self.photos
        )
        return products_pb.GetImageResponse(image=product_messages.image_message(image, content))
