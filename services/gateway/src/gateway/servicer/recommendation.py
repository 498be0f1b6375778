"""RecommendationService on the wire."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from prometheus_client import Counter

from gateway.model.match import Match, MatchOutcome
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery
from gateway.model.response import RecommendAnswer
from gateway.recommend.classify import classify
from gateway.recommend.explain import explain
from gateway.recommend.heat_map import heat_map
from gateway.recommend.listing import listing
from gateway.recommend.recommend import recommend
from gateway.recommend.replay import replay
from gateway.recommend.search import search
from gateway.recommend.shelves import recommend_shelves
from gateway.recommend.suggest import suggest
from gateway.recommend.values import recommend_values
from gateway.servicer import answers, queries
from gateway.servicer.requests import admit
from gateway.state.request_context import RequestDependencies
from servicekit import tracing
from servicekit.errors import ServiceError
from servicekit.rpc.requests import take_request_id
from servicekit.rpc.server import Context
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc
from sightline_core.changed import changed
from sightline_core.degradations import Degradation, DegradationCause

COLLAPSED = Counter(
    "sightline_gateway_collapsed_products_total",
    "Near-duplicates and variants that are grouped with a result instead of shown beside it.",
    ("call",),
)

QUALITIES = Counter(
    "sightline_gateway_answers_total",
    "Pages that Recommend answered, alone or as a shelf, and answers of RecommendValues, by"
    " quality: full, reduced, fallback, snapshot.",
    ("quality",),
)

DEGRADED = Counter(
    "sightline_gateway_degraded_total",
    "Degraded pages among them, by cause; a page with several causes counts for each.",
    ("cause",),
)

ARM_ANSWERS = Counter(
    "sightline_gateway_experiment_answers_total",
    "Pages of answers of experiment arms, by experiment and arm.",
    ("experiment", "arm"),
)

PAGES = Counter(
    "sightline_gateway_scene_pages_total",
    "First pages that Recommend answered, alone or as a shelf, and answers of RecommendValues, by"
    " scene; outcome: filled or empty (no product).",
    ("scene", "outcome"),
)

_COLLAPSED_HERE, _COLLAPSED_FOUND = COLLAPSED.labels("Recommend"), COLLAPSED.labels("Search")
_DEGRADED = {cause: DEGRADED.labels(cause.name) for cause in DegradationCause}
_QUALITIES = {each: QUALITIES.labels(each.word) for each in Quality if each}

SHELVES_FAILED = Counter(
    "sightline_gateway_shelves_failed_total",
    "Shelves of RecommendShelves that have an error in place of an answer.",
)

MATCHES = Counter(
    "sightline_gateway_matches_total",
    "Answers to signals, by outcome of their best match: GOOD, POOR, NOTHING_FOUND, NO_THRESHOLD,"
    " INCOMPLETE. POOR and NOTHING_FOUND have no_good_match.",
    ("call", "scene", "outcome"),
)


def _note(scene: str, results: int, degradations: Iterable[Degradation]) -> None:
    """Add the result of the call to its span."""
    if tracing.is_recording and tracing.recorded():
        tracing.note("sightline.scene", scene)
        tracing.note("sightline.results", results)
        causes = {each.cause.name for each in degradations}
        tracing.note("sightline.degraded", sorted(causes))


class RecommendationServicer(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Servicer that recommends, searches and classifies."""

    def __init__(self, deps: RequestDependencies) -> None:
        self._deps = deps

    def _localized(self, query: RequestQuery) -> RequestQuery:
        """Return a query with the language of its catalog if it names none."""
        if query.language_code:
            return query
        own = self._deps.catalogs.language_code(query.catalog_id)
        return changed(query, language_code=own, says_language=False)

    async def Recommend(
        self, request: pb.RecommendRequest, context: Context
    ) -> pb.RecommendResponse:
        """Recommend ranked, explained products."""
        request_id = take_request_id(request.request_id)
        query = self._localized(queries.recommend_query(request))
        answer = await recommend(query, self._deps)
        _count_answer(answer, "" if request.page_token else "Recommend")
        return answers.recommendation(answer, query.language_code, request_id)

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """Search for candidates, fused but not ranked."""
        request_id = take_request_id(request.request_id)
        query = self._localized(queries.search_query(request))
        found = await search(query, self._deps)
        _note(found.versions.scene, len(found.results), found.degradations)
        _COLLAPSED_FOUND.inc(sum([len(item.collapsed_product_ids) for item in found.results]))
        _count("Search", found.versions.scene, found.match)
        return answers.findings(found, query.language_code, request_id)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """List all products that pass, in an order."""
        request_id = take_request_id(request.request_id)
        page = await listing(self._localized(queries.list_query(request)), self._deps)
        if page.versions is not None:
            _note(page.versions.scene, len(page.results), page.degradations)
        return answers.listing(page, request_id)

    async def RecommendValues(
        self, request: pb.RecommendValuesRequest, context: Context
    ) -> pb.RecommendValuesResponse:
        """Recommend values of a field, such as brands, with their best products."""
        request_id = take_request_id(request.request.request_id)
        query, grouping = queries.values_query(request)
        query = self._localized(query)
        found = await recommend_values(query, grouping, self._deps)
        _count_answer(found.answer, "RecommendValues")
        return answers.values(found, query.language_code, request_id)

    async def RecommendShelves(
        self, request: pb.RecommendShelvesRequest, context: Context
    ) -> pb.RecommendShelvesResponse:
        """Answer several shelves of a page without repeating a product."""
        request_id = take_request_id(request.request_id)
        shared, asked = queries.shelf_queries(request)
        shared = self._localized(shared)
        asked = [replace(each, query=self._localized(each.query)) for each in asked]
        shelves = await recommend_shelves(shared, asked, self._deps)
        for shelf in shelves:
            if isinstance(shelf.answer, RecommendAnswer):
                _count_answer(shelf.answer, "RecommendShelves")
            elif isinstance(shelf.answer, ServiceError):
                SHELVES_FAILED.inc()
        return answers.shelves(shelves, shared.language_code, request_id)

    async def Suggest(self, request: pb.SuggestRequest, context: Context) -> pb.SuggestResponse:
        """Suggest how to continue a text of a search box."""
        catalog_id = admit(request, self._deps.catalogs)
        own = self._deps.catalogs.language_code(catalog_id)
        found = await suggest(queries.suggest_query(request, catalog_id, own), self._deps)
        return answers.suggestions(found, take_request_id(request.request_id))

    async def ExplainRecommendation(
        self, request: pb.ExplainRecommendationRequest, context: Context
    ) -> pb.ExplainRecommendationResponse:
        """Explain why a product is, or is not, in the answer to a request."""
        request_id = take_request_id(request.request.request_id)
        query = self._localized(queries.recommend_query(request.request))
        found = await explain(query, request.product_id, self._deps)
        return answers.explanation(found, query.language_code, request_id)

    async def ReplayRecommendation(
        self, request: pb.ReplayRecommendationRequest, context: Context
    ) -> pb.ReplayRecommendationResponse:
        """Compute an answer again from its record."""
        catalog_id = admit(request, self._deps.catalogs)
        found = await replay(request.attribution_token, catalog_id, request.top_k, self._deps)
        return answers.replayed(found, take_request_id(request.request_id))

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Classify a photo, with filters for a further search."""
        request_id = take_request_id(request.request_id)
        return answers.classification(
            await classify(queries.question(request), self._deps), request_id
        )

    async def DrawHeatMap(
        self, request: pb.DrawHeatMapRequest, context: Context
    ) -> pb.DrawHeatMapResponse:
        """Compare a photo and a product by region, with a picture."""
        request_id = take_request_id(request.request_id)
        image_id, found = await heat_map(queries.comparison(request), self._deps)
        return pb.DrawHeatMapResponse(
            png=found.png,
            similarity=found.similarity,
            unplaced=found.unplaced,
            image_id=image_id,
            space_version=found.space_version,
            request_id=request_id,
        )


def _count_answer(answer: RecommendAnswer, call: str) -> None:
    """Add a page to its span and to the metrics; with a call, its match too."""
    _note(answer.versions.scene, len(answer.results), answer.degradations)
    _QUALITIES[answer.quality].inc()
    for cause in {each.cause for each in answer.degradations}:
        _DEGRADED[cause].inc()
    collapsed = sum(map(len, [item.answered.collapsed for item in answer.results]))
    if collapsed:
        _COLLAPSED_HERE.inc(collapsed)
    for arm in answer.arms:
        ARM_ANSWERS.labels(*arm.split("/")).inc()
    if call:
        _pages(answer.versions.scene, "filled" if answer.results else "empty").inc()
        _count(call, answer.versions.scene, answer.match)


@cache
def _pages(scene: str, outcome: str) -> Counter:
    """Return a scene's counter: to look it up costs more than to count."""
    return PAGES.labels(scene, outcome)


def _count(call: str, scene: str, match: Match | None) -> None:
    if match is not None:
        _matches(call, scene, match.outcome).inc()


@cache
def _matches(call: str, scene: str, outcome: MatchOutcome) -> Counter:
    return MATCHES.labels(call, scene, outcome.name)
