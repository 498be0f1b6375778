"""The services behind the gateway, and why an answer without one of them is degraded."""

from enum import IntEnum, StrEnum

from gateway.model.messages import Degradation


class Peer(StrEnum):
    """The services that the gateway calls."""

    EMBEDDER = "embedder"
    RETRIEVER = "retriever"
    RANKER = "ranker"


class Cause(IntEnum):
    """Why an answer is degraded, by the numbers of Degradation.Cause."""

    EMBEDDER_UNAVAILABLE = Degradation.CAUSE_EMBEDDER_UNAVAILABLE
    INDEX_UNAVAILABLE = Degradation.CAUSE_INDEX_UNAVAILABLE
    RETRIEVER_UNAVAILABLE = Degradation.CAUSE_RETRIEVER_UNAVAILABLE
    RANKER_UNAVAILABLE = Degradation.CAUSE_RANKER_UNAVAILABLE
    PROFILE_UNAVAILABLE = Degradation.CAUSE_PROFILE_UNAVAILABLE
    STAGE_DEADLINE = Degradation.CAUSE_STAGE_DEADLINE
    SPACE_UNAVAILABLE = Degradation.CAUSE_SPACE_UNAVAILABLE
    MODEL_NOT_READY = Degradation.CAUSE_MODEL_NOT_READY
    ANSWER_RECORD_DROPPED = Degradation.CAUSE_ANSWER_RECORD_DROPPED
