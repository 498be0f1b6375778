"""The errors of vision, each with its reason on the wire::


ServiceError
├── InvalidArgument
│   ├── ImageRejected          IMAGE_UNDECODABLE, IMAGE_TOO_LARGE
│   ├── PlanInvalid            PLAN_INVALID
│   ├── WatchInvalid           WATCH_INVALID
│   ├── FrameTimeInvalid       FRAME_TIME_INVALID
│   ├── ResumeTokenInvalid     RESUME_TOKEN_INVALID
│   ├── WebhookInvalid         WEBHOOK_INVALID
│   └── (kit's outbound.fetch) URI_FORBIDDEN
├── NotFound
│   ├── ProductNotFound        PRODUCT_NOT_FOUND
│   ├── ReferenceNotFound      REFERENCE_NOT_FOUND
│   ├── ImageNotFound          IMAGE_NOT_FOUND
│   ├── WatchNotFound          WATCH_NOT_FOUND
│   └── WebhookNotFound        WEBHOOK_NOT_FOUND
├── AlreadyExists
│   ├── WatchExists            WATCH_EXISTS
│   └── WebhookExists          WEBHOOK_EXISTS
├── FailedPrecondition
│   ├── ImageUnreadable        URI_UNREADABLE
│   ├── ModelNotReady          MODEL_NOT_READY
│   ├── PromotionRefused       PROMOTION_REFUSED
│   ├── ReferenceMixed         REFERENCE_MIXED
│   ├── ReferenceTooFewPhotos  REFERENCE_TOO_FEW_PHOTOS
│   ├── SnapshotUnchanged      SNAPSHOT_UNCHANGED
│   ├── VersionMismatch        INDEX_VERSION_MISMATCH
│   ├── ImageTakenDown         IMAGE_TAKEN_DOWN
│   └── WebhookKeysMissing     WEBHOOK_KEYS_MISSING
├── Aborted
│   ├── EtagMismatch           ETAG_MISMATCH
│   └── WatchContended         WATCH_CONTENDED
├── Unavailable
│   ├── EmbedderUnavailable    EMBEDDER_UNAVAILABLE
│   ├── FitInProgress          FIT_IN_PROGRESS
│   ├── RetrieverUnavailable   RETRIEVER_UNAVAILABLE
│   ├── RankerUnavailable      RANKER_UNAVAILABLE
│   └── PhotosUnavailable      PHOTO_STORE_UNAVAILABLE
├── ResourceExhausted
│   ├── ReferencesFull         REFERENCES_FULL
│   ├── ReferenceFull          REFERENCE_FULL
│   ├── WatchesFull            WATCHES_FULL
│   ├── WebhooksFull           WEBHOOKS_FULL
│   └── PhotosFull             PHOTO_STORE_FULL
└── DataLoss
    └── ImageDamaged           IMAGE_DAMAGED
"""

from datetime import timedelta

from servicekit import errors
from servicekit.rpc.requests import FieldsInvalid


class PlanInvalid(FieldsInvalid, reason="PLAN_INVALID"):
    """A plan of a shelf that no shelf can have, or with products that can't be found."""


class WatchInvalid(FieldsInvalid, reason="WATCH_INVALID"):
    """Fields of a watch are out of their documented range."""


class FrameTimeInvalid(errors.InvalidArgument, reason="FRAME_TIME_INVALID"):
    message = "frame_time is more than 5 minutes ahead of the service's clock, or before 1970"


class ResumeTokenInvalid(FieldsInvalid, reason="RESUME_TOKEN_INVALID"):
    """The token is none of a stream of alerts."""


class WatchNotFound(errors.NotFound, reason="WATCH_NOT_FOUND"):
    message = "this catalog has no such watch"


class WebhookNotFound(errors.NotFound, reason="WEBHOOK_NOT_FOUND"):
    message = "this catalog has no such webhook"


class WatchExists(errors.AlreadyExists, reason="WATCH_EXISTS"):
    message = "this catalog has another watch of this id: update it, or choose another id"


class WebhookExists(errors.AlreadyExists, reason="WEBHOOK_EXISTS"):
    message = "this catalog has a webhook of this id with other values: delete it first"


class SnapshotUnchanged(errors.FailedPrecondition, reason="SNAPSHOT_UNCHANGED"):
    message = "the address gives the same picture as before"


class WebhookInvalid(FieldsInvalid, reason="WEBHOOK_INVALID"):
    """Values of a webhook, or of a call about one, are out of their documented range."""


class WebhookKeysMissing(errors.FailedPrecondition, reason="WEBHOOK_KEYS_MISSING"):
    """Secrets can't be derived: there is no file of keys, or it lacks the key of a secret."""

    message = "VISION_WEBHOOK_KEYS_FILE is not set, or lacks the key of this webhook's secret"


class WatchContended(errors.Aborted, reason="WATCH_CONTENDED"):
    message = "other calls change this watch, or send frames to it, all the time: try again"


class WatchesFull(errors.ResourceExhausted, reason="WATCHES_FULL"):
    """Quota of watches of a catalog exceeded."""

    def __init__(self, most: int) -> None:
        super().__init__(f"this catalog has {most} watches: delete one first")


class WebhooksFull(errors.ResourceExhausted, reason="WEBHOOKS_FULL"):
    """Quota of a catalog's webhooks exceeded."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the catalog has {most} webhooks: delete one first")


class ImageRejected(errors.InvalidArgument):
    """A photo that is rejected."""

    def __init__(self, reason: str, description: str, path: str = "") -> None:
        violations = (errors.FieldViolation(path, description),) if path else ()
        super().__init__(description, reason=reason, violations=violations)


class ImageUnreadable(errors.FailedPrecondition, reason="URI_UNREADABLE"):
    """The address of a photo returned no file."""

    def __init__(self, description: str, path: str) -> None:
        super().__init__(description, violations=[errors.FieldViolation(path, description)])


class ProductNotFound(errors.NotFound, reason="PRODUCT_NOT_FOUND"):
    message = "this catalog has no such product"

    def __init__(self, *paths: str) -> None:
        super().__init__(
            violations=[errors.FieldViolation(path, "is not in the catalog") for path in paths]
        )


class ImageNotFound(errors.NotFound, reason="IMAGE_NOT_FOUND"):
    message = "no such photo is stored"

    def __init__(self, path: str = "") -> None:
        violation = errors.FieldViolation(path, "names a photo that is not stored")
        super().__init__(violations=(violation,) if path else ())


class ImageTakenDown(errors.FailedPrecondition, reason="IMAGE_TAKEN_DOWN"):
    message = "this photo was taken down and may not be stored"

    def __init__(self, path: str = "") -> None:
        violation = errors.FieldViolation(path, "holds a photo that was taken down")
        super().__init__(violations=(violation,) if path else ())


class VersionMismatch(errors.FailedPrecondition, reason="INDEX_VERSION_MISMATCH"):
    """The embedder does not serve the version of the index: its vectors are never compared."""

    message = "the vector's space version is not the one that the index holds"

    def __init__(self, given: str, held: str) -> None:
        super().__init__(metadata={"given": given, "held": held})


class EtagMismatch(errors.Aborted, reason="ETAG_MISMATCH"):
    message = "what this etag describes has changed: read it again"


class EmbedderUnavailable(errors.Unavailable, reason="EMBEDDER_UNAVAILABLE"):
    message = "the embedder does not answer"
    retry_after = timedelta(seconds=1)


class RetrieverUnavailable(errors.Unavailable, reason="RETRIEVER_UNAVAILABLE"):
    message = "the retriever does not answer"
    retry_after = timedelta(seconds=1)


class RankerUnavailable(errors.Unavailable, reason="RANKER_UNAVAILABLE"):
    message = "the ranker does not answer"
    retry_after = timedelta(seconds=1)


class PhotosUnavailable(errors.Unavailable, reason="PHOTO_STORE_UNAVAILABLE"):
    message = "the photo store can't be reached"
    retry_after = timedelta(seconds=2)


class PhotosFull(errors.ResourceExhausted, reason="PHOTO_STORE_FULL"):
    """The photo store's disk is full. Nothing of the watch was kept."""

    message = "the photo store is full"


class ImageDamaged(errors.DataLoss, reason="IMAGE_DAMAGED"):
    message = "the stored photo is damaged"


class ModelNotReady(errors.FailedPrecondition, reason="MODEL_NOT_READY"):
    """Another model computes features now than the one that a reference was fitted with."""

    def __init__(self, former: str, now: str) -> None:
        super().__init__(
            f"the reference was fitted by {former}, which {now} replaced: fit it again"
        )


class FitInProgress(errors.Unavailable, reason="FIT_IN_PROGRESS"):
    """A reference, or too many of a catalog, are being fitted."""

    retry_after = timedelta(seconds=10)

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} being fitted: retry later")


class PromotionRefused(errors.FailedPrecondition, reason="PROMOTION_REFUSED"):
    """The evaluation rules out the promotion, which is not forced."""

    def __init__(self, verdict: str, why: str) -> None:
        super().__init__(why, metadata={"verdict": verdict})


class ReferenceNotFound(errors.NotFound, reason="REFERENCE_NOT_FOUND"):
    message = (
        "this catalog has no such reference, version or draft, or no version of it serves: list the"
        " references, and promote one"
    )


class ReferenceTooFewPhotos(errors.FailedPrecondition, reason="REFERENCE_TOO_FEW_PHOTOS"):
    """A reference needs more photos of good pieces."""

    def __init__(self, given: int, least: int) -> None:
        super().__init__(
            f"a reference needs at least {least} different photos of good pieces; this draft has"
            f" {given}: add photos",
            metadata={"photos": str(given), "least": str(least)},
        )


class ReferenceMixed(errors.FailedPrecondition, reason="REFERENCE_MIXED"):
    """The photos of a reference show two different things."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(
            f"the photos show two different things: {max(first, second)} photos are unlike the"
            f" other {min(first, second)}. Make a reference of each",
            metadata={"groups": f"{max(first, second)},{min(first, second)}"},
        )


class ReferencesFull(errors.ResourceExhausted, reason="REFERENCES_FULL"):
    """The catalog has the maximum number of references, or of drafts."""

    def __init__(self, most: int, drafts: int) -> None:
        super().__init__(
            f"a catalog has at most {most} references and {drafts} drafts: fit or delete some"
        )


class ReferenceFull(errors.ResourceExhausted, reason="REFERENCE_FULL"):
    """The draft has the maximum number of photos."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a reference has at most {most} photos: fit it")
