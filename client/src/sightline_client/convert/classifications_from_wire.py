"""Classifications from messages."""

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.convert.filter_text import parse
from sightline_client.convert.from_wire import category_guess, subject
from sightline_client.values.classifications import Classification, FilterProposal


def classification(message: rec.ClassifyResponse) -> Classification:
    """An answer of Classify."""
    told = message.classification
    return Classification(
        guesses=tuple(category_guess(item) for item in told.guesses),
        unknown_probability=told.unknown_probability,
        unknown=told.unknown,
        sure=category_guess(told.sure) if told.HasField("sure") else None,
        proposals=tuple(
            FilterProposal(parse(item.text), item.text, item.probability)
            for item in message.proposals
        ),
        subject=subject(message.subject) if message.HasField("subject") else None,
        space_version=told.space_version,
        request_id=message.request_id,
    )
