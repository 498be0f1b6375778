"""What the retriever lends to the other services of its process: its use cases with values. The
servicers answer the same calls on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from retriever.catalog import products
from retriever.catalog.products import FoundProducts
from retriever.domain.product import ProductOrder
from retriever.search.candidates import Candidates
from retriever.search.search import FoundNearest
from retriever.search.suggest import SuggestionQuery
from retriever.servicer import facet_messages, filter_messages, listing_messages, vector_messages
from retriever.servicer.keywords import KeywordServicer
from retriever.servicer.products import ProductServicer
from retriever.servicer.registry import CatalogListServicer
from retriever.servicer.table_columns import ALIKE, product_columns
from retriever.servicer.vectors import VectorServicer
from servicekit.catalogs.known import CatalogList
from servicekit.clock import now_micros
from servicekit.errors import ServiceError
from servicekit.rpc.requests import catalog
from servicekit.rpc.server import Binding
from servicekit.telemetry import Stages
from sightline.common.v1 import facet_pb2, filter_pb2
from sightline_core.columns import ProductColumns, single
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.lending import LentRetriever, ReadFilter
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.search import (
    CatalogSuggestions,
    CheckedProducts,
    ListedProducts,
    ListingRequest,
    NearestProducts,
    ProductRows,
    UsedSynonym,
    VectorBlend,
)
from sightline_core.versions import SpaceVersion


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
        return filter_messages.read(sent)

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        scope: ReadFilter,
        **asked: Any,
    ) -> NearestProducts:
        of, stages = self.of_vectors, Stages()
        name = catalog(catalog_id, of.catalogs)
        found = await of.found(name, near, scope, stages, **asked)
        return _nearest(name, found, scope.market_id, stages.spent)

    async def search_each(
        self, catalog_id: str, blends: Sequence[VectorBlend], scope: ReadFilter, **asked: Any
    ) -> Sequence[NearestProducts | ServiceError]:
        of, stages = self.of_vectors, Stages()
        name = catalog(catalog_id, of.catalogs)
        answers = await of.found_each(name, blends, scope, stages, **asked)
        work = None if stages.spent is None else stages.spent / len(answers)
        return [
            found
            if isinstance(found, ServiceError)
            else _nearest(name, found, scope.market_id, work)
            for found in answers
        ]

    async def keywords(
        self, catalog_id: str, text: str, scope: ReadFilter, **asked: Any
    ) -> NearestProducts:
        of, stages = self.of_words, Stages()
        found = await of.found(catalog(catalog_id, of.catalogs), text, scope, stages, **asked)
        return _found(
            found.candidates,
            scope.market_id,
            plan=found.plan,
            work=stages.spent,
            space=None,
            freshness=None,
            synonyms={name: UsedSynonym(*used) for name, used in found.uses.items()},
            corrected_text=found.corrected,
            label_words=found.read,
        )

    async def columns(
        self, catalog_id: str, ids: Sequence[str], scope: ReadFilter
    ) -> ProductColumns:
        found = await self._got(catalog(catalog_id, self.of_products.catalogs), ids, scope)
        return product_columns(found.view.table, found.places, scope.market_id)

    async def checked(
        self, catalog_id: str, ids: Sequence[str], scope: ReadFilter
    ) -> CheckedProducts:
        name = catalog(catalog_id, self.of_products.catalogs)
        found = await self._got(name, ids, scope)
        return CheckedProducts(
            product_columns(found.view.table, found.places, scope.market_id),
            frozenset(found.missing),
            await self.of_products.rejections(name, found.filtered, scope),
        )

    async def newest(
        self, catalog_id: str, scope: ReadFilter, count: int, token: str
    ) -> tuple[ProductColumns, str]:
        of = self.of_products
        page = await products.list_places(
            catalog(catalog_id, of.catalogs),
            of.record,
            of.columns,
            condition=scope.condition,
            order=ProductOrder.NEWEST,
            page_size=count,
            page_token=token,
        )
        columns = product_columns(page.view.table, page.places, scope.market_id)
        return columns, page.next_token

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: ReadFilter,
        titles: Sequence[str],
        *,
        unshown: bool,
    ) -> tuple[ProductRows, int]:
        of = self.of_products
        name = catalog(catalog_id, of.catalogs)
        _, shown, beside = await of.whole(name, ids, scope, titles, unshown=unshown)
        rows = tuple([each.read or each.message for each in shown.products])
        found = ProductRows(rows, beside, shown.stamp, shown.newest)
        return found, of.columns.product_count(name)

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: ReadFilter
    ) -> tuple[Sequence[Facet], int]:
        of, messages = self.of_products, cast(Sequence[facet_pb2.FacetRequest], asked)
        return await of.counted(catalog(catalog_id, of.catalogs), messages, scope)

    async def browse(
        self, catalog_id: str, asked: ListingRequest, scope: ReadFilter, last: ReadFilter | None
    ) -> tuple[ListedProducts, int]:
        of = self.of_products
        name = catalog(catalog_id, of.catalogs)
        page, columns, shown = await of.listed(name, asked, scope, last)
        listed = ListedProducts(
            rows=tuple([each.read or each.message for each in shown.products]),
            columns=columns,
            variants=listing_messages.variants(page, shown.places),
            total=page.total,
            facets=[*map(facet_messages.message, page.facets)],
            next_token=page.next_token,
            state=page.state,
            not_modified=page.not_modified,
        )
        return listed, of.columns.product_count(name)

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        of = self.of_words
        name = catalog(catalog_id, of.catalogs)
        return await of.suggested(SuggestionQuery(name, prefix, size, language_code))

    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        """See LendsCatalogs in servicekit.rpc.catalog_registry."""
        return await self.of_registry.registry.record.catalog_list(known_revision)

    async def _got(self, catalog_id: str, ids: Sequence[str], scope: ReadFilter) -> FoundProducts:
        columns = self.of_products.columns
        return await products.batch_get(catalog_id, ids, scope.condition, columns)


def lent_by(bindings: Sequence[Binding]) -> Lent:
    """Return what a server lends that offers these services."""
    by_type = {type(each.servicer): each.servicer for each in bindings}
    kinds = (ProductServicer, VectorServicer, KeywordServicer, CatalogListServicer)
    return Lent(*(by_type[kind] for kind in kinds))  # type: ignore[arg-type]


def _nearest(
    catalog_id: str, found: FoundNearest, market_id: str, work: float | None
) -> NearestProducts:
    made = found.generation
    lost = DegradationCause.INDEX_UNAVAILABLE
    near_own = vector_messages.nearest_cosines(made)
    return _found(
        found.candidates,
        market_id,
        space=SpaceVersion(made.space, made.space_version, made.name),
        freshness=vector_messages.freshness(catalog_id, found.freshness, now_micros()),
        plan=found.plan,
        work=work,
        own=_own(found) if found.own else None,
        degradations=(Degradation("index", lost, found.substitute),) if found.substitute else (),
        nearest_cosines=single(near_own) if near_own else (),
    )


def _own(found: FoundNearest) -> ProductColumns:
    """Return what near-duplicates of the query's products are found by."""
    candidates = found.candidates
    table, stamp = candidates.view.table, candidates.stamp
    return product_columns(table, found.own, stamp=stamp, omitted=ALIKE)


def _found(candidates: Candidates, market_id: str, **more: Any) -> NearestProducts:
    """Return the products that a search found. `more`: other fields of the answer."""
    return NearestProducts(
        columns=product_columns(
            candidates.view.table, candidates.places, market_id, candidates.stamp
        ),
        similarities=single(candidates.similarities),
        image_ids=candidates.image_ids,
        collapsed=candidates.collapsed,
        **more,
    )
