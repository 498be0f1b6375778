"""What the retriever lends to the other services of its process: its use cases with values. The
servicers answer the same calls on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from retriever.catalog import products
from retriever.catalog.products import FoundProducts
from retriever.domain.generation import DEFAULT_SPACE, Freshness
from retriever.domain.index_values import Collapse
from retriever.domain.product import ProductOrder
from retriever.domain.vectors import GivenVector
from retriever.search import facets, keywords
from retriever.search.candidates import Candidates
from retriever.search.freshness import write_index_token
from retriever.search.query import DEFAULT_TOP_K, BlendPart, SearchQuery
from retriever.search.search import FoundNearest, search, search_each
from retriever.servicer import facet_messages, filter_messages
from retriever.servicer.keywords import KeywordServicer
from retriever.servicer.products import ProductServicer
from retriever.servicer.registry import CatalogListServicer
from retriever.servicer.table_columns import product_columns
from retriever.servicer.vector_messages import nearest_cosines
from retriever.servicer.vectors import VectorServicer
from servicekit import telemetry, tracing
from servicekit.catalogs.known import CatalogList
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.rpc.requests import catalog, check_count
from servicekit.rpc.server import Binding
from sightline.common.v1 import facet_pb2, filter_pb2
from sightline.retriever.v1 import product_service_pb2
from sightline_core import versions
from sightline_core.columns import ProductColumns, gathered, single
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.lending import LentRetriever, ReadFilter
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.search import (
    CheckedProducts,
    NearestProducts,
    ProductRows,
    Rejection,
    UsedSynonym,
    VectorBlend,
)

MOST_PAGES = 4
"""Maximum number of pages of a list read to find the newest products that pass a filter."""


@dataclass(frozen=True, eq=False)
class Lent(LentRetriever):
    """The use cases of servicers, whose collaborators these have."""

    of_products: ProductServicer
    of_vectors: VectorServicer
    of_words: KeywordServicer
    of_registry: CatalogListServicer

    def read_filter(self, message: object) -> ReadFilter:
        sent = filter_pb2.Filter() if message is None else message
        if not isinstance(sent, filter_pb2.Filter):
            raise TypeError("the filter must be a Filter message")
        return ReadFilter(filter_messages.condition(sent), sent.market_id, sent)

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        of, stages = self.of_vectors, telemetry.Stages()
        query = self._query(
            *(catalog_id, near, passing),
            top_k=top_k,
            exclude=exclude,
            min_index_token=min_index_token,
        )
        found = await search(query, of.searcher, of.remaining, stages.measure)
        return self._nearest(query, found, passing, stages.spent)

    async def search_each(
        self,
        catalog_id: str,
        blends: Sequence[VectorBlend],
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> Sequence[NearestProducts | ServiceError]:
        of, stages = self.of_vectors, telemetry.Stages()
        queries = [
            self._query(
                *(catalog_id, each, passing),
                top_k=top_k,
                exclude=exclude,
                min_index_token=min_index_token,
            )
            for each in blends
        ]
        answers = await search_each(queries, of.searcher, of.remaining, stages.measure)
        work = None if stages.spent is None else stages.spent / len(queries)
        return [
            found if isinstance(found, ServiceError) else self._nearest(query, found, passing, work)
            for query, found in zip(queries, answers, strict=True)
        ]

    def _query(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> SearchQuery:
        given, space = None, DEFAULT_SPACE
        if isinstance(near, VectorBlend):
            space = near.space or DEFAULT_SPACE
        elif not isinstance(near, str):
            given = _vector(near)
        return SearchQuery(
            catalog_id=catalog(catalog_id, self.of_vectors.catalogs),
            vector=given,
            product_id=near if isinstance(near, str) else "",
            blend=_parts(near) if isinstance(near, VectorBlend) else None,
            space=space,
            condition=passing.condition,
            top_k=top_k or DEFAULT_TOP_K,
            excluded=tuple(exclude),
            min_index_token=min_index_token,
            collapse=Collapse.MARK,
        )

    def _nearest(
        self, query: SearchQuery, found: FoundNearest, passing: ReadFilter, work: float | None
    ) -> NearestProducts:
        self.of_vectors.watchdog.see(query, found)
        tracing.note("sightline.candidates", len(found.candidates.places))
        return _nearest(query.catalog_id, found, passing.market_id, work)

    async def keywords(
        self,
        catalog_id: str,
        text: str,
        passing: ReadFilter,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str,
        correct: bool,
        labelled: bool,
    ) -> NearestProducts:
        of = self.of_words
        query = keywords.KeywordQuery(
            catalog_id=catalog(catalog_id, of.catalogs),
            text=text,
            condition=passing.condition,
            top_k=top_k or DEFAULT_TOP_K,
            excluded=tuple(exclude),
            collapse=Collapse.MARK,
            language_code=language_code,
            market_id=passing.market_id,
            correct=correct and not labelled,
            labelled=labelled,
        )
        stages = telemetry.Stages()
        synonyms = await of.synonyms.of(query.catalog_id)
        found = await keywords.search(
            query, of.record, stages.measure, columns=of.columns, synonyms=synonyms
        )
        return NearestProducts(
            columns=_columns(found.candidates, passing.market_id),
            similarities=single(found.candidates.similarities),
            image_ids=found.candidates.image_ids,
            space=None,
            freshness=None,
            plan=found.plan,
            work=stages.spent,
            collapsed=_collapsed(found.candidates),
            synonyms={name: UsedSynonym(*used) for name, used in found.uses.items()},
            corrected_text=found.corrected,
            label_words=found.read,
        )

    async def columns(
        self, catalog_id: str, ids: Sequence[str], passing: ReadFilter
    ) -> ProductColumns:
        found = await self._found(catalog_id, ids, passing)
        return product_columns(found.view.table, found.places, passing.market_id)

    async def checked(
        self, catalog_id: str, ids: Sequence[str], passing: ReadFilter
    ) -> CheckedProducts:
        found = await self._found(catalog_id, ids, passing)
        why = {}
        if found.filtered:
            name = catalog(catalog_id, self.of_products.catalogs)
            why = await products.rejections(
                name, found.filtered, passing.condition, self.of_products.record
            )
        return CheckedProducts(
            product_columns(found.view.table, found.places, passing.market_id),
            frozenset(found.missing),
            {
                name: _rejection(filter_messages.rejection(name, each, passing.sent))  # type: ignore[arg-type]
                for name, each in why.items()
            },
        )

    async def newest(self, catalog_id: str, passing: ReadFilter, count: int) -> ProductColumns:
        of, pages, token = self.of_products, list[ProductColumns](), ""
        name = catalog(catalog_id, of.catalogs)
        for _ in range(MOST_PAGES):
            page = await products.list_products(
                name,
                of.record,
                condition=passing.condition,
                order=ProductOrder.NEWEST,
                page_size=count,
                page_token=token,
                columns=of.columns,
            )
            ids = [product.content.product_id for product in page.products]
            table = (await of.columns.of(name, ids)).table
            places = [place for place in table.places(ids).tolist() if place >= 0]
            pages.append(product_columns(table, places, passing.market_id))
            count, token = count - len(places), page.next_token
            if not token or count <= 0:
                break
        return gathered([(page, range(len(page.product_ids))) for page in pages])

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        passing: ReadFilter,
        titles: Sequence[str],
        *,
        unshown: bool,
    ) -> tuple[ProductRows, int]:
        of, market_id = self.of_products, passing.market_id
        name = catalog(catalog_id, of.catalogs)
        if titles:
            check_count("title_product_ids", len(titles), products.MAX_GET)
        found = await self._found(name, ids, passing, titles)
        table = found.view.table
        beside = zip(titles, table.places(titles).tolist(), strict=True)
        named = ((each, table.title(place, market_id)) for each, place in beside if place >= 0)
        titled = {each: title for each, title in named if title}
        rows = await of.messages(
            name, table, found.places, passing.condition, market_id, unshown=unshown
        )
        return ProductRows(tuple(rows), titled), of.columns.product_count(name)

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], passing: ReadFilter
    ) -> tuple[tuple[Facet, ...], int]:
        of, messages = self.of_products, cast(Sequence[facet_pb2.FacetRequest], asked)
        name = catalog(catalog_id, of.catalogs)
        counted = facet_messages.asked(messages, passing.market_id)
        total, found = await facets.count(name, passing.condition, counted, of.columns)
        return tuple(map(facet_messages.message, found)), total

    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        """See LendsCatalogs in servicekit.rpc.catalog_registry."""
        return await self.of_registry.registry.record.catalog_list(known_revision)

    async def _found(
        self,
        catalog_id: str,
        ids: Sequence[str],
        passing: ReadFilter,
        beside: Sequence[str] = (),
    ) -> FoundProducts:
        of = self.of_products
        name = catalog(catalog_id, of.catalogs)
        return await products.batch_get(name, ids, passing.condition, of.columns, beside=beside)


def lent_by(bindings: Sequence[Binding]) -> Lent:
    """Return what a server lends that offers these services."""
    by_type = {type(each.servicer): each.servicer for each in bindings}
    kinds = (ProductServicer, VectorServicer, KeywordServicer, CatalogListServicer)
    return Lent(*(by_type[kind] for kind in kinds))  # type: ignore[arg-type]


def _vector(given: Vector) -> GivenVector:
    return GivenVector(given.space, given.space_version, given.dimension, given.data)


def _parts(blend: VectorBlend) -> tuple[BlendPart, ...]:
    weights = single([weight for weight, _ in blend.parts])
    return tuple(
        BlendPart(weight, product_id=near)
        if isinstance(near, str)
        else BlendPart(weight, _vector(near))
        for weight, (_, near) in zip(weights, blend.parts, strict=True)
    )


def _nearest(
    catalog_id: str, found: FoundNearest, market_id: str, work: float | None
) -> NearestProducts:
    made, lost = found.generation, DegradationCause.INDEX_UNAVAILABLE
    table = found.candidates.view.table
    return NearestProducts(
        columns=_columns(found.candidates, market_id),
        similarities=single(found.candidates.similarities),
        image_ids=found.candidates.image_ids,
        space=versions.SpaceVersion(made.space, made.space_version, made.name),
        freshness=_freshness(catalog_id, found.freshness),
        plan=found.plan,
        work=work,
        collapsed=_collapsed(found.candidates),
        own=product_columns(table, found.own, market_id) if found.own else None,
        degradations=(Degradation("index", lost, found.substitute),) if found.substitute else (),
        nearest_cosines=single(nearest_cosines(made)),
    )


def _columns(candidates: Candidates, market_id: str) -> ProductColumns:
    return product_columns(candidates.view.table, candidates.places, market_id)


def _collapsed(candidates: Candidates) -> Sequence[Sequence[str]]:
    return candidates.collapsed if any(candidates.collapsed) else ()


def _freshness(catalog_id: str, found: Freshness) -> versions.Freshness:
    lag = max(0, now_micros() - found.oldest_open) if found.oldest_open else 0
    token = write_index_token(catalog_id, found.seq)
    return versions.Freshness(token, timedelta(microseconds=lag), found.time, found.pending)


def _rejection(message: product_service_pb2.Rejection) -> Rejection:
    return Rejection(message.product_id, message.path, message.condition, tuple(message.held))
