"""Convert answers of Classify to plain values: their fields are in two messages."""

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert.filter_text import parse_filter
from sightline_client.convert.from_wire import category_guess
from sightline_client.values.classifications import Classification, FilterProposal


def classification(message: rec.ClassifyResponse) -> Classification:
    """Convert an answer of Classify."""
    inner = message.classification
    return Classification(
        guesses=tuple(map(category_guess, inner.guesses)),
        unknown_probability=inner.unknown_probability,
        unknown=inner.unknown,
        sure=category_guess(inner.sure) if inner.HasField("sure") else None,
        proposals=tuple(
            FilterProposal(parse_filter(item.text), item.text, item.probability)
            for item in message.proposals
        ),
        space_version=inner.space_version,
        request_id=message.request_id,
    )
