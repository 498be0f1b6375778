"""The best match as a message in answers and page tokens."""

from typing import Any

from gateway.clients.messages import space_version, space_version_message
from gateway.model.match import Match, MatchBasis, MatchOutcome
from gateway.ports import MatchCodec
from sightline.gateway.v1 import recommendation_service_pb2 as pb


class MatchMessages(MatchCodec):
    """Serialization of a match."""

    def pack(self, match: Match | None) -> bytes:
        """Return the match as bytes; empty without a match."""
        return b"" if match is None else match_message(match).SerializeToString()

    def unpack(self, data: bytes) -> Match:
        """Return the match of these bytes. Raises ValueError."""
        message = pb.Match.FromString(data)
        return Match(
            outcome=MatchOutcome(message.outcome),
            basis=MatchBasis(message.basis),
            product_id=message.product_id,
            value=message.value if message.HasField("value") else None,
            threshold=message.threshold if message.HasField("threshold") else None,
            branch=message.branch,
            space=space_version(message.space) if message.HasField("space") else None,
            event=message.event,
        )


def match_message(value: Match, text: str = "") -> pb.Match:
    """Return the message of a match, with its sentence."""
    outcome: Any = int(value.outcome)
    basis: Any = int(value.basis)
    event: Any = value.event
    return pb.Match(
        outcome=outcome,
        basis=basis,
        product_id=value.product_id,
        value=value.value,
        threshold=value.threshold,
        branch=value.branch,
        space=space_version_message(value.space),
        event=event,
        text=text,
    )
