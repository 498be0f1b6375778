"""What models say of themselves, take and give, and the versions of the spaces they serve."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from embedder.domain.errors import ModelNotReady
from embedder.domain.items import Vectors
from embedder.domain.recipes import PhotoRecipe, Sentences, TextRecipe, words

VISUAL = "visual"
TEXT = "text"
FEATURES = "features"
"""What spaces are fitted on. Nothing is indexed in it; its vectors are not of unit length."""
POSITIONS = "positions"
"""Those features with the maps that they are averaged from: what heat maps are made of."""
MAP = "_map"
"""What the names of outputs end with that are such maps; before it the block's name stands."""

CHECKSUM = "checksum"
"""An output that Triton's Python backend adds to a model's: of the request and the other outputs.
Triton's own backends do not have it, and do not need it: docs/research/triton.md."""

Tensors = Mapping[str, npt.NDArray[Any]]
"""What a model is given: arrays [n, …] by the names of its inputs."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself."""

    model: str
    """Its name in Triton."""
    space: str
    """The space that its vectors belong to."""
    dimension: int
    """Components of a vector."""
    recipe: PhotoRecipe | TextRecipe | Sentences
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
    """Whether it takes the camera that a photo is from."""
    categories: int = 0
    """Categories that its head distinguishes, the unknown one not counted; 0 = it has no head."""
    shopper_views: int = 1
    """Views of a shopper's photo that are averaged when the item names no number."""
    catalog_views: int = 1
    """Views of a catalog photo that are averaged when the item names no number."""
    create_time: float = 0.0
    """When it was fitted, in seconds since 1970; 0 = it was not."""
    blocks: Mapping[str, int] = field(default_factory=dict)
    """Of a model of features: the sizes of their blocks by name, in order."""
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
    maps: Mapping[str, Vectors] = field(default_factory=dict)
    """float32 [n, channels, height, width], unchecked: what each block is averaged from; none of
    models that do not give it."""


@dataclass(frozen=True, slots=True)
class SpaceState:
    """A space as it is now."""

    space: str
    model: str
    ready: bool
    """Whether a photo would be embedded now."""
    version: str = ""
    known: Description | None = None
    """What the model says of itself; None = it never spoke."""
    takes_texts: bool = False
    default: bool = False
    """Whether items that name no version come here."""


def version_of(description: Description, model_version: str) -> str:
    """Return the space's version: a hash of the model's file, the preprocessing and the precision.

    Raises ModelNotReady when the model does not say the hash of this version's file.
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
