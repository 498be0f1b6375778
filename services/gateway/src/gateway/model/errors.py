"""The gateway's errors, each with its reason::

ServiceError
├── InvalidArgument
│   └── ImageRefused        IMAGE_UNDECODABLE, IMAGE_TOO_LARGE, URI_FORBIDDEN, BOX_INVALID
├── NotFound
│   ├── SceneNotFound       SCENE_NOT_FOUND
│   ├── ProductNotFound     PRODUCT_NOT_FOUND
│   └── AnswerMissing       ANSWER_RECORD_MISSING
├── FailedPrecondition
│   ├── ImageUnreadable     URI_UNREADABLE
│   ├── SpaceInUse          SPACE_IN_USE
│   └── SpaceMissing        SPACE_UNAVAILABLE
├── Unavailable
│   ├── PeerUnavailable     EMBEDDER_UNAVAILABLE, RETRIEVER_UNAVAILABLE, RANKER_UNAVAILABLE
│   └── NothingAvailable    NOTHING_AVAILABLE
└── DeadlineExceeded
    └── StageLate           STAGE_DEADLINE
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from gateway.model.causes import Cause, Peer
from gateway.model.query import photo_path
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Unavailable,
)

RETRY_AFTER = timedelta(seconds=1)
"""When a caller may try again after something was unavailable."""


class ImageRefused(InvalidArgument):
    """A photo can't be used, or must not be fetched."""

    def __init__(self, index: int, kind: str, reason: str, description: str) -> None:
        """`index`: of the signal, or ALONE. `kind` is the field that
        gave the photo."""
        path = photo_path(index, kind)
        super().__init__(
            f"{path}: {description}",
            reason=reason,
            violations=(FieldViolation(path, description),),
        )


class ImageUnreadable(FailedPrecondition):
    """The address of a photo gave no file."""

    def __init__(self, index: int, description: str) -> None:
        """`index`: as of ImageRefused."""
        path = photo_path(index, "image_uri")
        super().__init__(
            f"{path}: {description}",
            reason="URI_UNREADABLE",
            violations=(FieldViolation(path, description),),
        )


class SceneNotFound(NotFound):
    """There is no scene of this name."""

    def __init__(self) -> None:
        description = "there is no scene of this name; GetStatus lists them"
        super().__init__(
            description,
            reason="SCENE_NOT_FOUND",
            violations=(FieldViolation("scene", description),),
        )


class ProductNotFound(NotFound):
    """The catalog does not hold the products that are asked for."""

    def __init__(self, *paths: str) -> None:
        super().__init__(
            "the catalog does not hold this product",
            reason="PRODUCT_NOT_FOUND",
            violations=[FieldViolation(path, "is not in the catalog") for path in paths],
        )


class SpaceMissing(FailedPrecondition):
    """No signal can be followed: their spaces do not exist, or nothing is indexed in them yet."""

    def __init__(self, places: Iterable[int]) -> None:
        description = "has no space to be searched in, or nothing is indexed in it yet"
        super().__init__(
            f"what is asked for {description}",
            reason="SPACE_UNAVAILABLE",
            violations=[FieldViolation(f"signals[{place}]", description) for place in places],
        )


class SpaceInUse(FailedPrecondition):
    """Index generations that are not dropped hold vectors of the space."""

    def __init__(self, generations: Sequence[str]) -> None:
        names = ", ".join(generations)
        super().__init__(
            f"index generations use this space: {names}; drop them first",
            reason="SPACE_IN_USE",
            metadata={"generations": ",".join(generations)},
        )


class AnswerMissing(NotFound):
    """There is no record of the answer: it was dropped, or has expired."""

    def __init__(self) -> None:
        super().__init__(
            "no record of this answer is kept: ask for the first page again",
            reason="ANSWER_RECORD_MISSING",
        )


class PeerUnavailable(Unavailable):
    """A service behind the gateway does not answer."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(
            f"the {peer} does not answer",
            reason=f"{peer.upper()}_UNAVAILABLE",
            retry_after=RETRY_AFTER,
        )


class NothingAvailable(Unavailable):
    """Too much is unavailable to answer at all."""

    def __init__(self, causes: Iterable["Cause"]) -> None:
        super().__init__(
            "what an answer could rest on is unavailable",
            reason="NOTHING_AVAILABLE",
            retry_after=RETRY_AFTER,
            metadata={"causes": ",".join(sorted({cause.name for cause in causes}))},
        )


class StageLate(DeadlineExceeded):
    """A stage used up its part of the deadline."""

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"{stage} took longer than its part of the deadline", reason="STAGE_DEADLINE"
        )
