"""The contract's explanations into plain values."""

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert import from_wire
from sightline_client.values import explanations
from sightline_client.values.explanations import Outcome

_OUTCOMES = rec.ExplainRecommendationResponse.Outcome


def explanation(message: rec.ExplainRecommendationResponse) -> explanations.Explanation:
    """An answer of ExplainRecommendation."""
    known = message.outcome in _OUTCOMES.values()
    name = _OUTCOMES.Name(message.outcome).removeprefix("OUTCOME_") if known else ""
    return explanations.Explanation(
        outcome=Outcome(name) if name in Outcome.__members__ else Outcome.UNKNOWN,
        text=message.text,
        product=from_wire.product(message.product) if message.HasField("product") else None,
        rejection=_rejection(message.rejection) if message.HasField("rejection") else None,
        collapsed_into_product_id=message.collapsed_into_product_id,
        branches=tuple(_verdict(item) for item in message.branches),
        rank=message.rank,
        score=_score(message.score) if message.HasField("score") else None,
        last_shown=_score(message.last_shown) if message.HasField("last_shown") else None,
        degradations=from_wire.degradations(message.degradations),
        versions=from_wire.versions(message.versions),
        request_id=message.request_id,
    )


def _rejection(message: rec.FilterRejection) -> explanations.FilterRejection:
    return explanations.FilterRejection(message.path, message.condition, tuple(message.held))


def _verdict(message: rec.BranchVerdict) -> explanations.BranchVerdict:
    near, last = message.HasField("similarity"), message.HasField("last_similarity")
    return explanations.BranchVerdict(
        branch=message.branch,
        signal=message.signal if message.HasField("signal") else None,
        named=message.named,
        named_count=message.named_count,
        similarity=message.similarity if near else None,
        last_similarity=message.last_similarity if last else None,
    )


def _score(message: rec.ExplainedScore) -> explanations.ExplainedScore:
    return explanations.ExplainedScore(
        product_id=message.product_id,
        raw_score=message.raw_score,
        parts=from_wire.parts(message.parts),
        score_rank=message.score_rank,
        moves=from_wire.moves(message.moves),
        reasons=from_wire.reasons(message.reasons),
    )
