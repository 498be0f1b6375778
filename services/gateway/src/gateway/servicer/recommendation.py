"""RecommendationService on the wire."""

from collections.abc import Iterable

from prometheus_client import Counter

from gateway.clients import messages
from gateway.model.answer import Result
from gateway.model.filters import carried
from gateway.model.messages import Degradation
from gateway.model.quality import Quality
from gateway.model.query import ALONE, Query, Question, Signal, SignalKind
from gateway.recommend.classify import classify
from gateway.recommend.explain import explain
from gateway.recommend.heat_map import Compared, heat_map
from gateway.recommend.recommend import recommend
from gateway.recommend.replay import replay
from gateway.recommend.search import search
from gateway.servicer import answers
from gateway.servicer.controls import of_request
from gateway.servicer.requests import admit
from gateway.state.run import Dependencies
from servicekit import tracing
from servicekit.config import DEFAULT_CATALOG
from servicekit.requests import take_request_id
from servicekit.server import Context
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc

COLLAPSED = Counter(
    "sightline_gateway_collapsed_products_total",
    "Near-duplicates and variants that are grouped with a result instead of shown beside it.",
    ("call",),
)

QUALITIES = Counter(
    "sightline_gateway_answers_total",
    "Pages that Recommend answered, by quality: full, reduced, fallback, snapshot.",
    ("quality",),
)

DEGRADED = Counter(
    "sightline_gateway_degraded_total",
    "Pages that Recommend answered with something degraded, by cause; one with several counts for"
    " each.",
    ("cause",),
)

ARM_ANSWERS = Counter(
    "sightline_gateway_experiment_answers_total",
    "Pages of answers that an experiment's arm made, by experiment and arm.",
    ("experiment", "arm"),
)

_CAUSE = Degradation.Cause.Name
_COLLAPSED_HERE = COLLAPSED.labels("Recommend")
_DEGRADED = {
    number: DEGRADED.labels(name.removeprefix("CAUSE_"))
    for name, number in Degradation.Cause.items()
}
_UNNAMED = _DEGRADED[Degradation.CAUSE_UNSPECIFIED]
"""Also of a cause that only a newer peer knows."""
_QUALITIES = {each: QUALITIES.labels(each.word) for each in Quality if each}

MATCHES = Counter(
    "sightline_gateway_matches_total",
    "Answers to signals, by what came of their best match: GOOD, POOR, NOTHING_FOUND, NO_THRESHOLD,"
    " INCOMPLETE. POOR and NOTHING_FOUND are those with no_good_match.",
    ("call", "scene", "outcome"),
)


def _note(scene: str, results: int, degradations: Iterable[Degradation]) -> None:
    """Say on the call's span what became of it."""
    if tracing.recorded():
        tracing.note("sightline.scene", scene)
        tracing.note("sightline.results", results)
        causes = {_CAUSE(each.cause).removeprefix("CAUSE_") for each in degradations}
        tracing.note("sightline.degraded", sorted(causes))


class RecommendationServicer(recommendation_service_pb2_grpc.RecommendationServiceServicer):
    """Recommends, searches and classifies."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def Recommend(
        self, request: pb.RecommendRequest, context: Context
    ) -> pb.RecommendResponse:
        """Ranked, explained products."""
        request_id = take_request_id(request.request_id)
        answer = await recommend(_recommend_query(request), self._deps)
        _note(answer.versions.scene, len(answer.results), answer.degradations)
        _QUALITIES[answer.quality].inc()
        for cause in {each.cause for each in answer.degradations}:
            _DEGRADED.get(cause, _UNNAMED).inc()
        _COLLAPSED_HERE.inc(sum([len(item.answered.collapsed) for item in answer.results]))
        response = pb.RecommendResponse(
            no_good_match=answer.no_good_match,
            quality=answer.quality.value,
            degradations=answer.degradations,
            stage_timings=answer.timings,
            versions=answer.versions,
            freshness=answer.freshness,
            missing_product_ids=answer.missing_product_ids,
            hidden_count=answer.hidden_count,
            attribution_token=answer.attribution_token,
            next_page_token=answer.next_page_token,
            request_id=request_id,
            subjects=answer.subjects,
            match=answer.match,
            experiment_arms=answer.arms,
            control_outcomes=answer.control_outcomes,
        )
        for arm in answer.arms:
            ARM_ANSWERS.labels(*arm.split("/")).inc()
        if not request.page_token:
            _count("Recommend", answer.versions.scene, answer.match)
        for result in answer.results:
            _recommend(result, response.results.add())
        return response

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """Candidates, fused but not ranked."""
        request_id = take_request_id(request.request_id)
        found = await search(_search_query(request), self._deps)
        _note(found.versions.scene, len(found.results), found.degradations)
        COLLAPSED.labels("Search").inc(
            sum(len(item.collapsed_product_ids) for item in found.results)
        )
        found.request_id = request_id
        _count("Search", found.versions.scene, found.match if found.HasField("match") else None)
        return found

    async def ExplainRecommendation(
        self, request: pb.ExplainRecommendationRequest, context: Context
    ) -> pb.ExplainRecommendationResponse:
        """Why a product is, or is not, in the answer to a request."""
        request_id = take_request_id(request.request.request_id)
        query = _recommend_query(request.request)
        found = await explain(query, request.product_id, self._deps)
        return answers.explanation(found, query.language_code, request_id)

    async def ReplayRecommendation(
        self, request: pb.ReplayRecommendationRequest, context: Context
    ) -> pb.ReplayRecommendationResponse:
        """An answer computed once more from its record."""
        catalog_id = admit(request, self._deps.catalogs)
        found = await replay(request.attribution_token, catalog_id, request.top_k, self._deps)
        found.request_id = take_request_id(request.request_id)
        return found

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """What a photo is of, with filters to search on with."""
        request_id = take_request_id(request.request_id)
        return answers.classification(await classify(_question(request), self._deps), request_id)

    async def DrawHeatMap(
        self, request: pb.DrawHeatMapRequest, context: Context
    ) -> pb.DrawHeatMapResponse:
        """Which regions make a photo and a product similar."""
        request_id = take_request_id(request.request_id)
        asked = Compared(
            request.catalog_id or DEFAULT_CATALOG,
            _photo(request),
            request.product_id,
            request.image_id,
        )
        image_id, found = await heat_map(asked, self._deps)
        return pb.DrawHeatMapResponse(
            png=found.png,
            similarity=found.similarity,
            unplaced=found.unplaced,
            image_id=image_id,
            space_version=found.space_version,
            request_id=request_id,
        )


def _photo(request: pb.ClassifyRequest | pb.DrawHeatMapRequest) -> Signal:
    return Signal(
        index=ALONE,
        kind=SignalKind(request.WhichOneof("photo") or SignalKind.NOTHING),
        image=request.image,
        image_uri=request.image_uri,
        box=request.box if request.HasField("box") else None,
        find_subject=request.find_subject,
    )


def _count(call: str, scene: str, match: pb.Match | None) -> None:
    if match is not None:
        outcome = pb.Match.Outcome.Name(match.outcome).removeprefix("OUTCOME_")
        MATCHES.labels(call, scene, outcome).inc()


def _question(request: pb.ClassifyRequest) -> Question:
    return Question(
        photo=_photo(request),
        catalog_id=request.catalog_id or DEFAULT_CATALOG,
        request_id=request.request_id,
        top_k=request.top_k,
    )


def _recommend_query(request: pb.RecommendRequest) -> Query:
    return Query(
        catalog_id=request.catalog_id or DEFAULT_CATALOG,
        language_code=request.language_code,
        scene=request.scene,
        signals=tuple(_signal(index, item) for index, item in enumerate(request.signals)),
        shopper=messages.shopper(request.shopper),
        session_id=request.session_id,
        filter=carried(request.filter) if request.HasField("filter") else None,
        page_size=request.page_size,
        page_token=request.page_token,
        min_index_token=request.min_index_token,
        priority=request.priority,
        min_quality=request.min_quality,
        min_answer_quality=request.min_answer_quality,
        exclude_product_ids=tuple(request.exclude_product_ids),
        explain=request.explain,
        controls=of_request(request.controls),
        request_id=request.request_id,
        anchors=tuple(request.anchor_product_ids),
        followed=tuple(request.followed),
    )


def _search_query(request: pb.SearchRequest) -> Query:
    return Query(
        catalog_id=request.catalog_id or DEFAULT_CATALOG,
        signals=tuple(_signal(index, item) for index, item in enumerate(request.signals)),
        filter=carried(request.filter) if request.HasField("filter") else None,
        page_size=request.page_size,
        min_index_token=request.min_index_token,
        request_id=request.request_id,
        facets=tuple(request.facets),
        sort=request.sort,
    )


def _signal(index: int, message: pb.QuerySignal) -> Signal:
    return Signal(
        index=index,
        kind=SignalKind(message.WhichOneof("content") or SignalKind.NOTHING),
        image=message.image,
        image_uri=message.image_uri,
        text=message.text,
        product_id=message.product_id,
        weight=message.weight,
        negative=message.negative,
        box=message.box if message.HasField("box") else None,
        find_subject=message.find_subject,
    )


def _recommend(result: Result, message: pb.RecommendedProduct) -> None:
    """Fill in a result. Made in place: what is given to a constructor is copied."""
    answered = result.answered
    message.product.CopyFrom(result.row)
    message.rank = result.rank
    message.raw_score = answered.raw_score
    messages.add_parts(message.parts, answered.parts, answered.contributions)
    message.reasons.extend(answered.reasons)
    message.matched_image_id = answered.matched_image_id
    message.branches.extend(answered.branches)
    message.collapsed_product_ids.extend(answered.collapsed)
    if answered.score is not None:
        message.score = answered.score.chance
        message.score_event = messages.score_event(answered.score)
    message.score_rank = answered.score_rank
    message.moves.extend(result.moves)
