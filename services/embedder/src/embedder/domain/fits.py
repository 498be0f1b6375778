"""Input and progress of a fit."""

from dataclasses import dataclass

from embedder.domain.fitted import Floats
from embedder.domain.manifest import SpaceManifest
from embedder.domain.photos import Camera


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Settings of a fit; see FitSettings in space_service.proto."""

    catalog_id: str
    backbone: str = ""
    max_dimension: int = 256
    seed: int = 0
    shopper_photo_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FitPhoto:
    """A labelled photo; see FitPhoto in space_service.proto."""

    image: bytes
    product: str
    title: str = ""
    category: tuple[str, ...] = ()
    camera: Camera = Camera.CATALOGUE
    group: str = ""


@dataclass(frozen=True, slots=True)
class FitProgress:
    """Progress of a fit."""

    done: int
    """Number of photos processed."""
    stage: str
    """"features", "evaluate", "fit" or "write"."""
    skipped: int = 0
    """Number of photos that could not be read."""
    candidate: SpaceManifest | None = None
    """The candidate, in the last report."""


@dataclass(frozen=True, slots=True)
class SentenceVectors:
    """A text model's vectors."""

    version: str
    """Of the space of texts."""
    vectors: Floats
    """float32 [n, 384], unit length."""
