"""Explanations and classifications, with the filters that these propose, as messages."""

from gateway.clients import messages
from gateway.model.answer import Classified, Proposal, Result
from gateway.model.explanation import Explanation
from gateway.ranking import wording
from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_rules import categories


def explanation(
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


def classification(value: Classified, request_id: str) -> pb.ClassifyResponse:
    """The answer to Classify."""
    return pb.ClassifyResponse(
        classification=value.classification,
        proposals=[proposal_message(item) for item in value.proposals],
        subject=value.subject,
        request_id=request_id,
    )


def proposal_message(value: Proposal) -> pb.FilterProposal:
    """A filter that passes what is in one of the categories."""
    paths = [categories.join(path) for path in value.paths]
    return pb.FilterProposal(
        filter=_filter(paths), text=_text(paths), probability=value.probability
    )


def _filter(paths: list[str]) -> filter_pb2.Filter:
    values = [filter_pb2.FilterValue(text=path) for path in paths]
    if len(values) > 1:
        return filter_pb2.Filter(membership=filter_pb2.Membership(field="category", values=values))
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field="category", operator=equal, value=values[0])
    )


def _text(paths: list[str]) -> str:
    """The same as the command line writes filters."""
    quoted = (path.replace("\\", "\\\\").replace('"', '\\"') for path in paths)
    return " OR ".join(f'category = "{path}"' for path in quoted)
