"""The errors of the embedder, each with its reason on the wire.

ServiceError
├── InvalidArgument
│   ├── BatchInvalid             BATCH_INVALID              no items, or too many
│   ├── ItemEmpty                ITEM_EMPTY                 neither a photo nor a text
│   ├── TextInvalid              TEXT_INVALID               no characters, or too many
│   ├── BoxInvalid               BOX_INVALID                not a rectangle within the photo
│   ├── ViewsInvalid             VIEWS_INVALID              below 0, or too many
│   ├── PhotoUndecodable         IMAGE_UNDECODABLE          incomplete, or not a supported format
│   ├── PhotoTooLarge            IMAGE_TOO_LARGE            over the cap on bytes, pixels or memory
│   ├── PhotosTooLarge           IMAGES_TOO_LARGE           over the cap on pixels of a request
│   └── (kit's outbound.fetch)   URI_FORBIDDEN              fetching from there is not allowed
├── NotFound
│   ├── SpaceUnavailable         SPACE_UNAVAILABLE          no such space, or not for such items
│   └── SpaceNotFound            SPACE_NOT_FOUND            no fitted space of this version or name
├── FailedPrecondition
│   ├── SpaceVersionUnavailable  SPACE_VERSION_UNAVAILABLE  no model serves this version
│   ├── ModelNotReady            MODEL_NOT_READY            Triton's model can't be used
│   ├── ClassifierUnavailable    CLASSIFIER_UNAVAILABLE     no fitted space with a head serves
│   ├── HeatMapUnavailable       HEAT_MAP_UNAVAILABLE       the space's model shows no positions
│   ├── FitInvalid               FIT_INVALID                no space can be fitted on such photos
│   ├── FitUnavailable           FIT_UNAVAILABLE            this service can fit no spaces
│   ├── PromotionRefused         PROMOTION_REFUSED          evaluation not better, and not forced
│   ├── SpaceUnsigned            SPACE_UNSIGNED             no key of the operator signed it
│   └── (kit's outbound.fetch)   URI_UNREADABLE             the address gave no file
├── Unavailable
│   ├── EmbedderUnavailable      EMBEDDER_UNAVAILABLE       Triton does not answer
│   │   ├── ProcessLost          EMBEDDER_UNAVAILABLE       a process ended, or mixes up answers
│   │   ├── ModelAbsent          EMBEDDER_UNAVAILABLE       the model is not loaded, or not yet
│   │   └── ModelSilent          EMBEDDER_UNAVAILABLE       Triton takes too long
│   └── FitInProgress            FIT_IN_PROGRESS            another fit is under way
├── ResourceExhausted
│   ├── SpacesFull               SPACES_FULL                limit of serving spaces reached
│   └── QueueFull                EMBED_QUEUE_FULL           too many items wait, or for too long
├── DeadlineExceeded
│   └── DeadlinePassed           DEADLINE_EXCEEDED          the caller's deadline passed
└── Internal
    ├── FitFailed                FIT_FAILED                 the fitting process ended unexpectedly
    └── ModelFailed              MODEL_FAILED               model failed, or vector invalid
"""

from collections.abc import Sequence
from datetime import timedelta

from embedder.domain.items import MAX_ITEMS, MAX_TEXT
from embedder.domain.photos import MAX_VIEWS
from servicekit import errors

RETRY_AFTER = timedelta(seconds=1)


class BatchInvalid(errors.InvalidArgument, reason="BATCH_INVALID"):
    """The batch has no items, or too many."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"a batch must have 1 to {MAX_ITEMS} items; this one has {count}",
            violations=[errors.FieldViolation("items", f"expected 1 to {MAX_ITEMS} items")],
        )


class ItemEmpty(errors.InvalidArgument, reason="ITEM_EMPTY"):
    message = "the item needs a photo, an address of a photo, or a text"


class TextInvalid(errors.InvalidArgument, reason="TEXT_INVALID"):
    """The text is empty or too long."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a text must have 1 to {MAX_TEXT} characters; this one has {length}")


class BoxInvalid(errors.InvalidArgument, reason="BOX_INVALID"):
    """The box is not a rectangle within the photo."""


class ViewsInvalid(errors.InvalidArgument, reason="VIEWS_INVALID"):
    """The number of views is out of range."""

    def __init__(self, views: int) -> None:
        super().__init__(
            f"views must be 1 to {MAX_VIEWS}, or 0 for the space's own number; got {views}"
        )


class PhotoUndecodable(errors.InvalidArgument, reason="IMAGE_UNDECODABLE"):
    """The bytes are not a complete photo of a supported format."""


class PhotoTooLarge(errors.InvalidArgument, reason="IMAGE_TOO_LARGE"):
    """The photo is over the cap on bytes, pixels or memory."""


class PhotosTooLarge(errors.InvalidArgument, reason="IMAGES_TOO_LARGE"):
    """The photos of one request have too many pixels together."""

    def __init__(self, pixels: int, most: int) -> None:
        super().__init__(
            f"the photos of this request have {pixels:,} pixels together; at most {most:,} are"
            " allowed (EMBEDDER_MAX_REQUEST_PIXELS): send smaller photos, or fewer"
        )


class SpaceUnavailable(errors.NotFound, reason="SPACE_UNAVAILABLE"):
    """The space does not exist, or does not accept this kind of item."""


class SpaceVersionUnavailable(errors.FailedPrecondition, reason="SPACE_VERSION_UNAVAILABLE"):
    """No model serves this version of the space now."""

    def __init__(self, space: str, served: Sequence[str]) -> None:
        """Name the versions that are `served`, the default one first."""
        versions = ",".join(served)
        super().__init__(
            f"this version of the space {space} is not served; served: {versions or 'none'}",
            metadata={"space": space, "served_versions": versions},
        )


class ModelNotReady(errors.FailedPrecondition, reason="MODEL_NOT_READY"):
    """Triton answers, but its model is unusable; an operator has to act."""


class ClassifierUnavailable(errors.FailedPrecondition, reason="CLASSIFIER_UNAVAILABLE"):
    """The catalog has no serving space with a classification head."""


class EmbedderUnavailable(errors.Unavailable, reason="EMBEDDER_UNAVAILABLE"):
    """Triton does not answer; the same item may succeed in a moment."""

    retry_after = RETRY_AFTER


class ProcessLost(EmbedderUnavailable):
    """A process in which Triton runs the model has ended, or returns answers of other requests;
    other processes may continue."""


class ModelAbsent(EmbedderUnavailable):
    """The model server does not have the model now: it is not loaded, or is loading or draining."""


class ModelSilent(EmbedderUnavailable):
    message = "the model server takes too long"


class QueueFull(errors.ResourceExhausted, reason="EMBED_QUEUE_FULL"):
    """Too many items wait, or the item's deadline would pass while it waits."""

    message = "too many items wait to be embedded"

    def __init__(self, retry_after: timedelta = RETRY_AFTER) -> None:
        super().__init__(retry_after=retry_after)


class DeadlinePassed(errors.DeadlineExceeded, reason="DEADLINE_EXCEEDED"):
    message = "the deadline passed"


class ModelFailed(errors.Internal, reason="MODEL_FAILED"):
    """The model failed, or its vector is invalid."""


class SpaceNotFound(errors.NotFound, reason="SPACE_NOT_FOUND"):
    message = "no fitted space of this catalog has this version or name"


class HeatMapUnavailable(errors.FailedPrecondition, reason="HEAT_MAP_UNAVAILABLE"):
    """The space's vectors can't be attributed to positions."""


class FitInvalid(errors.FailedPrecondition, reason="FIT_INVALID"):
    """No space can be fitted on these photos; the message says what is needed."""


class FitUnavailable(errors.FailedPrecondition, reason="FIT_UNAVAILABLE"):
    """The service is not configured to fit spaces; the message names what is missing."""


class FitInProgress(errors.Unavailable, reason="FIT_IN_PROGRESS"):
    """Another space is being fitted."""

    retry_after = timedelta(seconds=10)

    message = "another space is being fitted: retry later"


class FitFailed(errors.Internal, reason="FIT_FAILED"):
    def __init__(self, code: int) -> None:
        super().__init__(
            f"the process that fits ended with status {code}; -9 usually means that memory ran out"
        )


class SpaceUnsigned(errors.FailedPrecondition, reason="SPACE_UNSIGNED"):
    message = (
        "no key of EMBEDDER_SPACE_KEYS_FILE signed the space: add the key that it was fitted with, "
        "or promote it with force if you know who wrote its folder"
    )


class SpacesFull(errors.ResourceExhausted, reason="SPACES_FULL"):
    """The catalog has the maximum number of serving spaces: each is a process of Triton."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} spaces of this catalog serve: retire one first")


class PromotionRefused(errors.FailedPrecondition, reason="PROMOTION_REFUSED"):
    """The evaluation rules out the promotion, which is not forced."""

    def __init__(self, verdict: str, why: str) -> None:
        super().__init__(why, metadata={"verdict": verdict})
