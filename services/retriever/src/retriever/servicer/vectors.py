"""VectorService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from retriever.domain.generation import DEFAULT_SPACE
from retriever.domain.index_values import Collapse
from retriever.search import stats, vectors
from retriever.search.fallback.collection_breaker import CollectionBreaker
from retriever.search.freshness import write_index_token
from retriever.search.misfits import find_misfits
from retriever.search.query import DEFAULT_TOP_K, SearchQuery
from retriever.search.recall.watchdog import Watchdog
from retriever.search.search import FoundNearest, Searcher, search, search_each
from retriever.servicer import column_messages, filter_messages, vector_messages
from retriever.servicer import messages as wire
from servicekit import deadlines, tracing
from servicekit.errors import ServiceError
from servicekit.rpc.requests import check_count, enter
from servicekit.rpc.server import Context
from servicekit.telemetry import Stages
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline.retriever.v1 import vector_service_pb2_grpc as vectors_grpc
from sightline_core.lending import ReadFilter
from sightline_core.opaque_messages import Vector
from sightline_core.search import VectorBlend

RESERVE_SECONDS = 0.03
"""Seconds of the deadline reserved for reporting that the engine did not answer."""
LONGEST_SECONDS = 10.0
"""Timeout of a search without a deadline, in seconds, also while it waits for a write."""
MOST_LOOKED_UP = 64
"""Products whose vectors a call asks for."""
COUNT_SECONDS = 1.0
"""Timeout of the engine's count, in seconds: shorter than its callers' timeouts."""


@dataclass(frozen=True)
class VectorServicer(vectors_grpc.VectorServiceServicer):
    """Servicer of vector_service.proto."""

    catalogs: Collection[str]
    searcher: Searcher
    breaker: CollectionBreaker
    """Circuit breaker of the engine; open while the engine is unavailable."""
    index_seconds: float
    """Timeout of the engine for calls without a deadline, in seconds."""
    watchdog: Watchdog

    async def Search(
        self, request: vectors_pb.SearchRequest, context: Context
    ) -> vectors_pb.SearchResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        passing, stages = filter_messages.read(request.filter), Stages()
        with deadlines.otherwise(LONGEST_SECONDS):
            found = await self.found(
                *(catalog, vector_messages.near(request), passing, stages),
                space=request.space or DEFAULT_SPACE,
                top_k=request.top_k,
                exclude=request.exclude_product_ids,
                include_query_product=request.include_query_product,
                min_index_token=request.min_index_token,
                generation=request.generation,
                collapse=vector_messages.collapse(request.collapse),
            )
        response = vectors_pb.SearchResponse(
            space=vector_messages.space_version(found.generation),
            freshness=vector_messages.freshness_message(catalog, found.freshness),
            plan=found.plan,
            stage_timings=wire.timings(stages.finished),
            degradations=vector_messages.index_lost(found.substitute),
            nearest_cosines=vector_messages.nearest_cosines(found.generation),
        )
        await column_messages.fill_found(response, found.candidates, passing.market_id)
        if found.own:
            table = found.candidates.view.table
            await column_messages.fill_own(response.query_product, table, found.own)
        return response

    async def found(
        self,
        catalog: str,
        near: Vector | str | VectorBlend,
        passing: ReadFilter,
        stages: Stages,
        *,
        top_k: int,
        exclude: Sequence[str],
        collapse: Collapse = Collapse.MARK,
        **more: Any,
    ) -> FoundNearest:
        """Return the nearest products that pass. `more`: other fields of SearchQuery."""
        query = _query(
            catalog, near, passing, top_k=top_k, exclude=exclude, collapse=collapse, **more
        )
        found = await search(query, self.searcher, self.remaining, stages.measure)
        return self._seen(query, found)

    async def found_each(
        self,
        catalog: str,
        blends: Sequence[VectorBlend],
        passing: ReadFilter,
        stages: Stages,
        **asked: Any,
    ) -> Sequence[FoundNearest | ServiceError]:
        """Return for each blend of one space what `found` returns, or the error that it raises."""
        queries = [
            _query(catalog, each, passing, collapse=Collapse.MARK, **asked) for each in blends
        ]
        answers = await search_each(queries, self.searcher, self.remaining, stages.measure)
        return [
            found if isinstance(found, ServiceError) else self._seen(query, found)
            for query, found in zip(queries, answers, strict=True)
        ]

    def _seen(self, query: SearchQuery, found: FoundNearest) -> FoundNearest:
        self.watchdog.see(query, found)
        tracing.note("sightline.candidates", len(found.candidates.places))
        return found

    def remaining(self) -> float | None:
        """Return the seconds that a call has left for the engine; None: no limit."""
        return deadlines.budget(RESERVE_SECONDS, cap=self.index_seconds)

    async def UpsertVectors(
        self, request: vectors_pb.UpsertVectorsRequest, context: Context
    ) -> vectors_pb.UpsertVectorsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        outcomes, seq = await vectors.upsert_vectors(
            catalog, vector_messages.given_vectors(request.vectors), self.searcher.record
        )
        return vectors_pb.UpsertVectorsResponse(
            statuses=[wire.status(outcome) for outcome in outcomes],
            index_token=write_index_token(catalog, seq) if seq else "",
        )

    async def ListVectors(
        self, request: vectors_pb.ListVectorsRequest, context: Context
    ) -> vectors_pb.ListVectorsResponse:
        page = await vectors.list_vectors(
            enter(request.catalog_id, request.request_id, self.catalogs),
            request.space or DEFAULT_SPACE,
            self.searcher.record,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return vectors_pb.ListVectorsResponse(
            space=vector_messages.space_version(page.generation),
            product_ids=[product_id for product_id, _ in page.means],
            dimension=page.generation.dimension,
            vectors=b"".join(vector.tobytes() for _, vector in page.means),
            next_page_token=page.next_token,
        )

    async def BatchGetVectors(
        self, request: vectors_pb.BatchGetVectorsRequest, context: Context
    ) -> vectors_pb.BatchGetVectorsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        if request.product_ids:
            check_count("product_ids", len(request.product_ids), MOST_LOOKED_UP)
        space, record = request.space or DEFAULT_SPACE, self.searcher.record
        snapshot = await record.generation_snapshot(catalog, space)
        if snapshot is None:
            return vectors_pb.BatchGetVectorsResponse()
        generation, found = snapshot.generation, list[vectors_pb.ProductVectors]()
        for product_id in dict.fromkeys(request.product_ids):
            if rows := await record.product_vectors(generation, product_id):
                data = b"".join(row.tobytes() for row in rows)
                found.append(vectors_pb.ProductVectors(product_id=product_id, vectors=data))
        return vectors_pb.BatchGetVectorsResponse(
            space=vector_messages.space_version(generation),
            dimension=generation.dimension,
            products=found,
        )

    async def ListMisfits(
        self, request: vectors_pb.ListMisfitsRequest, context: Context
    ) -> vectors_pb.ListMisfitsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        with deadlines.otherwise(LONGEST_SECONDS):
            page = await find_misfits(
                catalog,
                request.space or DEFAULT_SPACE,
                self.searcher,
                self.remaining,
                page_size=request.page_size,
                page_token=request.page_token,
                min_lead=request.min_lead if request.HasField("min_lead") else None,
            )
        return vectors_pb.ListMisfitsResponse(
            misfits=[vector_messages.misfit(each) for each in page.found],
            examined_count=page.examined,
            next_page_token=page.next_token,
            space=vector_messages.space_version(page.generation),
        )

    async def Count(
        self, request: vectors_pb.CountRequest, context: Context
    ) -> vectors_pb.CountResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        space = request.space or DEFAULT_SPACE
        seconds = deadlines.budget(RESERVE_SECONDS, cap=COUNT_SECONDS)
        census = await stats.count(
            catalog,
            space,
            self.searcher.record,
            self.searcher.index,
            seconds=seconds,
            breaker=self.breaker,
            columns=self.searcher.columns,
        )
        response = vectors_pb.CountResponse(
            products=census.counts.products,
            images=census.counts.images,
            indexed=census.indexed,
            pending=census.counts.pending,
            failed=census.counts.failed,
            outbox=census.counts.outbox,
            recall=vector_messages.recalls(self.watchdog.verdicts(), census.generation),
            advice=census.advice,
        )
        if census.generation is not None and census.freshness is not None:
            response.space.CopyFrom(vector_messages.space_version(census.generation))
            response.freshness.CopyFrom(
                vector_messages.freshness_message(catalog, census.freshness)
            )
        return response


def _query(
    catalog: str,
    near: Vector | str | VectorBlend,
    passing: ReadFilter,
    *,
    top_k: int,
    exclude: Sequence[str],
    collapse: Collapse,
    **more: Any,
) -> SearchQuery:
    return SearchQuery(
        catalog_id=catalog,
        condition=passing.condition,
        top_k=top_k or DEFAULT_TOP_K,
        excluded=tuple(exclude),
        collapse=collapse,
        **{**more, **vector_messages.asked(near)},
    )
