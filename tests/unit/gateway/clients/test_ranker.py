"""Requests to the ranker."""

from gateway.clients.ranker import rank_message
from gateway.model.diversity import Diversity
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.ranking import RankRequest


def test_what_negative_signals_lower_below_zero_is_sent_as_zero() -> None:
    candidates = FusedCandidates(
        columns=ProductColumns(product_ids=("a", "b")),
        fused=(-0.25, 0.5),
        order=(1, 0),
        branches=(1, 1),
        nearest=(None, None),
        image_ids=("", ""),
        similarities={},
    )
    request = RankRequest("c", "", None, "", candidates, {}, False, 0, Diversity())
    assert list(rank_message(request).fused) == [0.0, 0.5]
