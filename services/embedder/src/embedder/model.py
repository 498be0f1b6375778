"""The embedder's values, errors and what it asks of its collaborators.

ServiceError
├── InvalidArgument
│   ├── BatchInvalid             BATCH_INVALID              no items, or too many
│   ├── ItemEmpty                ITEM_EMPTY                 neither a photo nor a text
│   ├── TextInvalid              TEXT_INVALID               no characters, or too many
│   ├── BoxInvalid               BOX_INVALID                no rectangle within a photo
│   ├── ViewsInvalid             VIEWS_INVALID              fewer than none, or too many
│   ├── PhotoUndecodable         IMAGE_UNDECODABLE          not a whole photo of a format we take
│   ├── PhotoTooLarge            IMAGE_TOO_LARGE            over the cap on bytes, pixels or memory
│   └── (servicekit.fetch)       URI_FORBIDDEN              nothing is fetched from there
├── NotFound
│   ├── SpaceUnavailable         SPACE_UNAVAILABLE          no such space, or not for such items
│   └── SpaceNotFound            SPACE_NOT_FOUND            no fitted space of this version or name
├── FailedPrecondition
│   ├── SpaceVersionUnavailable  SPACE_VERSION_UNAVAILABLE  no model serves this version
│   ├── ModelNotReady            MODEL_NOT_READY            Triton's model is none that we can use
│   ├── ClassifierUnavailable    CLASSIFIER_UNAVAILABLE     no fitted space with a head serves
│   ├── FitInvalid               FIT_INVALID                no space can be fitted on such photos
│   ├── FitUnavailable           FIT_UNAVAILABLE            this service can fit no spaces
│   ├── PromotionRefused         PROMOTION_REFUSED          not proven better, and not forced
│   └── (servicekit.fetch)       URI_UNREADABLE             the address gave no file
├── Unavailable
│   ├── EmbedderUnavailable      EMBEDDER_UNAVAILABLE       Triton does not answer
│   │   ├── ProcessLost          EMBEDDER_UNAVAILABLE       a process of the model ended, or strays
│   │   └── ModelSilent          EMBEDDER_UNAVAILABLE       Triton takes too long
│   └── FitInProgress            FIT_IN_PROGRESS            another space is being fitted here
├── ResourceExhausted
│   └── QueueFull                EMBED_QUEUE_FULL           too many items wait, or for too long
├── DeadlineExceeded
│   └── DeadlinePassed           DEADLINE_EXCEEDED          the caller's time is used up
└── Internal
    ├── FitFailed                FIT_FAILED                 the process that fits ended by itself
    └── ModelFailed              MODEL_FAILED               the model broke, or its vector is bad
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from servicekit import errors
from servicekit.errors import FieldViolation, ServiceError
from servicekit.telemetry import Stages

MAX_ITEMS = 64
MAX_TEXT = 4096
MAX_VIEWS = 4
LEAST_BOX = 0.01
"""Share of each of the photo's sides that a box has at least."""
CHECKSUM = "checksum"
"""An output that Triton's Python backend adds to a model's: of the request and the other outputs.
Triton's own backends do not have it, and do not need it: deploy/triton/README.md."""

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[Any]]
"""What a model is given: arrays [n, …] by the names of its inputs."""


class Priority(IntEnum):
    """How urgent an item is; the smaller goes first."""

    INTERACTIVE = 0
    BULK = 1


class Camera(IntEnum):
    """Which camera a photo is from; the number that fitted models are told."""

    SHOPPER = 0
    CATALOGUE = 1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a photo that stands upright, in shares of its sides: 0 ≤ left < right ≤ 1 from
    the left edge, 0 ≤ top < bottom ≤ 1 from the top edge."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)
"""All of a photo."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a photo shows most of, as found without knowing any product."""

    box: Box
    alternatives: tuple[Box, ...] = ()
    """Other rectangles that may be meant, the most salient first; at most 3."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which part of a photo is looked at, and how often."""

    views: int = 1
    """1 to MAX_VIEWS: a wide crop, its mirror image, a narrow crop, its mirror image."""
    box: Box = WHOLE
    find: bool = False
    """Whether to look for the subject, and at that."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo as a model takes it."""

    pixels: Pixels
    """uint8 RGB [views, side, side, 3]."""
    subject: Subject | None = None
    """What was found, if it was looked for."""


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
    camera: Camera = Camera.SHOPPER
    views: int = 0
    """How many views of the photo are averaged; 0 means as many as the model says."""
    box: Box | None = None
    """The part of the photo that is meant; None means all of it."""
    find_subject: bool = False
    guesses: int = 0
    """How many categories are told of the photo; 0 means that it is not classified."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may be of."""

    path: tuple[str, ...]
    """From the root down."""
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What a photo is of, as a head tells it; see sightline.common.v1.Classification."""

    guesses: tuple[CategoryGuess, ...]
    unknown_probability: float
    unknown: bool
    sure: CategoryGuess | None
    version: str


@dataclass(frozen=True, slots=True)
class Embedding:
    """An item's place in a space."""

    space: str
    version: str
    """16 hexadecimal digits; only vectors of one version may be compared."""
    values: Vectors
    """float32 [dimension], unit length."""
    subject: Subject | None = None
    """Where the photo's subject is, if that was asked for."""
    classification: Classification | None = None
    """What the photo is of, if that was asked for and the version has a head."""


Outcome = Embedding | ServiceError
"""What became of one item."""


class Step(StrEnum):
    """What may be done to a photo besides resizing it: a kind and a way."""

    CROP_PAD = "crop=pad"
    CROP_SUBJECT = "crop=subject"
    WHITE_BALANCE_GREY_WORLD = "white_balance=grey_world"
    WHITE_BALANCE_WHITE_PATCH = "white_balance=white_patch"
    DENOISE_MEDIAN = "denoise=median"
    DENOISE_BILATERAL = "denoise=bilateral"
    DENOISE_NL_MEANS = "denoise=nl_means"
    CONTRAST_CLAHE = "contrast=clahe"

    @property
    def kind(self) -> str:
        """What the step is for."""
        return self.value.partition("=")[0]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to a photo before the model sees it."""

    side: int
    """Width and height of the model's input in pixels."""
    crop: float
    """Share of the photo's shorter side that the centre square keeps; above 0, at most 1."""
    normalisation: str
    """What the model itself does to the pixels, in words."""
    steps: tuple[Step, ...] = ()
    """What else is done, in this order."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is done to a text before the model sees it."""

    most: int
    """Tokens that are kept of a text, its marks of start and end included."""
    tokenizer: str
    """SHA-256 of the tokenizer's file."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """The model takes a text model's vectors."""

    dimension: int
    """Their components."""
    version: str = ""
    """Their version; empty = that of the default text model."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself."""

    model: str
    """Its name in Triton."""
    space: str
    """The space that its vectors belong to."""
    dimension: int
    """Components of a vector."""
    recipe: Recipe | Tokens | Sentences
    """What it takes: photos, texts or texts' vectors, and what is done to them before."""
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
    catalog: str = ""
    """The catalog that it was fitted on; empty = none, and it serves all."""
    cameras: bool = False
    """Whether it has to be told which camera a photo is from."""
    categories: int = 0
    """Categories that its head tells apart, the unknown one not counted; 0 = it has no head."""
    shopper_views: int = 1
    """Views of a shopper's photo that are averaged when the item names no number."""
    catalogue_views: int = 1
    """Views of a catalogue photo that are averaged when the item names no number."""
    create_time: float = 0.0
    """When it was fitted, in seconds since 1970; 0 = it was not."""
    checksums: bool = False
    """Whether its answers have the output CHECKSUM."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A model's answer."""

    vectors: Vectors
    """float32 [n, dimension], unchecked."""
    model_version: str
    """The version that answered."""
    categories: Vectors | None = None
    """float32 [n, categories + 1], unchecked: how likely each is, the unknown one last; None = the
    model has no head."""


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
    catalog: str = ""
    """The catalog that it was fitted on; empty = none."""
    takes_texts: bool = False
    shopper_views: int = 1
    catalogue_views: int = 1
    categories: int = 0
    """Categories that its head knows; 0 = it has none."""
    create_time: float = 0.0
    """When it was fitted, in seconds since 1970; 0 = it was not."""


class Inference(Protocol):
    """A model that turns photos or texts into vectors.

    Both calls raise EmbedderUnavailable, QueueFull, ModelNotReady, ModelFailed or DeadlinePassed.
    """

    @property
    def model(self) -> str:
        """The model's name."""

    async def describe(self) -> Description:
        """Ask the model what it is."""

    async def infer(self, inputs: Tensors) -> Inferred:
        """Embed `inputs`, of the n rows that each has; n is at most the model's max_batch.

        Photos are "image", uint8 RGB [n, side, side, 3], with "kind", float32 [n, 1] of Camera,
        where the model has `cameras`; texts are "input_ids" and "attention_mask", int64 [n, t];
        texts' vectors are "sentence", float32 [n, dimension].
        """


class Intake(Protocol):
    """Turns photo files into pixels."""

    def check(self, photo: bytes) -> None:
        """Refuse at once what is not worth a thread. Raises PhotoUndecodable or PhotoTooLarge."""

    async def see(self, photo: bytes, recipe: Recipe, look: Look, stages: Stages) -> Seen:
        """Return a photo as a model takes it.

        Raises PhotoUndecodable, PhotoTooLarge, and EmbedderUnavailable when nothing can decode.
        """


class Encode(Protocol):
    """Turns texts into tokens."""

    async def encode(self, model: str, recipe: Tokens, texts: Sequence[str]) -> Tensors:
        """Return `input_ids` and `attention_mask`, int64 [n, t]. Raises ModelNotReady."""


class Names(Protocol):
    """Knows the categories of fitted spaces."""

    async def categories(self, model: str) -> Sequence[tuple[str, ...]]:
        """Return the full paths that a model's head tells apart, in the order of its answers.

        Raises ClassifierUnavailable when they can't be read.
        """


class Repository(Protocol):
    """Where the models are kept."""

    async def loaded(self) -> Collection[str]:
        """Return the models that are served, or will be in a moment.

        Raises EmbedderUnavailable, ModelNotReady, ModelFailed or DeadlinePassed.
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


class BoxInvalid(errors.InvalidArgument):
    """The box is no rectangle within a photo."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="BOX_INVALID")


class ViewsInvalid(errors.InvalidArgument):
    """No photo is looked at so often."""

    def __init__(self, views: int) -> None:
        super().__init__(
            f"1 to {MAX_VIEWS} views are taken of a photo, or 0 for the space's own number, "
            f"not {views}",
            reason="VIEWS_INVALID",
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


class ClassifierUnavailable(errors.FailedPrecondition):
    """Nothing that serves the catalog tells categories."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="CLASSIFIER_UNAVAILABLE")


class EmbedderUnavailable(errors.Unavailable):
    """Triton does not answer; the same item may succeed in a moment."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="EMBEDDER_UNAVAILABLE", retry_after=RETRY_AFTER)


class ProcessLost(EmbedderUnavailable):
    """A process in which Triton runs the model has ended, or gives a request the answer to another
    one; the others may go on."""


class ModelSilent(EmbedderUnavailable):
    """Triton took longer than this service waits."""

    def __init__(self) -> None:
        super().__init__("the model server takes too long")


class QueueFull(errors.ResourceExhausted):
    """Too many items wait already, or the item's deadline would pass while it waits."""

    def __init__(self, retry_after: timedelta = RETRY_AFTER) -> None:
        super().__init__(
            "too many items wait to be embedded",
            reason="EMBED_QUEUE_FULL",
            retry_after=retry_after,
        )


class DeadlinePassed(errors.DeadlineExceeded):
    """The caller's time is used up."""

    def __init__(self) -> None:
        super().__init__("the deadline passed first", reason="DEADLINE_EXCEEDED")


class ModelFailed(errors.Internal):
    """The model broke, or what it gave is no usable vector."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="MODEL_FAILED")


class SpaceNotFound(errors.NotFound):
    """No fitted space of the catalog has this version or name."""

    def __init__(self) -> None:
        super().__init__(
            "no fitted space of this catalog has this version or name", reason="SPACE_NOT_FOUND"
        )


class FitInvalid(errors.FailedPrecondition):
    """No space can be fitted on these photos; the text says what is wanted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="FIT_INVALID")


class FitUnavailable(errors.FailedPrecondition):
    """This service is not set up to fit spaces; the text says what is missing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="FIT_UNAVAILABLE")


class FitInProgress(errors.Unavailable):
    """Another space is being fitted here."""

    def __init__(self) -> None:
        super().__init__(
            "another space is being fitted here",
            reason="FIT_IN_PROGRESS",
            retry_after=timedelta(seconds=10),
        )


class FitFailed(errors.Internal):
    """The process that fits ended before it was done."""

    def __init__(self, code: int) -> None:
        super().__init__(
            f"the process that fits ended with status {code}; -9 is most often too little memory",
            reason="FIT_FAILED",
        )


class PromotionRefused(errors.FailedPrecondition):
    """The space is not proven better, and its promotion is not forced."""

    def __init__(self, verdict: str, why: str) -> None:
        super().__init__(
            f"the space is not proven better ({verdict}): {why}",
            reason="PROMOTION_REFUSED",
            metadata={"verdict": verdict},
        )
