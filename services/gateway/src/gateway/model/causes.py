"""The services behind the gateway."""

from enum import StrEnum


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"
    VISION = "vision"
    """Optional: see `OPTIONAL` in servicer/passthrough.py."""
