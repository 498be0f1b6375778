"""Descriptions, inputs and outputs of models, and the versions of their spaces."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from embedder.domain.errors import ModelNotReady
from embedder.domain.items import Vectors
from embedder.domain.recipes import Recipe, words

VISUAL = "visual"
TEXT = "text"
FEATURES = "features"
"""Space of models that spaces are fitted on. It is not indexed; its vectors are not normalised."""
MAP = "_map"
"""Suffix of the outputs that hold such maps, after the name of the block."""

CHECKSUM = "checksum"
"""Output of models in Triton's Python backend: a checksum of the request and other outputs.

Triton's own backends do not have it, and do not need it: lab/research/triton.md.
"""

Tensors = Mapping[str, npt.NDArray[Any]]
"""Inputs of a model: arrays [n, …] by name."""


@dataclass(frozen=True, slots=True)
class Description:
    """A model's description of itself."""

    model: str
    """Its name in Triton."""
    space: str
    """The space that its vectors belong to."""
    dimension: int
    """Components of a vector."""
    recipe: Recipe
    """Its input (photos, texts, texts' vectors or lines of text) and the preprocessing."""
    precision: str
    """Numeric precision, and the engine where its vectors are not proven equal."""
    licence: str
    """Licence of the weights (SPDX)."""
    hashes: Mapping[str, str]
    """SHA-256 of the model's file by version."""
    max_batch: int
    """Maximum number of photos in one inference."""
    instances: int = 1
    """Number of processes of the model."""
    catalog: str = ""
    """Catalog on which it was fitted; empty if it was not fitted and serves all catalogs."""
    cameras: bool = False
    """True if it takes the camera of a photo as an input."""
    categories: int = 0
    """Number of categories of its classification head, without the unknown one; 0 without a head.
    """
    shopper_views: int = 1
    """Views of a shopper's photo that are averaged when the item names no number."""
    catalog_views: int = 1
    """Views of a catalog photo that are averaged when the item names no number."""
    create_time: float = 0.0
    """Time of the fit, in seconds since 1970; 0 if it was not fitted."""
    blocks: Mapping[str, int] = field(default_factory=dict)
    """For a features model: sizes of the blocks of its features by name, in order."""
    checksums: bool = False
    """True if its answers have the output CHECKSUM."""
    boxes: bool = False
    """True if it finds objects and returns their boxes, and not maps of objects."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A model's output."""

    vectors: Vectors
    """float32 [n, dimension], unchecked."""
    model_version: str
    """The version that answered."""
    categories: Vectors | None = None
    """float32 [n, categories + 1], unchecked: probability of each category, the unknown one last;
    `None` without a classification head."""
    maps: Mapping[str, Vectors] = field(default_factory=dict)
    """float32 [n, channels, height, width], unchecked: maps that blocks are averaged from; empty
    for models without."""


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space and its current state."""

    space: str
    model: str
    ready: bool
    """True if a photo can be embedded now."""
    version: str = ""
    known: Description | None = None
    """The model's last description; `None` if it never answered."""
    takes_texts: bool = False
    default: bool = False
    """True if items without a version go to it."""


def version_of(description: Description, model_version: str) -> str:
    """Return the space's version: a hash of the model's file, the preprocessing and the precision.
    Raises ModelNotReady if the model's configuration lacks the hash of this version's file.
    """
    if model_version not in description.hashes:
        raise ModelNotReady(
            f"version {model_version} of {description.model} has no hash in its configuration"
        )
    return _version(
        description.hashes[model_version], words(description.recipe), description.precision
    )


@functools.lru_cache(256)
def _version(model: str, preprocessing: str, precision: str) -> str:
    parts = {"model": model, "preprocessing": preprocessing, "precision": precision}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
