"""Explanations as messages."""

from gateway.clients import messages
from gateway.model.answer import Result
from gateway.model.explanation import Explanation
from gateway.ranking import wording
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
        product=value.row,
        rejection=None
        if rejection is None
        else pb.FilterRejection(
            path=rejection.path, condition=rejection.condition, held=rejection.held
        ),
        collapsed_into_product_id=value.collapsed_into,
        branches=value.branches,
        rank=value.placed.rank if value.placed else 0,
        score=_score(value.placed),
        last_shown=_score(value.last_shown),
        degradations=value.degradations,
        versions=value.versions,
        request_id=request_id,
    )


def _score(value: Result | None) -> pb.ExplainedScore | None:
    if value is None:
        return None
    answered = value.answered
    message = pb.ExplainedScore(
        product_id=answered.product_id,
        raw_score=answered.raw_score,
        score_rank=answered.score_rank,
        moves=value.moves if value.rank else answered.moves,
    )
    messages.add_parts(message.parts, answered.parts, answered.contributions)
    message.reasons.extend(answered.reasons)
    return message
