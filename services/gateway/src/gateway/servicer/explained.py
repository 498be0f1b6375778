"""Explanations as messages."""

from typing import cast

from gateway import messages, wording
from gateway.explanation import BranchVerdict, Explanation
from gateway.model import ProductRow, Result
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb


def response(
    value: Explanation, language_code: str, request_id: str
) -> pb.ExplainRecommendationResponse:
    """The answer to ExplainRecommendation."""
    outcome = pb.ExplainRecommendationResponse.Outcome.Value(f"OUTCOME_{value.outcome}")
    rejection = value.rejection
    return pb.ExplainRecommendationResponse(
        outcome=outcome,
        text=wording.outcome(value, language_code),
        product=_product(value.row),
        rejection=None
        if rejection is None
        else pb.FilterRejection(
            path=rejection.path, condition=rejection.condition, held=rejection.held
        ),
        collapsed_into_product_id=value.collapsed_into,
        branches=[_verdict(item) for item in value.branches],
        rank=value.placed.rank if value.placed else 0,
        score=_score(value.placed),
        last_shown=_score(value.last_shown),
        degradations=[messages.degradation_message(item) for item in value.degradations],
        versions=messages.versions_message(value.versions) if value.versions else None,
        request_id=request_id,
    )


def _product(row: ProductRow | None) -> product_pb2.Product | None:
    return None if row is None else cast(product_pb2.Product, row.message)


def _verdict(value: BranchVerdict) -> pb.BranchVerdict:
    return pb.BranchVerdict(
        branch=value.branch,
        signal=value.signal,
        named=value.named,
        named_count=value.named_count,
        similarity=value.similarity,
        last_similarity=value.last_similarity,
    )


def _score(value: Result | None) -> pb.ExplainedScore | None:
    if value is None:
        return None
    answered = value.answered
    return pb.ExplainedScore(
        product_id=answered.product_id,
        raw_score=answered.raw_score,
        parts=messages.part_messages(answered.parts, answered.addends),
        score_rank=answered.score_rank,
        moves=messages.move_messages(value.moves if value.rank else answered.moves),
        reasons=[messages.reason_message(item) for item in answered.reasons],
    )
