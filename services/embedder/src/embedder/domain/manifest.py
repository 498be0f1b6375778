"""Manifest of a fitted space: ``manifest.json`` in its folder."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from embedder.domain.fitted import SpaceEvaluation

MANIFEST: Final = "manifest.json"
CATEGORIES: Final = "categories.json"
"""The head's full category paths in the order of its output: a list of lists of names."""
MATCH_COSINES: Final = "match_cosines.json"
"""The head's `match_cosines`, as lists; missing if it has none, or is older than 0.40."""
MAP_FILE: Final = "map.npz"
"""The space's map behind the features: arrays `means`, `scales` and `projection`."""
TEXT_SUFFIX: Final = "_text"
"""Suffix of the name of a space's text map."""
MAX_BYTES: Final = 2**20

NAME: Final = re.compile(r"visual_[0-9a-f]{12}")
"""A space's model in Triton: the digits are those of its graph's SHA-256."""
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ServingState(StrEnum):
    """State of a fitted space: the folder that holds it."""

    CANDIDATE = "candidates"
    SERVING = "models"
    RETIRED = "retired"


class SpaceDamaged(Exception):
    """Files of a space are missing or were changed; the message names them."""


@dataclass(frozen=True, slots=True)
class SpaceManifest:
    """A fitted space. Its folder is a model in Triton; its text map is another model."""

    name: Name
    """Name of its model in Triton."""
    version: Version
    """The space's version, as its vectors carry it."""
    catalog_id: str
    backbone: str
    """The features model that it was fitted on."""
    dimension: Annotated[int, Field(ge=1, le=256)]
    create_time: datetime
    """Time of the fit (UTC)."""
    preprocessing: str
    """Description of the preprocessing of photos."""
    licence: str
    """Licence of the backbone's weights (SPDX)."""
    shopper_views: Annotated[int, Field(ge=1, le=4)]
    catalogue_views: Annotated[int, Field(ge=1, le=4)]
    """Default number of views that are averaged, of a photo of either kind."""
    categories: Annotated[int, Field(ge=0)]
    """Number of categories of its classification head; 0 without one."""
    takes_texts: bool
    """True if there is a text map."""
    evaluation: SpaceEvaluation
    files: dict[str, Hash]
    """SHA-256 of the files of its folder, by their paths in it; all but this one."""
    text_files: dict[str, Hash] = field(default_factory=dict)
    """SHA-256 of the files of the text map's folder."""
    shopper_photo_tags: tuple[str, ...] = ()
    """Tags of products whose photos counted as shoppers' photos in the fit."""
    forced: bool = False
    """True if its promotion was forced despite its evaluation."""
    signature: str = ""
    """Signature of the rest of the file by an operator's key (servicekit.keys.keyring); empty:
    none."""
    format: Literal[1] = 1

    @property
    def text_name(self) -> str:
        """The text map's name in Triton."""
        return self.name + TEXT_SUFFIX

    @property
    def models(self) -> list[str]:
        """Names of its models in Triton: the text map first, then the model that names it."""
        return [self.text_name, self.name] if self.takes_texts else [self.name]

    def written(self) -> bytes:
        """Return the file's bytes."""
        return MANIFESTS.dump_json(self, indent=1)


MANIFESTS: Final = TypeAdapter(SpaceManifest)
