"""Requests to rank and to nominate, checked and translated. Edge: decides nothing."""

from ranker.servicer.answers import MOST_MICROS, check_draft
from ranker.servicer.candidates import MOST_CANDIDATES, candidates_of, likeness_of, weights_of
from ranker.servicer.controls import controls_of
from ranker.servicer.recommenders import anchors_of, recommenders_of, scope_of
from ranker.servicer.replies import policy_of
from ranker.servicer.requests import check_range, check_version
from ranker.serving.nominate import MOST_GENERATED, NominateQuery
from ranker.serving.rank_products import RankQuery
from ranker.serving.ranking.diversity import DEFAULT
from ranker.serving.ranking.recommenders import MOST_ANCHORS
from servicekit.clock import now_micros
from sightline.ranker.v1 import ranking_service_pb2 as pb

DEFAULT_GENERATED = 100


def rank_query(request: pb.RankRequest, catalog_id: str, actor: str | None) -> RankQuery:
    """Return the query of a request; RequestInvalid."""
    candidates, weights = candidates_of(request), weights_of(request.weights)
    check_range("top_k", request.top_k, 0, MOST_CANDIDATES)
    check_range("reason_top_k", request.reason_top_k, 0, MOST_CANDIDATES)
    check_range("time_micros", request.time_micros, 0, MOST_MICROS)
    policy = policy_of(request.diversity) if request.HasField("diversity") else DEFAULT
    likeness = likeness_of(request) if request.collapse else None
    if request.HasField("record"):
        check_draft(request.record, len(candidates.ids))
    anchors = anchors_of(request)
    controls = controls_of(request.controls, len(candidates.ids))
    check_version(request.model_version)
    return RankQuery(
        *(catalog_id, actor, candidates, weights, request.time_micros or now_micros()),
        policy=policy,
        likeness=likeness,
        controls=controls,
        page_size=request.controls.page_size,
        pins_first=request.controls.pins_first,
        anchors=anchors,
        drop_seen=request.drop_seen,
        top_k=request.top_k,
        reason_top_k=request.reason_top_k if request.HasField("reason_top_k") else None,
        with_breakdown=request.explain,
        language_code=request.language_code,
        seed=request.seed,
        session_id=request.session_id,
        model_version=request.model_version,
        history_token=request.history_token,
    )


def nominate_query(
    request: pb.NominateRequest, catalog_id: str, actor: str | None
) -> NominateQuery:
    """Return the query of a request; RequestInvalid."""
    check_range("top_k", request.top_k, 0, MOST_GENERATED)
    check_range("exclude_product_ids", len(request.exclude_product_ids), 0, MOST_GENERATED)
    anchors, names = anchors_of(request), recommenders_of(request.recommenders)
    scope = scope_of(request)
    check_range("last_products", request.last_products, 0, MOST_ANCHORS)
    path = "last_product_recommenders"
    of_last = recommenders_of(request.last_product_recommenders, path, among=names)
    check_version(request.model_version)
    return NominateQuery(
        *(catalog_id, actor, now_micros(), request.top_k or DEFAULT_GENERATED),
        exclude=tuple(request.exclude_product_ids),
        anchors=anchors,
        recommenders=names,
        scope=scope,
        recommenders_only=request.recommenders_only,
        accepts_vectors=request.accepts_vectors,
        model_version=request.model_version,
        last_products=request.last_products,
        last_product_recommenders=of_last,
    )
