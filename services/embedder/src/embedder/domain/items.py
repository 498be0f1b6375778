"""What is embedded, and what becomes of it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from embedder.domain.photos import Box, Camera, PhotoSubject
from servicekit.errors import ServiceError

MAX_ITEMS = 64
MAX_TEXT = 4096

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
    camera: Camera = Camera.SHOPPER
    views: int = 0
    """How many views of the photo are averaged; 0 means as many as the model says."""
    box: Box | None = None
    """The part of the photo that is meant; None means all of it."""
    find_subject: bool = False
    guesses: int = 0
    """How many categories are named for the photo; 0 means that it is not classified."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may be of."""

    path: tuple[str, ...]
    """From the root down."""
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """What a photo is of, as a head finds it; see sightline.common.v1.Classification."""

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
    subject: PhotoSubject | None = None
    """Where the photo's subject is, if that was asked for."""
    classification: Classification | None = None
    """What the photo is of, if that was asked for and the version has a head."""


ItemOutcome = Embedding | ServiceError
"""What became of one item."""
