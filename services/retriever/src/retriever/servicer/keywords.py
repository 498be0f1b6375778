"""KeywordService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection
from dataclasses import dataclass

from retriever.columns.keeper import Columns
from retriever.ports.search import SearchRecord
from retriever.search import keywords
from retriever.search.query import DEFAULT_TOP_K
from retriever.servicer import column_messages, filter_messages, vector_messages
from retriever.servicer import messages as wire
from servicekit import telemetry
from servicekit.requests import enter
from servicekit.server import Context
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import keyword_service_pb2_grpc as keywords_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb


@dataclass(frozen=True)
class KeywordServicer(keywords_grpc.KeywordServiceServicer):
    """Servicer of keyword_service.proto."""

    catalogs: Collection[str]
    record: SearchRecord
    columns: Columns

    async def SearchKeywords(
        self, request: keywords_pb.SearchKeywordsRequest, context: Context
    ) -> vectors_pb.SearchResponse:
        query = keywords.KeywordQuery(
            catalog_id=enter(request.catalog_id, request.request_id, self.catalogs),
            text=request.text,
            condition=filter_messages.condition(request.filter),
            top_k=request.top_k or DEFAULT_TOP_K,
            excluded=tuple(request.exclude_product_ids),
            collapse=vector_messages.collapse(request.collapse),
        )
        stages = telemetry.Stages()
        answer = await keywords.search(query, self.record, stages.measure, columns=self.columns)
        return vectors_pb.SearchResponse(
            **column_messages.found(answer.candidates),
            plan=answer.plan,
            stage_timings=wire.timings(stages.finished),
        )
