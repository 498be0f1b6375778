"""Items to embed, and their outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from embedder.domain.photos import Box, Camera
from servicekit.errors import ServiceError

MAX_ITEMS = 64
MAX_TEXT = 4096

Vectors = npt.NDArray[np.float32]


class Priority(IntEnum):
    """Urgency of an item; smaller values go first."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to embed: a photo, its address or a text."""

    photo: bytes | None = None
    """The file, as the caller sent it."""
    uri: str | None = None
    """Address of the photo, as the caller gave it."""
    text: str | None = None
    """The text, as the caller sent it."""
    space: str = ""
    """Name of the space; empty: "visual" for a photo and "text" for a text."""
    version: str = ""
    """Version of the space; empty: its default."""
    camera: Camera = Camera.SHOPPER
    views: int = 0
    """Number of views of the photo to average; 0: the model's default."""
    box: Box | None = None
    """Part of the photo to use; `None`: the whole photo."""
    query_language: str | None = None
    """Language (BCP 47) of a text that is a shopper's query; empty: unknown. `None`: the text
    describes a product."""
    guesses: int = 0
    """Number of categories to return for the photo; 0: it is not classified."""


@dataclass(frozen=True, slots=True)
class CategoryGuess:
    """A category that a photo may show, with its probability."""

    path: tuple[str, ...]
    """From the root down."""
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Categories of a photo, by a classification head; see sightline.common.v1.Classification."""

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
    classification: Classification | None = None
    """Categories of the photo, if requested and the version has a classification head."""
    match_cosines: Sequence[float] = ()
    """Cosines to the nearest photo that MATCH_SHARES of the shoppers' photos of its category stay
    below; empty: not measured."""


ItemOutcome = Embedding | ServiceError
"""Outcome of one item."""
