"""The gateway's errors, each with its reason::

ServiceError
├── InvalidArgument
│   ├── AttributionInvalid  ATTRIBUTION_TOKEN_INVALID
│   ├── FilterInvalid       FILTER_INVALID
│   ├── ImageRefused        IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, IMAGES_TOO_LARGE, URI_FORBIDDEN, …
│   ├── RequestTooExpensive REQUEST_TOO_EXPENSIVE
│   └── SceneInvalid        SCENE_INVALID
├── NotFound
│   ├── SceneNotFound       SCENE_NOT_FOUND
│   ├── ProductNotFound     PRODUCT_NOT_FOUND
│   └── AnswerMissing       ANSWER_RECORD_MISSING
├── Aborted
│   └── EtagMismatch        ETAG_MISMATCH
├── FailedPrecondition
│   ├── ImageUnreadable     URI_UNREADABLE
│   ├── NoPhoto             HEAT_MAP_UNAVAILABLE
│   ├── SpaceInUse          SPACE_IN_USE
│   └── SpaceMissing        SPACE_UNAVAILABLE
├── PermissionDenied
│   └── VisitorProofInvalid VISITOR_PROOF_INVALID
├── ResourceExhausted
│   └── ExpensiveRequestsBusy SERVICE_OVERLOADED
├── Unavailable
│   ├── PeerUnavailable     EMBEDDER_UNAVAILABLE, RETRIEVER_UNAVAILABLE, RANKER_UNAVAILABLE, …
│   ├── NothingAvailable    NOTHING_AVAILABLE
│   └── AnswerDegraded      ANSWER_DEGRADED
├── Unimplemented
│   └── VisionAbsent        VISION_ABSENT
└── DeadlineExceeded
    └── StageLate           STAGE_DEADLINE
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Self

from gateway.model.causes import Peer
from gateway.model.price import RequestPrice
from gateway.model.query import photo_path
from servicekit.admission.concurrency import Overloaded
from servicekit.errors import (
    Aborted,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refusal,
    Unavailable,
    Unimplemented,
)
from servicekit.rpc.requests import FieldsInvalid, describe
from sightline_core.degradations import DegradationCause

LONGEST_NAME = 64
"""Characters of a scene's name."""
RETRY_AFTER = timedelta(seconds=1)
"""Retry delay suggested to callers when something is unavailable."""


class ImageRefused(FieldsInvalid):
    """A photo that can't be used or must not be fetched."""

    def __init__(self, index: int, kind: str, reason: str, description: str) -> None:
        """`index`: of the signal, or ALONE. `kind` is the field that
        gave the photo."""
        super().__init__(FieldViolation(photo_path(index, kind), description), reason=reason)


class AttributionInvalid(FieldsInvalid, reason="ATTRIBUTION_TOKEN_INVALID"):
    """The attribution token is invalid, was changed, or belongs to another catalog."""

    def __init__(self, description: str) -> None:
        super().__init__(FieldViolation("attribution_token", description))


class SceneInvalid(FieldsInvalid, reason="SCENE_INVALID"):
    """An invalid scene file; fields are its entries, below `toml`."""


class EtagMismatch(Aborted, reason="ETAG_MISMATCH"):
    """The document is not the one that the caller has read."""

    message = "what this etag describes has changed: read it again"


class ImageUnreadable(FailedPrecondition, reason="URI_UNREADABLE"):
    """The address of a photo returned no file."""

    def __init__(self, index: int, description: str) -> None:
        """`index`: as of ImageRefused."""
        violations = [FieldViolation(photo_path(index, "image_uri"), description)]
        super().__init__(describe(violations), violations=violations)


class NoPhoto(FailedPrecondition, reason="HEAT_MAP_UNAVAILABLE"):
    """A product without a photo has no visual similarity."""

    message = "the product has no photo to compare"
    violations = (FieldViolation("product_id", message),)


class FilterInvalid(FieldsInvalid, reason="FILTER_INVALID"):
    """A filter that can't be evaluated; raised here only while the retriever is unavailable."""


class RequestTooExpensive(Refusal, InvalidArgument, reason="REQUEST_TOO_EXPENSIVE"):
    """A request whose price is above the bound of one request; the dearest fields come first."""

    def __init__(self, price: RequestPrice, most: float) -> None:
        parts = sorted(price.parts.items(), key=lambda part: -part[1])
        violations = [
            FieldViolation(name, f"costs {seconds:.2f} s: {advice}")
            for name, seconds in parts
            if seconds > most / 20 and (advice := _CHEAPER.get(name.rpartition(".")[2]))
        ]
        super().__init__(
            f"would cost about {price.seconds:.2f} processor seconds; at most {most:g} are allowed:"
            f" {describe(violations)}",
            violations=violations,
            metadata={"price_seconds": f"{price.seconds:.2f}", "most_seconds": f"{most:g}"},
        )


class ExpensiveRequestsBusy(Overloaded):
    """Rejection of an expensive request whose turn would come too late for its deadline."""

    def __init__(self, price: RequestPrice, retry_after: timedelta) -> None:
        super().__init__(
            "expensive requests run after one another, and this one's deadline would have passed:"
            " retry later, set a longer deadline, or send a request that costs less",
            retry_after=retry_after,
            metadata={"price_seconds": f"{price.seconds:.2f}"},
        )


_CHEAPER = {
    "signals": "send fewer or shorter signals",
    "filter": "use fewer conditions, above all on attributes",
    "controls": "use fewer conditions in the filters of controls",
    "facets": "ask for fewer facets of attributes",
    "page_size": "ask for a smaller page",
    "candidates": "send fewer candidates",
    "field": "use a scene that ranks fewer candidates",
}


class SceneNotFound(NotFound, reason="SCENE_NOT_FOUND"):
    """No scene has this name."""

    message = "no scene has this name"
    violations = (FieldViolation("scene", message),)

    @classmethod
    def among(cls, name: str, names: Iterable[str]) -> Self:
        """Return the error for a name, with the nearest of the scenes' names."""
        near = get_close_matches(name[:LONGEST_NAME], names, 1)
        text = f"{cls.message}; did you mean {near[0]}?" if near else cls.message
        return cls(text, violations=[FieldViolation("scene", text)])


class ProductNotFound(NotFound, reason="PRODUCT_NOT_FOUND"):
    """Requested products are not in the catalog."""

    message = "the product is not in the catalog"

    def __init__(self, *paths: str) -> None:
        super().__init__(violations=[FieldViolation(p, "is not in the catalog") for p in paths])


class SpaceMissing(FailedPrecondition, reason="SPACE_UNAVAILABLE"):
    """No signal can be searched: their spaces do not exist, or hold nothing yet."""

    def __init__(self, places: Iterable[int]) -> None:
        description = "can't be searched: its space does not exist, or is empty"
        violations = [FieldViolation(f"signals[{place}]", description) for place in places]
        super().__init__(f"the request {description}", violations=violations)


class SpaceInUse(FailedPrecondition, reason="SPACE_IN_USE"):
    """Index generations that are not dropped use the space."""

    def __init__(self, generations: Sequence[str]) -> None:
        super().__init__(
            f"index generations use this space: {', '.join(generations)}; drop them first",
            metadata={"generations": ",".join(generations)},
        )


class AnswerMissing(NotFound, reason="ANSWER_RECORD_MISSING"):
    """The answer has no record: it was dropped or has expired."""

    message = "the record of this answer was dropped or has expired: request the first page again"


class VisitorProofInvalid(PermissionDenied, reason="VISITOR_PROOF_INVALID"):
    """The caller can't prove that the visitor is theirs."""

    message = (
        "visitor_proof: is missing, has expired or belongs to another visitor: send the proof that "
        "CreateVisitor returned with the visitor_id, or merge with a key that has the role privacy"
    )
    violations = (FieldViolation("visitor_proof", "is not this visitor's"),)


class PeerUnavailable(Unavailable):
    """A service behind the gateway does not answer."""

    retry_after = RETRY_AFTER

    def __init__(self, peer: Peer) -> None:
        super().__init__(f"the {peer} does not answer", reason=f"{peer.upper()}_UNAVAILABLE")


class VisionAbsent(Unimplemented, reason="VISION_ABSENT"):
    """The installation does not run the optional service that has the call."""

    message = (
        "this installation does not run the service of cameras, vision, which has this call:"
        " operators start it with `make up VISION=1`, or as docs/operate/vision.md says"
    )


class NothingAvailable(Unavailable, reason="NOTHING_AVAILABLE"):
    """Too many dependencies are unavailable to answer."""

    message = "all sources of an answer are unavailable"
    retry_after = RETRY_AFTER

    def __init__(self, causes: Iterable[DegradationCause]) -> None:
        super().__init__(metadata={"causes": ",".join(sorted({cause.name for cause in causes}))})


class AnswerDegraded(Unavailable, reason="ANSWER_DEGRADED"):
    """The answer is below the minimum quality of request or scene."""

    retry_after = RETRY_AFTER

    def __init__(self, quality: str, least: str, causes: Iterable[str]) -> None:
        super().__init__(
            f"the best available quality is {quality}, but at least {least} is required",
            metadata={"quality": quality, "least": least, "causes": ",".join(causes)},
        )


class StageLate(DeadlineExceeded, reason="STAGE_DEADLINE"):
    """A stage used up its share of the deadline."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"{stage} took longer than its share of the deadline")
