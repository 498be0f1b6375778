"""The services behind the gateway, and the causes of degradations."""

from enum import StrEnum

from sightline_core.degradations import Degradation, DegradationCause

__all__ = ["Degradation", "DegradationCause", "Peer"]


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"
