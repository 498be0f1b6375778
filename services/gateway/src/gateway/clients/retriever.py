"""The retriever's client."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import grpc
from grpc.aio import UnaryUnaryMultiCallable

from gateway.clients import messages
from gateway.clients.columns import columns, columns_of
from gateway.clients.peer_calls import A, PeerCaller, Q
from gateway.model.peers import IndexState
from gateway.model.query import AnswerScope
from gateway.model.scene import PublishedScene, PublishedScenes
from gateway.ports import RetrieverPort
from servicekit.errors import FieldViolation, Internal, InvalidArgument, ServiceError
from servicekit.rpc.channel import idempotent
from sightline.common.v1 import facet_pb2, filter_pb2, job_service_pb2, vector_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin_pb
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.retriever.v1 import index_service_pb2 as index_pb
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import keyword_service_pb2_grpc as keywords_grpc
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import product_service_pb2_grpc as products_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1 import vector_service_pb2_grpc as vectors_grpc
from sightline_core.columns import ProductColumns, Stamp, gathered
from sightline_core.opaque_messages import Facet, FacetRequest, Vector
from sightline_core.search import (
    Carried,
    CatalogSuggestions,
    CheckedProducts,
    ListedProducts,
    ListingRequest,
    NearestProducts,
    ProductRows,
    Rejection,
    SuggestedText,
    UsedSynonym,
    VectorBlend,
)
from sightline_rules.messages import written

IDEMPOTENT = idempotent(job_service_pb2, products_pb, vectors_pb, keywords_pb)
MOST_PAGES = 4
"""Maximum number of pages of a list read to find the newest products that pass a filter."""
MOST_CONJUNCTS = 64
"""Maximum number of filters in one `all`."""
_WRAPPED = "filter.all.filters[0]"

COUNTED = (facet_pb2.FacetRequest(field="availability"),)
"""Facets of a request for the number of products alone."""


class RetrieverClient(RetrieverPort):
    """Client that searches products and reads the record."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        caller: PeerCaller,
        sized: Callable[[str, int], object] = lambda *_: None,
    ) -> None:
        """`sized` is called with the number of products of a catalog, as answers carry it; 0:
        unknown."""
        self._sized = sized
        self._products = products_grpc.ProductServiceStub(channel)
        self._vectors = vectors_grpc.VectorServiceStub(channel)
        self._admin = AdminServiceStub(channel)
        self._keywords = keywords_grpc.KeywordServiceStub(channel)
        self._caller = caller

    async def published_scenes(self, catalog_id: str) -> PublishedScenes:
        """Return the newest versions of the scenes of a catalog."""
        request = admin_pb.ListSceneDocumentsRequest(catalog_id=catalog_id, with_texts=True)
        answer = await self._caller.call(self._admin.ListSceneDocuments, request)
        planned = [each.planned for each in answer.documents if each.HasField("planned")]
        return PublishedScenes(
            [
                PublishedScene(document.scene, version.number, version.toml)
                for document in answer.documents
                for version in document.versions
            ],
            min((each.create_time.ToMicroseconds() for each in planned), default=0),
        )

    async def search(
        self,
        catalog_id: str,
        near: Vector | str | VectorBlend,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> NearestProducts:
        request = vectors_pb.SearchRequest(
            catalog_id=catalog_id,
            filter=filter_of(scope),
            top_k=top_k,
            exclude_product_ids=exclude,
            min_index_token=min_index_token,
            collapse=vectors_pb.COLLAPSE_MARK,
        )
        if isinstance(near, str):
            request.product_id = near
        elif isinstance(near, VectorBlend):
            request.space = near.space
            request.blend.CopyFrom(_blend(near))
        else:
            request.vector.CopyFrom(cast(vector_pb2.Vector, near))
        return _found(await self._call(self._vectors.Search, request, scope))

    async def search_each(
        self,
        catalog_id: str,
        blends: Sequence[VectorBlend],
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        min_index_token: str,
    ) -> Sequence[NearestProducts | ServiceError]:
        async def one(blend: VectorBlend) -> NearestProducts | ServiceError:
            try:
                return await self.search(
                    catalog_id,
                    blend,
                    scope,
                    top_k=top_k,
                    exclude=exclude,
                    min_index_token=min_index_token,
                )
            except ServiceError as error:
                return error

        return await asyncio.gather(*map(one, blends))

    async def keywords(
        self,
        catalog_id: str,
        text: str,
        scope: AnswerScope,
        *,
        top_k: int,
        exclude: Sequence[str],
        language_code: str = "",
        correct: bool = False,
        labelled: bool = False,
        guess_language: bool = False,
    ) -> NearestProducts:
        request = keywords_pb.SearchKeywordsRequest(
            catalog_id=catalog_id,
            text=text,
            filter=filter_of(scope),
            top_k=top_k,
            exclude_product_ids=exclude,
            collapse=vectors_pb.COLLAPSE_MARK,
            language_code=language_code,
            correct=correct,
            labelled=labelled,
            guess_language=guess_language,
        )
        return _found(await self._call(self._keywords.SearchKeywords, request, scope))

    async def columns(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> ProductColumns:
        answer = await self._columns(catalog_id, ids, scope)
        return columns(answer.columns, _stamp(answer))

    async def checked(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope
    ) -> CheckedProducts:
        answer = await self._columns(catalog_id, ids, scope, explain=True)
        return CheckedProducts(
            columns(answer.columns, _stamp(answer)),
            frozenset(answer.missing_product_ids),
            {item.product_id: _rejection(item) for item in answer.rejections},
        )

    async def _columns(
        self, catalog_id: str, ids: Sequence[str], scope: AnswerScope, *, explain: bool = False
    ) -> products_pb.BatchGetProductsResponse:
        request = products_pb.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=ids,
            filter=filter_of(scope),
            view=products_pb.PRODUCT_VIEW_COLUMNS,
            explain_filter=explain,
        )
        return await self._call(self._products.BatchGetProducts, request, scope)

    async def categories(self, catalog_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        found = await self.columns(catalog_id, ids, AnswerScope())
        return dict(zip(found.product_ids, found.read("category_paths", ""), strict=True))

    async def newest(self, catalog_id: str, scope: AnswerScope, count: int) -> ProductColumns:
        """Return the newest products that pass, newest first, from up to MOST_PAGES pages.

        A short or empty page may not be the last, since the retriever scans a fixed number of
        products for each.
        """
        pages, token = list[ProductColumns](), ""
        for _ in range(MOST_PAGES):
            page, token = await self._newest(catalog_id, scope, count, token)
            pages.append(page)
            count -= len(page.product_ids)
            if not token or count <= 0:
                break
        return gathered([(page, range(len(page.product_ids))) for page in pages])

    async def _newest(
        self, catalog_id: str, scope: AnswerScope, count: int, token: str
    ) -> tuple[ProductColumns, str]:
        """Return a page of the newest products that pass, and the token of the next one."""
        request = products_pb.ListProductsRequest(
            catalog_id=catalog_id,
            filter=filter_of(scope),
            order=products_pb.ListProductsRequest.ORDER_NEWEST,
            page_size=count,
            page_token=token,
            view=products_pb.PRODUCT_VIEW_COLUMNS,
        )
        answer = await self._call(self._products.ListProducts, request, scope)
        return columns(answer.columns, _stamp(answer)), answer.next_page_token

    async def products(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: AnswerScope,
        titles: Sequence[str] = (),
        *,
        unshown: bool = False,
    ) -> ProductRows:
        asked = ids or titles[:1]  # a request names at least one product
        found, count = await self._rows(catalog_id, asked, scope, titles, unshown=unshown)
        self._sized(catalog_id, count)
        return found

    async def _rows(
        self,
        catalog_id: str,
        ids: Sequence[str],
        scope: AnswerScope,
        titles: Sequence[str],
        *,
        unshown: bool,
    ) -> tuple[ProductRows, int]:
        """Return whole products, see `products`, and the number of the catalog's."""
        request = products_pb.BatchGetProductsRequest(
            catalog_id=catalog_id,
            product_ids=ids,
            filter=filter_of(scope),
            view=products_pb.PRODUCT_VIEW_FULL,
            title_product_ids=titles,
            unshown=unshown,
        )
        answer = await self._call(self._products.BatchGetProducts, request, scope)
        named = zip(titles, answer.titles, strict=False)
        titled = {item: title for item, title in named if title}
        stamp, newest = _stamp(answer), answer.newest_commit
        rows = ProductRows(tuple(answer.products), titled, stamp, newest)
        return rows, answer.catalog_product_count

    async def facets(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Facet, ...]:
        return tuple((await self._count(catalog_id, asked, scope))[0])

    async def product_count(self, catalog_id: str, scope: AnswerScope) -> int:
        """Return the number of products that pass; variants of one parent count once."""
        return (await self._count(catalog_id, COUNTED, scope))[1]

    async def _count(
        self, catalog_id: str, asked: Sequence[FacetRequest], scope: AnswerScope
    ) -> tuple[Sequence[Facet], int]:
        """Return the facets and the number of the products that pass."""
        request = products_pb.CountFacetsRequest(
            catalog_id=catalog_id,
            filter=filter_of(scope),
            facets=cast(Sequence[facet_pb2.FacetRequest], asked),
        )
        answer = await self._call(self._products.CountFacets, request, scope)
        return answer.facets, answer.product_count

    async def browse(
        self, catalog_id: str, asked: ListingRequest, scope: AnswerScope
    ) -> ListedProducts:
        found, count = await self._listed(catalog_id, asked, scope)
        self._sized(catalog_id, count)
        return found

    async def _listed(
        self, catalog_id: str, asked: ListingRequest, scope: AnswerScope
    ) -> tuple[ListedProducts, int]:
        """Return a page of the products that pass, and the number of the catalog's."""
        request = products_pb.BrowseProductsRequest(
            catalog_id=catalog_id,
            filter=filter_of(scope),
            order=asked.order,
            ranked_product_ids=asked.ranked,
            last_filter=any_of(asked.last) if asked.last else None,
            last_product_ids=asked.last_ids,
            text=asked.text,
            language_code=asked.language_code,
            exclude_product_ids=asked.exclude,
            exclude_family_product_ids=asked.exclude_families,
            page_size=asked.size,
            page_token=asked.token,
            facets=cast(Sequence[facet_pb2.FacetRequest], asked.facets),
            known_state=asked.known_state,
            costs=asked.costs,
        )
        answer = await self._call(self._products.BrowseProducts, request, scope)
        listed = ListedProducts(
            rows=tuple(answer.products),
            columns=_with_costs(answer),
            variants=[tuple(each.product_ids) for each in answer.variants],
            total=answer.product_count,
            facets=answer.facets,
            next_token=answer.next_page_token,
            state=answer.state,
            not_modified=answer.not_modified,
        )
        return listed, answer.catalog_product_count

    async def suggest(
        self, catalog_id: str, prefix: str, language_code: str, size: int
    ) -> CatalogSuggestions:
        request = keywords_pb.SuggestTextsRequest(
            catalog_id=catalog_id, prefix=prefix, page_size=size, language_code=language_code
        )
        answer = await self._caller.call_idempotent(self._keywords.SuggestTexts, request)
        return CatalogSuggestions(
            completions=list(map(_suggested, answer.completions)),
            facet_values=list(map(_suggested, answer.facet_values)),
            products=list(map(_suggested, answer.products)),
            corrected=answer.corrected,
        )

    async def word_counts(self, catalog_id: str, texts: Sequence[str]) -> Sequence[int]:
        """Return how many products are found by the words of each of up to 200 texts."""
        request = keywords_pb.CountKeywordsRequest(catalog_id=catalog_id, texts=texts)
        answer = await self._caller.call(self._keywords.CountKeywords, request)
        if len(answer.product_counts) != len(texts):
            raise Internal("the retriever's counts differ in number", reason="INTERNAL")
        return answer.product_counts

    async def photo(self, catalog_id: str, image_id: str) -> bytes:
        request = products_pb.GetImageRequest(catalog_id=catalog_id, image_id=image_id)
        return (await self._caller.call(self._products.GetImage, request)).image.content

    async def rejection(
        self, catalog_id: str, product_id: str, scope: AnswerScope
    ) -> Rejection | None:
        found = (await self.checked(catalog_id, [product_id], scope)).rejections.get(product_id)
        return found and (replace(found, path="") if scope.filter is None else found)

    async def count(self, catalog_id: str, space: str) -> IndexState:
        """Return the state of a space in record and index."""
        request = vectors_pb.CountRequest(catalog_id=catalog_id, space=space)
        answer = await self._caller.call(self._vectors.Count, request, note=True)
        return IndexState(
            products=answer.products,
            indexed=answer.indexed,
            pending=answer.pending,
            failed=answer.failed,
            space=messages.space_version(answer.space) if answer.HasField("space") else None,
            freshness=messages.freshness(answer.freshness)
            if answer.HasField("freshness")
            else None,
            recall=answer.recall,
            advice=answer.advice,
        )

    async def holding(self, catalog_id: str, space_version: str) -> tuple[str, ...]:
        """Return the names of a version's index generations that are not dropped."""
        request = index_pb.ListGenerationsRequest(catalog_id=catalog_id)
        answer = await self._caller.call(self._admin.ListGenerations, request)
        return tuple(
            each.name for each in answer.generations if each.space_version == space_version
        )

    async def _call(
        self, method: UnaryUnaryMultiCallable[Q, A], request: Q, scope: AnswerScope
    ) -> A:
        try:
            return await self._caller.call_idempotent(method, request)
        except InvalidArgument as error:
            raise as_sent(error, scope) from error


def _found(answer: vectors_pb.SearchResponse) -> NearestProducts:
    count = len(answer.candidates.product_ids)
    if not count == len(answer.similarities) == len(answer.image_ids) or (
        len(answer.collapsed) not in (0, count)
    ):
        raise Internal("the retriever's columns differ in length", reason="INTERNAL")
    return NearestProducts(
        columns=columns(answer.candidates, _stamp(answer)),
        similarities=list(answer.similarities),
        image_ids=answer.image_ids,
        space=messages.space_version(answer.space) if answer.HasField("space") else None,
        freshness=messages.freshness(answer.freshness) if answer.HasField("freshness") else None,
        plan=answer.plan,
        work=messages.work(answer.stage_timings),
        collapsed=[
            tuple(item.product_ids) if item.product_ids else () for item in answer.collapsed
        ],
        own=columns(answer.query_product, _stamp(answer))
        if answer.HasField("query_product")
        else None,
        degradations=messages.degradation_list(answer.degradations),
        nearest_cosines=answer.nearest_cosines,
        corrected_text=answer.corrected_text,
        synonyms={each.product_id: UsedSynonym(each.typed, each.term) for each in answer.synonyms},
        label_words={each.product_id: each.words for each in answer.label_words},
    )


def _stamp(answer: Any) -> Stamp | None:
    """Return the stamp of a response; None of a retriever before 0.40."""
    if not answer.HasField("stamp"):
        return None
    return Stamp(answer.stamp.catalog_uid, answer.stamp.commit)


def _suggested(message: keywords_pb.SuggestedText) -> SuggestedText:
    return SuggestedText(
        text=message.text,
        marks=list(zip(message.starts, message.ends, strict=False)),
        count=message.product_count,
        field=message.field,
        filter=message.filter if message.HasField("filter") else None,
        filter_text=message.filter_text,
        product_id=message.product_id,
    )


def _rejection(message: products_pb.Rejection) -> Rejection:
    return Rejection(message.product_id, message.path, message.condition, tuple(message.held))


def filter_of(scope: AnswerScope) -> filter_pb2.Filter | None:
    """Return the filter to send: the caller's own and the other conditions of the scope.

    Where possible the caller's filter keeps its paths and is nested no deeper.
    """
    made = _condition_of(scope, _own(scope))
    if scope.market_id:
        whole = filter_pb2.Filter()
        if made is not None:
            whole.CopyFrom(made)
        whole.market_id = scope.market_id
        return whole
    return made


def _own(scope: AnswerScope) -> filter_pb2.Filter | None:
    """Return the caller's own filter without its market."""
    own = scope.filter.message if scope.filter is not None else None
    if own is not None and not isinstance(own, filter_pb2.Filter):
        raise TypeError("the filter must be a Filter message")
    if own is not None and own.market_id and scope.market_id:
        made = filter_pb2.Filter()
        made.CopyFrom(own)
        made.ClearField("market_id")
        return made
    return own


def _condition_of(scope: AnswerScope, own: filter_pb2.Filter | None) -> filter_pb2.Filter | None:
    opposites: list[dict[str, Any]] = [{"not": each.message} for each in scope.without]
    added = [filter_pb2.Filter(**each) for each in (*map(written, scope.conditions), *opposites)]
    if not added:
        return own
    if own is None or own.WhichOneof("expression") is None:
        return added[0] if len(added) == 1 else _all(added)
    if own.HasField("all") and len(own.all.filters) + len(added) <= MOST_CONJUNCTS:
        return _all([*own.all.filters, *added])
    return _all([own, *added])


def _all(filters: Sequence[filter_pb2.Filter]) -> filter_pb2.Filter:
    return filter_pb2.Filter(all=filter_pb2.FilterList(filters=filters))


def any_of(filters: Sequence[Carried]) -> filter_pb2.Filter:
    """Return the filter that what passes one of these passes."""
    messages = cast(Sequence[filter_pb2.Filter], [each.message for each in filters])
    return filter_pb2.Filter(any=filter_pb2.FilterList(filters=messages))


def as_sent(error: InvalidArgument, scope: AnswerScope) -> InvalidArgument:
    """Return the error with the paths of the filter as the caller sent it."""
    sent, own = filter_of(scope), _own(scope)
    wrapped = (
        own is not None and sent is not None and sent.HasField("all") and sent.all.filters[0] == own
    )
    if not wrapped:
        return error
    return InvalidArgument(
        error.message.replace(_WRAPPED, "filter"),
        reason=error.reason,
        violations=[
            FieldViolation(item.field.replace(_WRAPPED, "filter", 1), item.description)
            for item in error.violations
        ],
        metadata=error.metadata,
    )


def _blend(value: VectorBlend) -> vectors_pb.Blend:
    return vectors_pb.Blend(
        parts=[
            vectors_pb.BlendPart(weight=weight, product_id=near)
            if isinstance(near, str)
            else vectors_pb.BlendPart(weight=weight, vector=cast(vector_pb2.Vector, near))
            for weight, near in value.parts
        ]
    )


def _with_costs(answer: products_pb.BrowseProductsResponse) -> ProductColumns:
    """Return the columns of a page, with costs if the retriever sent them."""
    message, count = columns_of(answer.products), len(answer.products)
    if answer.cost_micros:
        if {len(answer.cost_micros), len(answer.cost_currencies)} != {count}:
            raise Internal("the retriever's costs differ in length", reason="INTERNAL")
        message.cost_micros[:] = answer.cost_micros
        message.cost_currencies[:] = answer.cost_currencies
    return columns(message, _stamp(answer))
