"""The embedder's values, errors and what it asks of its collaborators.

ServiceError
├── InvalidArgument
│   ├── BatchInvalid             BATCH_INVALID              no items, or too many
│   ├── ItemEmpty                ITEM_EMPTY                 neither a photo nor a text
│   ├── TextInvalid              TEXT_INVALID               no characters, or too many
│   ├── PhotoUndecodable         IMAGE_UNDECODABLE          not a whole photo of a format we take
│   ├── PhotoTooLarge            IMAGE_TOO_LARGE            over the cap on bytes, pixels or memory
│   └── (servicekit.fetch)       URI_FORBIDDEN              nothing is fetched from there
├── NotFound
│   └── SpaceUnavailable         SPACE_UNAVAILABLE          no such space, or not for such items
├── FailedPrecondition
│   ├── SpaceVersionUnavailable  SPACE_VERSION_UNAVAILABLE  no model serves this version
│   ├── ModelNotReady            MODEL_NOT_READY            Triton's model is none that we can use
│   └── (servicekit.fetch)       URI_UNREADABLE             the address gave no file
├── Unavailable
│   └── EmbedderUnavailable      EMBEDDER_UNAVAILABLE       Triton does not answer
├── ResourceExhausted
│   └── QueueFull                EMBED_QUEUE_FULL           too many items wait already
├── DeadlineExceeded
│   └── DeadlinePassed           DEADLINE_EXCEEDED          the caller's time is used up
└── Internal
    └── ModelFailed              MODEL_FAILED               the model broke, or its vector is bad
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from servicekit import errors
from servicekit.errors import FieldViolation, ServiceError
from servicekit.telemetry import Stages

MAX_ITEMS = 64
MAX_TEXT = 4096

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]


class Priority(IntEnum):
    """How urgent an item is; the smaller goes first."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to embed: a photo, its address or a text."""

    photo: bytes | None = None
    """The file, as the caller sent it."""
    uri: str | None = None
    """Where to fetch the photo from, as the caller gave it."""
    text: str | None = None
    """The text, as the caller sent it."""
    space: str = ""
    """Into which space; empty means "visual" for a photo and "text" for a text."""
    version: str = ""
    """Into which version of the space; empty means its default one."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """An item's place in a space."""

    space: str
    version: str
    """16 hexadecimal digits; only vectors of one version may be compared."""
    values: Vectors
    """float32 [dimension], unit length."""


Outcome = Embedding | ServiceError
"""What became of one item."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to a photo before the model sees it."""

    side: int
    """Width and height of the model's input in pixels."""
    crop: float
    """Share of the photo's shorter side that the centre square keeps; above 0, at most 1."""
    normalisation: str
    """What the model itself does to the pixels, in words."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself."""

    model: str
    """Its name in Triton."""
    space: str
    """The space that its vectors belong to."""
    dimension: int
    """Components of a vector."""
    recipe: Recipe
    precision: str
    """Numeric precision, and the engine where its vectors are not proven equal."""
    licence: str
    """Licence of the weights (SPDX)."""
    hashes: Mapping[str, str]
    """SHA-256 of the model's file by version."""
    max_batch: int
    """Most photos in one inference."""
    instances: int = 1
    """Processes of the model that answer side by side."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A model's answer."""

    vectors: Vectors
    """float32 [n, dimension], unchecked."""
    model_version: str
    """The version that answered."""


@dataclass(frozen=True, slots=True)
class SpaceState:
    """A space as it is now."""

    space: str
    model: str
    ready: bool
    """Whether a photo would be embedded now."""
    version: str = ""
    dimension: int = 0
    preprocessing: str = ""
    licence: str = ""
    default: bool = False
    """Whether items that name no version come here."""


class Inference(Protocol):
    """A model that turns pixels into vectors.

    Both calls raise EmbedderUnavailable, QueueFull, ModelNotReady, ModelFailed or DeadlinePassed.
    """

    @property
    def model(self) -> str:
        """The model's name."""

    async def describe(self) -> Description:
        """Ask the model what it is."""

    async def infer(self, pixels: Pixels) -> Inferred:
        """Embed uint8 RGB [n, side, side, 3], n at most the model's max_batch."""


class Intake(Protocol):
    """Turns photo files into pixels."""

    def check(self, photo: bytes) -> None:
        """Refuse at once what is not worth a thread. Raises PhotoUndecodable or PhotoTooLarge."""

    async def pixels(self, photo: bytes, recipe: Recipe, stages: Stages) -> Pixels:
        """Return uint8 RGB [side, side, 3].

        Raises PhotoUndecodable, PhotoTooLarge, and EmbedderUnavailable when nothing can decode.
        """


class Fetch(Protocol):
    """Fetches files by their addresses."""

    async def fetch(self, uri: str) -> bytes:
        """Return the file. Raises a ServiceError: URI_FORBIDDEN or URI_UNREADABLE."""


RETRY_AFTER = timedelta(seconds=1)


class BatchInvalid(errors.InvalidArgument):
    """The batch has no items, or too many."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"a batch has 1 to {MAX_ITEMS} items, this one {count}",
            reason="BATCH_INVALID",
            violations=[FieldViolation("items", f"wanted 1 to {MAX_ITEMS} items")],
        )


class ItemEmpty(errors.InvalidArgument):
    """The item holds nothing to embed."""

    def __init__(self) -> None:
        super().__init__(
            "the item holds neither a photo, nor its address, nor a text", reason="ITEM_EMPTY"
        )


class TextInvalid(errors.InvalidArgument):
    """The text is empty or too long."""

    def __init__(self, length: int) -> None:
        super().__init__(
            f"a text has 1 to {MAX_TEXT} characters, this one {length}", reason="TEXT_INVALID"
        )


class PhotoUndecodable(errors.InvalidArgument):
    """The bytes are not a whole photo of a format that is taken."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="IMAGE_UNDECODABLE")


class PhotoTooLarge(errors.InvalidArgument):
    """The photo is over the cap on bytes, pixels or memory."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="IMAGE_TOO_LARGE")


class SpaceUnavailable(errors.NotFound):
    """There is no such space, or it does not take this kind of item."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="SPACE_UNAVAILABLE")


class SpaceVersionUnavailable(errors.FailedPrecondition):
    """No model serves this version of the space now."""

    def __init__(self, space: str, served: Sequence[str]) -> None:
        """`served`: the versions that are, the default one first."""
        versions = ",".join(served)
        super().__init__(
            f"this version of the space {space} is not served; served: {versions or 'none'}",
            reason="SPACE_VERSION_UNAVAILABLE",
            metadata={"space": space, "served_versions": versions},
        )


class ModelNotReady(errors.FailedPrecondition):
    """Triton answers, but this service can't use its model; an operator has to act."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="MODEL_NOT_READY")


class EmbedderUnavailable(errors.Unavailable):
    """Triton does not answer; the same item may succeed in a moment."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="EMBEDDER_UNAVAILABLE", retry_after=RETRY_AFTER)


class QueueFull(errors.ResourceExhausted):
    """Too many items wait already."""

    def __init__(self) -> None:
        super().__init__(
            "too many items wait to be embedded",
            reason="EMBED_QUEUE_FULL",
            retry_after=RETRY_AFTER,
        )


class DeadlinePassed(errors.DeadlineExceeded):
    """The caller's time is used up."""

    def __init__(self) -> None:
        super().__init__("the deadline passed first", reason="DEADLINE_EXCEEDED")


class ModelFailed(errors.Internal):
    """The model broke, or what it gave is no usable vector."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="MODEL_FAILED")
