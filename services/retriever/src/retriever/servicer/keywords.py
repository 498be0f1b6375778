"""KeywordService on gRPC: translate, call the use case, translate back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from retriever.catalog.synonyms import HeldSynonyms
from retriever.columns.column_cache import Columns
from retriever.columns.suggestion_index import SuggestionIndexes
from retriever.domain.dictionaries import NO_DICTIONARIES, Dictionaries
from retriever.domain.index_values import Collapse
from retriever.record import Record
from retriever.search import keywords
from retriever.search.query import DEFAULT_TOP_K
from retriever.search.suggest import SuggestionQuery, suggest
from retriever.servicer import column_messages, facet_messages, filter_messages, vector_messages
from retriever.servicer import messages as wire
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from servicekit.telemetry import Stages
from sightline.common.v1 import filter_pb2
from sightline.retriever.v1 import keyword_service_pb2 as keywords_pb
from sightline.retriever.v1 import keyword_service_pb2_grpc as keywords_grpc
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from sightline_core.lending import ReadFilter
from sightline_core.search import CatalogSuggestions, SuggestedText
from sightline_rules.filters import Comparison, Operator
from sightline_rules.rejections import words

DEFAULT_SUGGESTIONS = 10


@dataclass(frozen=True)
class KeywordServicer(keywords_grpc.KeywordServiceServicer):
    """Servicer of keyword_service.proto."""

    catalogs: Collection[str]
    record: Record
    columns: Columns
    synonyms: HeldSynonyms
    indexes: SuggestionIndexes
    dictionaries: Dictionaries = NO_DICTIONARIES

    async def SearchKeywords(
        self, request: keywords_pb.SearchKeywordsRequest, context: Context
    ) -> vectors_pb.SearchResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        passing, stages = filter_messages.read(request.filter), Stages()
        answer = await self.found(
            *(catalog, request.text, passing, stages),
            top_k=request.top_k,
            exclude=request.exclude_product_ids,
            collapse=vector_messages.collapse(request.collapse),
            language_code=request.language_code,
            correct=request.correct,
            labelled=request.labelled,
            guess_language=request.guess_language,
        )
        response = vectors_pb.SearchResponse(
            plan=answer.plan,
            corrected_text=answer.corrected,
            synonyms=[
                vectors_pb.UsedSynonym(product_id=name, typed=typed, term=term)
                for name, (typed, term) in answer.uses.items()
            ],
            label_words=[
                vectors_pb.LabelWords(product_id=name, words=words)
                for name, words in answer.read.items()
            ],
            stage_timings=wire.timings(stages.finished),
        )
        await column_messages.fill_found(response, answer.candidates, passing.market_id)
        return response

    async def found(
        self,
        catalog: str,
        text: str,
        passing: ReadFilter,
        stages: Stages,
        *,
        top_k: int,
        exclude: Sequence[str],
        collapse: Collapse = Collapse.MARK,
        **more: Any,
    ) -> keywords.KeywordAnswer:
        """Return the products that pass and match best. `more`: other fields of KeywordQuery."""
        query = keywords.KeywordQuery(
            *(catalog, text, passing.condition, top_k or DEFAULT_TOP_K, tuple(exclude), collapse),
            market_id=passing.market_id,
            **more,
        )
        synonyms = await self.synonyms.of(catalog)
        return await keywords.search(
            *(query, self.record, stages.measure),
            columns=self.columns,
            synonyms=synonyms,
            dictionaries=self.dictionaries,
        )

    async def CountKeywords(
        self, request: keywords_pb.CountKeywordsRequest, context: Context
    ) -> keywords_pb.CountKeywordsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        synonyms = await self.synonyms.of(catalog)
        found = await keywords.counts(
            catalog, request.texts, self.record, self.columns, synonyms=synonyms
        )
        return keywords_pb.CountKeywordsResponse(product_counts=found)

    async def SuggestTexts(
        self, request: keywords_pb.SuggestTextsRequest, context: Context
    ) -> keywords_pb.SuggestTextsResponse:
        catalog = enter(request.catalog_id, request.request_id, self.catalogs)
        size, language_code = request.page_size or DEFAULT_SUGGESTIONS, request.language_code
        found = await self.suggested(SuggestionQuery(catalog, request.prefix, size, language_code))
        return keywords_pb.SuggestTextsResponse(
            completions=map(_suggested, found.completions),
            facet_values=map(_suggested, found.facet_values),
            products=map(_suggested, found.products),
            corrected=found.corrected,
        )

    async def suggested(self, query: SuggestionQuery) -> CatalogSuggestions:
        """Return suggestions, those of facet values with their filters."""
        found = await suggest(query, self.indexes, await self.synonyms.of(query.catalog_id))
        return replace(found, facet_values=[*map(_with_filter, found.facet_values)])


def _with_filter(value: SuggestedText) -> SuggestedText:
    condition = Comparison(value.field, Operator.EQUAL, value.text)
    message = facet_messages.filter_message(condition)
    return replace(value, filter=message, filter_text=words(condition))


def _suggested(value: SuggestedText) -> keywords_pb.SuggestedText:
    return keywords_pb.SuggestedText(
        text=value.text,
        starts=[start for start, _ in value.marks],
        ends=[end for _, end in value.marks],
        product_count=value.count,
        field=value.field,
        filter=cast(filter_pb2.Filter | None, value.filter),
        filter_text=value.filter_text,
        product_id=value.product_id,
    )
