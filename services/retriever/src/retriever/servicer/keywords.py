"""KeywordService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection

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


class KeywordServicer(keywords_grpc.KeywordServiceServicer):
    """Searches by words, as keyword_service.proto describes them."""

    def __init__(
        self, catalogs: Collection[str], record: SearchRecord, columns: Columns | None = None
    ) -> None:
        """`columns`: those of the process; None = some of its own."""
        self._catalogs = catalogs
        self._record = record
        self._columns = columns or Columns(record)

    async def SearchKeywords(
        self, request: keywords_pb.SearchKeywordsRequest, context: Context
    ) -> vectors_pb.SearchResponse:
        query = keywords.Query(
            catalog_id=enter(request.catalog_id, request.request_id, self._catalogs),
            text=request.text,
            condition=filter_messages.condition(request.filter),
            top_k=request.top_k or DEFAULT_TOP_K,
            excluded=tuple(request.exclude_product_ids),
            collapse=vector_messages.collapse(request.collapse),
        )
        stages = telemetry.Stages()
        answer = await keywords.search(query, self._record, stages.measure, columns=self._columns)
        return vectors_pb.SearchResponse(
            **column_messages.found(answer.candidates),
            plan=answer.plan,
            stage_timings=wire.timings(stages.finished),
        )
