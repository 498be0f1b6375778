"""Requests as queries of the use cases: messages are checked and translated, and what messages and
lent values have in common is read once. Edge: decides nothing."""

from typing import Any

from ranker.servicer.answers import MOST_MICROS, check_draft
from ranker.servicer.candidates import (
    MOST_CANDIDATES,
    candidates_of,
    explained_of,
    likeness_of,
    weights_of,
)
from ranker.servicer.controls import controls_of
from ranker.servicer.recommenders import anchors_of, recommenders_of, scope_of
from ranker.servicer.replies import policy_of
from ranker.servicer.requests import check_range, check_version
from ranker.serving.give_reasons import ReasonsQuery
from ranker.serving.nominate import MOST_GENERATED, NominateQuery
from ranker.serving.rank_products import RankQuery
from ranker.serving.ranking.diversity import DEFAULT
from ranker.serving.ranking.rank import RankCandidates
from ranker.serving.ranking.recommenders import MOST_ANCHORS
from servicekit.clock import now_micros
from sightline.ranker.v1 import ranking_service_pb2 as pb

DEFAULT_GENERATED = 100
Whose = tuple[str, str | None]
"""Catalog, and pseudonym of the shopper; None if anonymous."""


def rank_query(request: pb.RankRequest, catalog_id: str, actor: str | None) -> RankQuery:
    """Return the query of a message; RequestInvalid."""
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
    return read_rank(
        *(request, (catalog_id, actor), candidates),
        weights=weights,
        policy=policy,
        likeness=likeness,
        controls=controls,
        page_size=request.controls.page_size,
        pins_first=request.controls.pins_first,
        anchors=anchors,
        reason_top_k=request.reason_top_k if request.HasField("reason_top_k") else None,
    )


def read_rank(order: Any, whose: Whose, candidates: RankCandidates, **given: Any) -> RankQuery:
    """Return the query of a request, or of its message, with the fields that these call
    otherwise."""
    return RankQuery(
        *(*whose, candidates),
        now_micros=order.time_micros or now_micros(),
        drop_seen=order.drop_seen,
        top_k=order.top_k,
        with_breakdown=order.explain,
        language_code=order.language_code,
        seed=order.seed,
        session_id=order.session_id,
        model_version=order.model_version,
        history_token=order.history_token,
        **given,
    )


def nominate_query(
    request: pb.NominateRequest, catalog_id: str, actor: str | None
) -> NominateQuery:
    """Return the query of a message; RequestInvalid."""
    check_range("top_k", request.top_k, 0, MOST_GENERATED)
    check_range("exclude_product_ids", len(request.exclude_product_ids), 0, MOST_GENERATED)
    anchors, names = anchors_of(request), recommenders_of(request.recommenders)
    scope = scope_of(request)
    check_range("last_products", request.last_products, 0, MOST_ANCHORS)
    path = "last_product_recommenders"
    of_last = recommenders_of(request.last_product_recommenders, path, among=names)
    check_version(request.model_version)
    return read_nominate(
        *(request, (catalog_id, actor)),
        anchors=anchors,
        recommenders=names,
        scope=scope,
        recommenders_only=request.recommenders_only,
        last_products=request.last_products,
        last_product_recommenders=of_last,
    )


def read_nominate(order: Any, whose: Whose, **given: Any) -> NominateQuery:
    """Return the query of a request or message; see read_rank."""
    return NominateQuery(
        *(*whose, now_micros(), order.top_k or DEFAULT_GENERATED),
        exclude=tuple(order.exclude_product_ids),
        accepts_vectors=order.accepts_vectors,
        model_version=order.model_version,
        **given,
    )


def reasons_query(
    request: pb.GiveReasonsRequest, catalog_id: str, actor: str | None
) -> ReasonsQuery:
    """Return the query of a message; RequestInvalid."""
    products, given = explained_of(request)
    weights = weights_of(request.weights)
    check_version(request.model_version)
    whose, anchors = (catalog_id, actor), anchors_of(request)
    return read_reasons(request, whose, products, parts=given, weights=weights, anchors=anchors)


def read_reasons(order: Any, whose: Whose, products: RankCandidates, **given: Any) -> ReasonsQuery:
    """Return the query of a request or message; see read_rank."""
    return ReasonsQuery(
        *(*whose, products),
        now_micros=now_micros(),
        explored_places=frozenset(order.explored_places),
        language_code=order.language_code,
        with_breakdown=order.explain,
        model_version=order.model_version,
        **given,
    )
