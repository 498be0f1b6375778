"""Models that a shop brings as an ONNX file: how they see a photo, and why a file is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

Colours = tuple[float, float, float]

MOST_DIMENSIONS: Final = 4096
"""Maximum number of components of a vector."""
LEAST_SIDE: Final = 32
MOST_SIDE: Final = 1024
"""Bounds of the input's side in pixels, as in deploy/triton/triton_engine/photo_models.py."""


class Refusal(StrEnum):
    """Why a file can't be served."""

    FILE_TOO_LARGE = "MODEL_FILE_TOO_LARGE"
    UNCONFINED = "MODEL_UNCONFINED"
    """This system can't confine the process that would read it."""
    NOT_ONNX = "MODEL_NOT_ONNX"
    EXTERNAL_DATA = "MODEL_EXTERNAL_DATA"
    CUSTOM_OPERATOR = "MODEL_CUSTOM_OPERATOR"
    IMAGE_INPUT = "MODEL_IMAGE_INPUT"
    """No input for an image, or several."""
    OTHER_INPUT = "MODEL_OTHER_INPUT"
    INPUT_TYPE = "MODEL_INPUT_TYPE"
    LAYOUT = "MODEL_LAYOUT_UNKNOWN"
    SIDE = "MODEL_SIDE_UNKNOWN"
    BATCH = "MODEL_BATCH_FIXED"
    VECTOR = "MODEL_VECTOR_UNKNOWN"
    MEMORY = "MODEL_MEMORY"
    """It needs more memory or time than it may take, or its process ended."""
    BROKEN = "MODEL_BROKEN"
    """It can't be run, or its vectors are of no use."""
    PREPROCESSING = "MODEL_PREPROCESSING_UNKNOWN"
    PARITY = "MODEL_PARITY"
    PHOTOS = "MODEL_PHOTOS"
    MANIFEST = "MODEL_MANIFEST"


class ModelRefused(ValueError):
    """A model, or what describes it, can't be used; the message says what to do."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason.value


class ResizeFilter(StrEnum):
    """Filter by which a photo is resized. The embedder uses BICUBIC."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    LANCZOS = "lanczos"
    NEAREST = "nearest"
    PLAIN_BILINEAR = "bilinear without antialiasing"


class Fit(StrEnum):
    """Way of making a photo square."""

    COVER = "centre square"
    PAD = "padded to a square"
    SQUASH = "squashed to a square"
    """The embedder never does it."""


@dataclass(frozen=True, slots=True)
class Look:
    """Preprocessing of a photo for a model: (byte - mean) / scale of each channel."""

    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the photo's shorter side that the centre square keeps."""
    mean: Colours = (0.0, 0.0, 0.0)
    """In the order of the channels that the file takes."""
    scale: Colours = (1.0, 1.0, 1.0)
    channels: Literal["RGB", "BGR"] = "RGB"
    resize: ResizeFilter = ResizeFilter.BICUBIC
    fit: Fit = Fit.COVER


@dataclass(frozen=True, slots=True)
class Wanted:
    """Properties of a file that the caller gives; empty ones are found in the file."""

    image: str = ""
    """Name of the input for photos."""
    vector: str = ""
    """Name of the tensor with the vector, which may lie inside the graph."""
    layout: Literal["", "NCHW", "NHWC"] = ""
    pool: Literal["", "first", "mean"] = ""
    """Way of making a vector of several places: the first one's (a class token), or their mean."""
    side: int = 0
    """Width and height of the input in pixels."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Inputs and outputs of a file, found by running it."""

    image: str
    layout: Literal["NCHW", "NHWC"]
    side: int
    vector: str
    """Name of its output."""
    dimension: int
    pixels: Literal["float32", "uint8"]
    """Type of its input."""
    opset: int
    operators: int
    extra: Mapping[str, int] = field(default_factory=dict)
    """Widths of further inputs, which are 0: the camera of a fitted space."""
