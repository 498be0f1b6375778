"""ProductService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from retriever.catalog import deletions, imports, partial_updates, products
from retriever.catalog.products import FoundProducts
from retriever.catalog.synonyms import HeldSynonyms
from retriever.columns.column_cache import Columns
from retriever.domain.distinct_pairs import DistinctPair
from retriever.ports.photos import Photos
from retriever.record import Record
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
from retriever.servicer.scenes import author_of
from retriever.servicer.shown_products import PassingProducts, ShownProducts
from retriever.servicer.table_columns import COSTS, LISTED, product_columns
from servicekit.jobs.queue import Jobs
from servicekit.rpc.requests import Pages, check_count, enter, page_size
from servicekit.rpc.server import Context
from servicekit.status import to_status
from servicekit.tasks.off_loop import in_parts
from sightline.common.v1 import facet_pb2, import_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import product_service_pb2_grpc as products_grpc
from sightline_core.columns import ProductColumns, gathered
from sightline_core.lending import ReadFilter
from sightline_core.search import ListingRequest, Rejection

DEFAULT_REJECTED, MOST_REJECTED = 10, 100
"""Rejected rows of a list."""
MOST_LOOKED_UP = 64
"""Photos of which a call asks whether they were taken down."""
ATTEMPTS = 3
"""Reads of what an answer needs at one commit."""


class WholeProducts(NamedTuple):
    """Products as callers see them, and titles of others."""

    found: FoundProducts
    shown: PassingProducts
    titles: dict[str, str]
    """By product id; unavailable titles are missing."""


@dataclass(frozen=True)
class ProductServicer(products_grpc.ProductServiceServicer):
    """Servicer of product_service.proto."""

    catalogs: Collection[str]
    record: Record
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
        self, request: gateway_pb.UpsertProductsRequest, context: Context
    ) -> gateway_pb.UpsertProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        drafts = await in_parts(map(product_messages.draft, request.products))
        outcomes, seq = await products.upsert(catalog, drafts, self.record, self.photos)
        return gateway_pb.UpsertProductsResponse(
            results=[
                product_messages.outcome(draft.product_id, outcome)
                for draft, outcome in zip(drafts, outcomes, strict=True)
            ],
            index_token=write_index_token(catalog, seq),
        )

    async def FindTakedowns(
        self, request: products_pb.FindTakedownsRequest, context: Context
    ) -> products_pb.FindTakedownsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        check_count("image_ids", len(request.image_ids), MOST_LOOKED_UP)
        found = await self.record.taken_down(catalog, request.image_ids)
        return products_pb.FindTakedownsResponse(image_ids=sorted(found))

    async def BatchGetProducts(
        self, request: products_pb.BatchGetProductsRequest, context: Context
    ) -> products_pb.BatchGetProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        as_columns = product_messages.as_columns(request.view)
        passing, named = filter_messages.read(request.filter), request.title_product_ids
        response = products_pb.BatchGetProductsResponse()
        if as_columns:
            found = await products.batch_get(
                catalog, request.product_ids, passing.condition, self.columns, beside=named
            )
            titles = found.titles(named, passing.market_id)
            response.stamp.CopyFrom(wire.stamp(found.view.table.stamped))
            await column_messages.fill(
                response.columns, found.view.table, found.places, passing.market_id
            )
        else:
            found, shown, titles = await self.whole(
                catalog, request.product_ids, passing, named, unshown=request.unshown
            )
            response.stamp.CopyFrom(wire.stamp(shown.stamp))
            response.newest_commit = shown.newest
            response.MergeFromString(b"".join([each.entry for each in shown.products]))
        response.missing_product_ids.extend(found.missing)
        response.filtered_product_ids.extend(found.filtered)
        response.titles.extend([titles.get(each, "") for each in named])
        response.catalog_product_count = self.columns.product_count(catalog)
        if request.explain_filter:
            why = await self.rejections(catalog, found.filtered, passing)
            response.rejections.extend(map(filter_messages.rejection_message, why.values()))
        return response

    async def whole(
        self,
        catalog: str,
        product_ids: Sequence[str],
        passing: ReadFilter,
        named: Sequence[str],
        *,
        unshown: bool,
    ) -> WholeProducts:
        """Return products that pass, and titles of others, all of one commit unless each of
        ATTEMPTS met a write."""
        for _ in range(ATTEMPTS):
            found = await products.batch_get(
                catalog, product_ids, passing.condition, self.columns, beside=named
            )
            table, market_id = found.view.table, passing.market_id
            titles, stamp = found.titles(named, market_id) if named else {}, table.stamped
            shown = await self.shown.passing(
                catalog, table, found.places, passing.condition, market_id, unshown=unshown
            )
            if not named or shown.stamp == stamp:
                break
            missing = len(shown.places) < len(found.places)
            if stamp.holds(shown.stamp, shown.newest, missing=missing):
                shown = shown._replace(stamp=stamp)  # as they were with these titles
                break
        return WholeProducts(found, shown, titles)

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
            flaws=product_messages.flaws(request),
        )
        response = products_pb.ListProductsResponse(next_page_token=page.next_token)
        table, market_id = page.view.table, passing.market_id
        if as_columns:
            response.stamp.CopyFrom(wire.stamp(table.stamped))
            await column_messages.fill(response.columns, table, page.places, market_id)
            return response
        shown = await self.shown.passing(
            catalog, table, page.places, passing.condition, market_id, unshown=request.unshown
        )
        response.MergeFromString(b"".join([each.entry for each in shown.products]))
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
        page, columns, shown = await self.listed(catalog, asked, passing, last)
        count = self.columns.product_count(catalog)
        response = listing_messages.response(page, shown.places, count)
        response.stamp.CopyFrom(wire.stamp(shown.stamp))
        response.MergeFromString(b"".join([each.entry for each in shown.products]))
        if request.costs:
            listing_messages.add_costs(response, columns)
        return response

    async def listed(
        self, catalog: str, asked: ListingRequest, passing: ReadFilter, last: ReadFilter | None
    ) -> tuple[listing.ListingPage, ProductColumns, PassingProducts]:
        """Return a page of the products that pass, and those of it that still do with their
        columns: all of one commit unless each of ATTEMPTS met a write of them. `last`: see
        ListingRequest."""
        query = listing_messages.query(catalog, asked, passing, last)
        synonyms = await self.synonyms.of(catalog)
        for _ in range(ATTEMPTS):
            page = await listing.browse(query, self.columns, self.record, synonyms)
            table, places = page.view.table, page.places
            columns = product_columns(
                *(table, places, query.market_id, page.stamp),
                omitted=LISTED if asked.costs else LISTED | COSTS,
            )
            shown = await self.shown.passing(
                *(catalog, table, places, query.condition, query.market_id), unshown=False
            )
            missing = len(shown.places) < len(places)
            if page.stamp.holds(shown.stamp, shown.newest, missing=missing):
                break
        if missing:
            there = frozenset(shown.places)
            columns = gathered([(columns, [at for at, row in enumerate(places) if row in there])])
        return page, columns, shown

    async def DeleteProducts(
        self, request: gateway_pb.DeleteProductsRequest, context: Context
    ) -> gateway_pb.DeleteProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        deleted, seq = await products.delete(catalog, request.product_ids, self.record)
        return gateway_pb.DeleteProductsResponse(
            deleted_count=deleted, index_token=write_index_token(catalog, seq)
        )

    async def UpdateProducts(
        self, request: gateway_pb.UpdateProductsRequest, context: Context
    ) -> gateway_pb.UpsertProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        drafts = await in_parts(map(product_messages.update, request.updates))
        outcomes, seq = await partial_updates.update(catalog, drafts, self.record, self.photos)
        return gateway_pb.UpsertProductsResponse(
            results=[
                product_messages.outcome(draft.product.product_id, outcome)
                for draft, outcome in zip(drafts, outcomes, strict=True)
            ],
            index_token=write_index_token(catalog, seq),
        )

    async def UpdateOffers(
        self, request: gateway_pb.UpdateOffersRequest, context: Context
    ) -> gateway_pb.UpdateOffersResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        market_id = request.market_id
        drafts = [product_messages.offer(offer, market_id) for offer in request.offers]
        outcomes, seq = await partial_updates.update_offers(catalog, drafts, self.record)
        return gateway_pb.UpdateOffersResponse(
            statuses=[wire.status(outcome) for outcome in outcomes],
            index_token=write_index_token(catalog, seq),
        )

    async def PurgeProducts(
        self, request: gateway_pb.PurgeProductsRequest, context: Context
    ) -> gateway_pb.PurgeProductsResponse:
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
        return gateway_pb.PurgeProductsResponse(
            product_count=found.count,
            sample_product_ids=found.sample,
            job=None if found.job is None else wire.job(found.job),
        )

    async def OpenImport(
        self, request: gateway_pb.OpenImportRequest, context: Context
    ) -> import_pb2.ImportState:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        mode = product_messages.import_mode(request.mode)
        progress = await imports.open_import(catalog, request.import_id, mode, self.record)
        return product_messages.import_state(progress)

    async def ImportProducts(
        self, request: gateway_pb.ImportProductsRequest, context: Context
    ) -> gateway_pb.ImportProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        rows = [(row.row_number, product_messages.draft(row.product)) for row in request.rows]
        taken = await imports.take(catalog, request.import_id, rows, self.record, self.photos)
        return gateway_pb.ImportProductsResponse(
            results=[
                product_messages.outcome(draft.product_id, outcome)
                for (_, draft), outcome in zip(rows, taken.outcomes, strict=True)
            ],
            state=product_messages.import_state(taken.progress),
            index_token=write_index_token(catalog, taken.seq),
        )

    async def CloseImport(
        self, request: gateway_pb.CloseImportRequest, context: Context
    ) -> gateway_pb.CloseImportResponse:
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
        return gateway_pb.CloseImportResponse(
            state=product_messages.import_state(closed.progress),
            delete_count=closed.delete_count,
            sample_product_ids=closed.sample,
            job=None if closed.job is None else wire.job(closed.job),
        )

    async def ListRejectedRows(
        self, request: gateway_pb.ListRejectedRowsRequest, context: Context
    ) -> gateway_pb.ListRejectedRowsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        size = page_size(request.page_size, DEFAULT_REJECTED, MOST_REJECTED)
        return gateway_pb.ListRejectedRowsResponse(
            rows=[
                gateway_pb.RejectedRow(
                    import_id=import_id,
                    row_number=number,
                    product_id=product_id,
                    status=to_status(error),
                )
                for import_id, number, product_id, error in await self.record.rejected_rows(
                    catalog, size
                )
            ]
        )

    async def MarkDistinctProducts(
        self, request: gateway_pb.MarkDistinctProductsRequest, context: Context
    ) -> gateway_pb.MarkDistinctProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        author = author_of(context)
        pairs = await self.record.mark_distinct(catalog, request.product_ids, author)
        return gateway_pb.MarkDistinctProductsResponse(pairs=map(_pair, pairs))

    async def UnmarkDistinctProducts(
        self, request: gateway_pb.UnmarkDistinctProductsRequest, context: Context
    ) -> gateway_pb.UnmarkDistinctProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        count = await self.record.unmark_distinct(catalog, request.product_ids)
        return gateway_pb.UnmarkDistinctProductsResponse(deleted_count=count)

    async def ListDistinctProducts(
        self, request: gateway_pb.ListDistinctProductsRequest, context: Context
    ) -> gateway_pb.ListDistinctProductsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        found, token = await _PAIR_PAGES.read(
            *((catalog, "distinct"), request.page_size, request.page_token),
            lambda place, limit: self.record.distinct_pairs(
                catalog, after="".join(place), limit=limit
            ),
        )
        return gateway_pb.ListDistinctProductsResponse(
            pairs=map(_pair, found), next_page_token=token
        )

    async def GetImage(
        self, request: products_pb.GetImageRequest, context: Context
    ) -> products_pb.GetImageResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        image, content = await products.get_image(
            catalog, request.image_id, self.record, self.photos
        )
        return products_pb.GetImageResponse(image=product_messages.image_message(image, content))


_PAIR_PAGES = Pages[DistinctPair](50, 1_000, lambda pair: (pair.pair_id,), (str,))
_pair = wire.message_of.writer(gateway_pb.DistinctPair, DistinctPair)
